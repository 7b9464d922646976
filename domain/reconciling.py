"""What `Reconcile` looks for, and what it says of what it finds."""

from typing import Literal

from pydantic import BaseModel

Look = Literal["journeys", "returns", "incidents", "replacements", "stock", "vendor", "carrier"]
LOOKS: tuple[Look, ...] = ("journeys", "returns", "incidents", "replacements", "stock", "vendor", "carrier")


class Suspect(BaseModel):
    """Something that may not be as it should; whoever repairs it looks again first."""

    look: Look
    about: str
    """The id of what it is about: a workflow's, a serial number, a party's reference."""
    matter: str
    """What seems wrong, as a name."""


class Finding(BaseModel):
    """What was wrong. No names, emails or addresses."""

    about: str
    matter: str
    what: str
    then: str
    """What was done about it; where a person is needed, what that person should do."""
    repaired: bool
    left: bool = False
    """It would be repaired, but for the run's limit."""

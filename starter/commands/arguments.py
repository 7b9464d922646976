"""Arguments and options that several commands share, and how they become the JSON of a message."""

from typing import Annotated, Any

import typer

from starter.output import Refusal

Journey = Annotated[str, typer.Argument(help="The journey's id, such as token-hard-4f1c2ab8; see `tokens list`.")]
By = Annotated[str | None, typer.Option(help="Who does this; stands in the audit trail.")]
Email = Annotated[str | None, typer.Option(help="Left out: the account's.")]
Name = Annotated[str | None, typer.Option(help="Name on the parcel; an address is given whole or not at all.")]
Street1 = Annotated[str | None, typer.Option("--street1")]
Street2 = Annotated[str | None, typer.Option("--street2")]
City = Annotated[str | None, typer.Option("--city")]
State = Annotated[str | None, typer.Option("--state", help="Two letters.")]
Zip = Annotated[str | None, typer.Option("--postal-code", help="ZIP or ZIP+4.")]


def address(**parts: str | None) -> dict[str, str] | None:
    """The address as an object, or None where no part is given. Half of one is bad usage."""
    given = {name: part for name, part in parts.items() if part is not None}
    if given and not {"name", "street1", "city", "state", "postal_code"} <= given.keys():
        raise typer.BadParameter("an address needs --name, --street1, --city, --state and --postal-code together")
    return given or None


def body(**fields: Any) -> dict[str, Any]:
    """The fields that are given."""
    return {name: field for name, field in fields.items() if field is not None}


def confirmed(confirm: bool) -> bool:
    """True. Raises Refusal in the command's own words; the workflow would speak of JSON."""
    if not confirm:
        raise Refusal("Nothing was deactivated: it can't be undone, so it must be confirmed; add --confirm.")
    return confirm

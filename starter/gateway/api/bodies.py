"""What upstream systems send and get, as JSON; the OpenAPI document is made from it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.address import Address, has_invisible
from domain.reasons import DeactivationReason
from domain.status import Kind, Status
from workflows import messages
from workflows.answers import Snapshot
from workflows.messages import Identifier


def _visible(text: str) -> str:
    if has_invisible(text):
        raise ValueError("must not contain control or invisible characters; type it again on one line")
    return text


Text = Annotated[messages.Text, AfterValidator(_visible)]
Note = Annotated[messages.Note, AfterValidator(_visible)]
By = Annotated[
    Text | None, Field(description="Who does this; stands in the audit trail. Left out: the system's own name.")
]

_EMAIL = "nadia.alvarez@lakeside.example"
_ADDRESS = {
    "name": "Nadia Alvarez, MD",
    "street1": "1449 Whitehall Road",
    "city": "Annapolis",
    "state": "MD",
    "postal_code": "21409",
}


def _sent(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": list(examples)})


class NewRequest(BaseModel):
    """Email and shipping address default to the prescriber's account."""

    model_config = _sent(
        {"prescriber_id": "P-1001", "kind": "hard"},
        {"prescriber_id": "P-1001", "kind": "both", "email": _EMAIL, "shipping_address": _ADDRESS},
    )

    prescriber_id: Identifier
    kind: Annotated[Literal["hard", "soft", "both"], Field(description="hard: a device, mailed; soft: an app.")]
    email: Text | None = None
    shipping_address: Annotated[Address | None, Field(description="Only for a hard token.")] = None
    replaces: Annotated[
        Text | None, Field(description="The journey of a token that was lost before it was active, if this is for it.")
    ] = None
    requested_by: By = None

    @model_validator(mode="after")
    def _one_successor(self) -> "NewRequest":
        if self.replaces and self.kind == "both":
            raise ValueError("a token is replaced by one of its own kind; send kind hard or soft with `replaces`")
        return self


class Change(BaseModel):
    """What is left out stays as it is."""

    model_config = _sent({"email": _EMAIL}, {"shipping_address": _ADDRESS, "by": "front desk"})

    email: Text | None = None
    shipping_address: Address | None = None
    by: By = None


class Cancellation(BaseModel):
    model_config = _sent({"reason": "requested by mistake"}, {})

    reason: Note | None = None
    by: By = None


class Processing(BaseModel):
    model_config = _sent({"operator": "Dana", "serial_number": "HT-1000001"}, {})

    operator: By = None
    serial_number: Annotated[
        Identifier | None, Field(description="The serial that was scanned. Left out: the next one in stock.")
    ] = None


class Deactivation(BaseModel):
    model_config = _sent({"reason": "lost", "confirmed": True}, {"confirmed": True})

    reason: Annotated[
        DeactivationReason | None,
        Field(description="A hard token needs one: lost, stolen, faulty or no_longer_needed."),
    ] = None
    confirmed: Annotated[bool, Field(description="Must be true: it can't be undone.")] = False
    in_possession: Annotated[
        bool, Field(description="The hard token is still in hand, so that it has to be mailed back.")
    ] = False
    by: By = None


class Replacement(BaseModel):
    model_config = _sent({"reason": "faulty", "confirmed": True, "in_possession": True})

    reason: Annotated[
        DeactivationReason | None, Field(description="Hard: lost or faulty. Soft: lost, faulty, uninstalled, or none.")
    ] = None
    confirmed: Annotated[bool, Field(description="Must be true: the old token is deactivated.")] = False
    in_possession: bool = False
    email: Text | None = None
    shipping_address: Address | None = None
    requested_by: By = None


class Resending(BaseModel):
    model_config = _sent({}, {"by": "front desk"})

    by: By = None


class Proof(BaseModel):
    """Never kept, never logged."""

    model_config = _sent({"passcode": "492039"}, {"passcode": "492039", "pin": "2580"})

    passcode: Annotated[str, Field(min_length=1, max_length=16, repr=False, description="What the token shows.")]
    pin: Annotated[str | None, Field(min_length=1, max_length=16, repr=False, description="Soft tokens: the PIN.")] = (
        None
    )


class Made(BaseModel):
    """One request, and what came of it."""

    kind: Kind
    status: Annotated[
        Status | None,
        Field(description="`Requested` when it is in the queue; null when that is not known yet, or refused."),
    ]
    journey_id: Annotated[str | None, Field(description="Null when it was refused.")]
    detail: Annotated[str | None, Field(description="Why it was refused, or where to look.")] = None


class Requested(BaseModel):
    """Where one kind was asked for, its `journey_id`, `kind` and `status` stand at the top, too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey_id": "token-hard-4f1c2ab8",
                    "kind": "hard",
                    "status": "Requested",
                    "requests": [
                        {"journey_id": "token-hard-4f1c2ab8", "kind": "hard", "status": "Requested", "detail": None}
                    ],
                }
            ]
        }
    )

    requests: list[Made]
    journey_id: str | None = None
    kind: Kind | None = None
    status: Status | None = None


class Sent(BaseModel):
    """The answer did not come in time; it goes on. `Location` says where to look."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey_id": "token-hard-4f1c2ab8",
                    "detail": "token-hard-4f1c2ab8 has not answered yet; it goes on, so look at it in a moment.",
                }
            ]
        }
    )

    journey_id: str
    detail: str


class Done(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"journey_id": "token-hard-4f1c2ab8", "status": "Cancelled", "detail": None}]}
    )

    journey_id: str
    status: str
    detail: str | None = None


class ReplacedToken(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"journey_id": "token-hard-91ab02cd44ef", "replaces": "token-hard-4f1c2ab8", "status": "Requested"}
            ]
        }
    )

    journey_id: Annotated[str, Field(description="The new token's journey.")]
    replaces: str
    status: Status


class Verified(BaseModel):
    journey_id: str
    verified: Literal[True]


class TokenState(Snapshot):
    """What the token's journey says of itself."""

    source: Annotated[
        Literal["journey", "record"],
        Field(
            description="journey: the workflow's own answer. record: its history is gone, or it does not answer at the moment; "
            "this is what it recorded last."
        ),
    ]


class ListedToken(BaseModel):
    """A token as lists show it. Times are UTC."""

    model_config = ConfigDict(from_attributes=True)

    journey_id: str
    prescriber_id: str
    kind: Kind
    status: Status
    serial_number: str | None
    tracking_number: str | None
    needs_attention: str | None
    replaces: str | None
    replaced_by: str | None
    requested_at: datetime
    processed_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    active_at: datetime | None
    ended_at: datetime | None
    action_due_by: Annotated[datetime | None, Field(description="When the next promise falls due.")]


class TokenList(BaseModel):
    tokens: list[ListedToken]
    next: Annotated[str | None, Field(description="Send it as `cursor` for the next page; null on the last one.")]


class RequestState(BaseModel):
    """A request with what can be edited of it. Its `ETag` is what an edit sends as `If-Match`."""

    model_config = ConfigDict(from_attributes=True)

    journey_id: str
    prescriber_id: str
    kind: Kind
    status: Status
    email: str
    shipping_address: Address | None
    requested_by: str | None
    requested_at: datetime


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "The request can't be edited: it has already been processed (status Processed); you can cancel it or "
                    "send a new activation link instead.",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: Annotated[
        str, Field(description="One sentence: what, why, and what to do instead. The journey's own, if it said no.")
    ]

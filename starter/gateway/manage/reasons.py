"""What a form about the end of a token says, and what is wrong with it, in words at the field."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.reasons import LOSS, REPLACEMENT_REASONS, DeactivationReason
from domain.status import Kind
from starter.gateway.signon.forms import checked

LABELS = {
    DeactivationReason.LOST: ("Lost Token", "It can't be found."),
    DeactivationReason.STOLEN: ("Stolen Token", "It was taken, or may have been."),
    DeactivationReason.FAULTY: ("Faulty Token", "It doesn't work, or not as it should."),
    DeactivationReason.NO_LONGER_NEEDED: ("No Longer Needed", "It works, but is not wanted any more."),
    DeactivationReason.UNINSTALLED: ("Uninstalled", "The app or its token is gone from the device."),
}
_DEACTIVATION = {
    Kind.HARD: (
        DeactivationReason.LOST,
        DeactivationReason.STOLEN,
        DeactivationReason.FAULTY,
        DeactivationReason.NO_LONGER_NEEDED,
    ),
    Kind.SOFT: (
        DeactivationReason.LOST,
        DeactivationReason.STOLEN,
        DeactivationReason.UNINSTALLED,
        DeactivationReason.NO_LONGER_NEEDED,
    ),
}


@dataclass(frozen=True)
class Ending:
    """`reason` may be left out for a soft token. `wrong`: a sentence by field."""

    reason: DeactivationReason | None
    in_possession: bool
    confirmed: bool
    wrong: dict[str, str]

    @property
    def reason_is_good(self) -> bool:
        return "reason" not in self.wrong


def offered(kind: Kind, *, replacing: bool) -> list[tuple[str, str, str]]:
    """Value, label and explanation of each reason."""
    reasons = REPLACEMENT_REASONS[kind] if replacing else _DEACTIVATION[kind]
    return [(reason.value, *LABELS[reason]) for reason in reasons]


def asks_for_possession(kind: Kind, reason: DeactivationReason | None) -> bool:
    """What is lost or stolen can't be in hand, and an app can't be mailed back."""
    return kind is Kind.HARD and reason not in LOSS


def read(fields: Mapping[str, str], kind: Kind, *, replacing: bool) -> Ending:
    """What the fields say."""
    wrong: dict[str, str] = {}
    given = fields.get("reason", "")
    reason = None
    if given in [value for value, _, _ in offered(kind, replacing=replacing)]:
        reason = DeactivationReason(given)
    elif given or kind is Kind.HARD:
        wrong["reason"] = "Choose why the token is to be deactivated."
    possession = fields.get("in_possession", "")
    if asks_for_possession(kind, reason) and possession not in ("yes", "no"):
        wrong["in_possession"] = "Say whether you have this token, since it must be mailed back then."
    if not checked(fields, "confirmed"):
        wrong["confirmed"] = "Tick “Deactivate this token” to confirm it, since it can't be undone."
    in_possession = asks_for_possession(kind, reason) and possession == "yes"
    return Ending(reason, in_possession, checked(fields, "confirmed"), wrong)

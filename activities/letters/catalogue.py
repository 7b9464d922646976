"""Which letters there are: what each one is called, whom it speaks to, and what it has to know."""

from dataclasses import dataclass
from typing import Literal

Audience = Literal["team", "prescriber", "vendor_to_prescriber"]
BOTH = ("hard", "soft")
HARD = ("hard",)
SOFT = ("soft",)

COMMON = ("journey_id", "kind", "prescriber_name", "practice_name", "manage_url", "return_address")
"""Facts that every letter needs; letters to the team need `ui_url` too."""


@dataclass(frozen=True)
class LetterType:
    """One kind of letter.

    `needs`: facts beyond `COMMON` without which it is refused; `needs_hard`: those that only a hard token's letter
    needs; `may`: facts that it uses where they are given. Any other fact is kept from the template, so that for
    example a serial number given by mistake can't get into the activation email.
    """

    key: str
    audience: Audience
    subject: str
    needs: tuple[str, ...] = ()
    needs_hard: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    kinds: tuple[str, ...] = BOTH
    about_token: bool = True
    """False: it is about no token in particular, and knows nothing of any."""

    def needed(self, kind: str) -> tuple[str, ...]:
        """All facts without which this letter is refused for a token of `kind` ("hard" or "soft")."""
        team = ("ui_url",) if self.audience == "team" else ()
        return (*(COMMON if self.about_token else ()), *team, *self.needs, *(self.needs_hard if kind == "hard" else ()))


_TYPES = (
    # To the team
    LetterType(
        "team_request_waiting",
        "team",
        "{{ kind|capitalize }} token request waiting: {{ practice_name }} ({{ journey_id }})",
        needs=("requested_at", "due_at"),
        may=("who",),
    ),
    LetterType(
        "team_still_waiting",
        "team",
        "Still waiting: {{ kind }} token request, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since", "due_at"),
    ),
    LetterType(
        "team_out_of_stock",
        "team",
        "Out of stock: hard token request on hold, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since",),
        may=("due_at", "who"),
        kinds=HARD,
    ),
    LetterType(
        "team_low_stock",
        "team",
        "Low stock: {{ low|join('; ') }}",
        needs=("low",),
        kinds=HARD,
    ),
    LetterType(
        "team_needs_attention",
        "team",
        "Needs attention: {{ kind }} token, {{ practice_name }} ({{ journey_id }})",
        needs=("reason", "status"),
        may=("due_at", "requested_at"),
    ),
    LetterType(
        "team_sync_late",
        "team",
        "Surescripts sync is late: {{ kind }} token, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since",),
        may=("due_at",),
    ),
    # To the prescriber: the request
    LetterType(
        "request_received",
        "prescriber",
        "We have your {{ kind }} token request",
        needs=("requested_at", "due_at"),
        needs_hard=("address",),
    ),
    LetterType(
        "request_changed",
        "prescriber",
        "Your {{ kind }} token request was changed",
        needs=("changed",),
        needs_hard=("address",),
        may=("who",),
    ),
    LetterType(
        "request_cancelled",
        "prescriber",
        "Your {{ kind }} token request is cancelled",
        may=("reason", "who"),
    ),
    LetterType(
        "cancelled_return",
        "prescriber",
        "Your hard token request is cancelled: please mail the token back",
        needs=("serial_number",),
        may=("reason", "who", "return_by"),
        kinds=HARD,
    ),
    # To the prescriber, in the vendor's name
    LetterType(
        "vendor_activation_hard",
        "vendor_to_prescriber",
        "Keep this email to activate your hard token",
        needs=("link",),
        may=("valid_until", "renewed", "sync_minutes"),
        kinds=HARD,
    ),
    LetterType(
        "vendor_download_soft",
        "vendor_to_prescriber",
        "Set up your soft token",
        needs=("link", "valid_until"),
        may=("renewed", "sync_minutes"),
        kinds=SOFT,
    ),
    # To the prescriber: on its way
    LetterType(
        "shipped",
        "prescriber",
        "Your hard token is on its way",
        needs=("carrier_name", "tracking_number", "ships_on", "window_first", "window_last", "address"),
        may=("reason",),
        kinds=HARD,
    ),
    LetterType(
        "has_it_arrived",
        "prescriber",
        "Has your hard token arrived?",
        needs=("carrier_name", "tracking_number", "window_last", "address"),
        may=("link", "valid_until", "ships_on", "lost_at"),
        kinds=HARD,
    ),
    LetterType(
        "lost_in_transit",
        "prescriber",
        "Your hard token was lost in the mail",
        needs=("carrier_name", "tracking_number", "ships_on", "request_url"),
        may=("window_last",),
        kinds=HARD,
    ),
    LetterType(
        "delivered",
        "prescriber",
        "Your hard token has arrived: time to activate it",
        needs=("link", "valid_until"),
        may=("sync_minutes",),
        kinds=HARD,
    ),
    # To the prescriber: activation and after
    LetterType(
        "reminder",
        "prescriber",
        "Reminder: please activate your {{ kind }} token"
        "{% if days_left > 1 %} within {{ days_left }} days{% elif days_left == 1 %} by tomorrow{% else %} today{% endif %}",
        needs=("link", "valid_until", "days_left", "waiting_since"),
        may=("sync_minutes",),
    ),
    LetterType(
        "never_activated",
        "prescriber",
        "Your {{ kind }} token was not activated and is now cancelled",
        needs=("waiting_since", "request_url"),
        needs_hard=("serial_number",),
        may=("return_by",),
    ),
    LetterType(
        "sync_late",
        "prescriber",
        "Your {{ kind }} token is taking longer than usual",
        needs=("waiting_since",),
        may=("sync_minutes",),
    ),
    LetterType(
        "active",
        "prescriber",
        "Your {{ kind }} token is active",
        needs=("active_at",),
        may=("serial_number",),
    ),
    LetterType(
        "deactivated",
        "prescriber",
        "Your {{ kind }} token is deactivated",
        may=("reason", "who", "serial_number", "in_possession", "return_by", "replaced", "report_by"),
    ),
    # The end of a hard token
    LetterType(
        "return_label",
        "prescriber",
        "Please mail your hard token back: your prepaid label",
        needs=("serial_number", "label_url", "tracking_number", "carrier_name", "return_by"),
        kinds=HARD,
    ),
    LetterType(
        "return_reminder",
        "prescriber",
        "Reminder: please mail your hard token back"
        "{% if days_left > 1 %} within {{ days_left }} days{% elif days_left == 1 %} by tomorrow{% else %} today{% endif %}",
        needs=("serial_number", "label_url", "tracking_number", "carrier_name", "return_by", "days_left"),
        kinds=HARD,
    ),
    LetterType(
        "return_received",
        "prescriber",
        "We have received your hard token",
        needs=("serial_number", "received_at"),
        may=("condition",),
        kinds=HARD,
    ),
    LetterType(
        "return_written_off",
        "prescriber",
        "Your hard token did not come back",
        needs=("serial_number", "waiting_since"),
        kinds=HARD,
    ),
    LetterType(
        "team_return_written_off",
        "team",
        "Written off: hard token {{ serial_number }}, {{ practice_name }}",
        needs=("serial_number", "waiting_since"),
        may=("tracking_number",),
        kinds=HARD,
    ),
    LetterType(
        "team_incident",
        "team",
        "{% if stage == 'overdue' %}OVERDUE, report a {{ reason }} token"
        "{% elif stage == 'due soon' %}Due soon, report a {{ reason }} token"
        "{% else %}Security incident, {{ reason }} token{% endif %}: {{ practice_name }}",
        needs=("reason", "stage", "opened_at", "due_at", "calendar"),
        may=("serial_number",),
    ),
    LetterType(
        "team_digest",
        "team",
        "{% for section in sections %}{{ section.title }} {{ section.number }}{{ '' if loop.last else ', ' }}"
        "{% else %}Nothing waits{% endfor %}: {{ day|day(zone) }}",
        needs=("day", "sections"),
        kinds=HARD,
        about_token=False,
    ),
)

LETTERS: dict[str, LetterType] = {letter.key: letter for letter in _TYPES}

"""Every figure of the rules, once. A journey keeps the policy that it started with."""

from datetime import date, time
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from domain.address import Address

Days = Annotated[int, Field(ge=1, le=3650)]


class Policy(BaseModel):
    """Defaults of `rules.md`; each is set by `TOKENS_POLICY__<NAME>` without touching code.

    Journeys and rows keep a policy for years, and releases differ in their figures: one that this release does not know is
    passed over, and one that is missing or that it can't take any more counts by its default. Only where figures are set is
    a wrong one refused (`settings.Figures`)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @field_validator("*", mode="wrap")
    @classmethod
    def _kept(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return read(value)
        except ValidationError:
            if isinstance(value, dict):
                # An address, which has no default that could stand for it: without the parts that are not known here.
                return read({part: said for part, said in value.items() if part in Address.model_fields})
            return cls.model_fields[str(info.field_name)].get_default()

    # Requesting
    queue_alert_business_days: Days = 1
    most_edits: Annotated[int, Field(ge=1, le=200)] = 25
    """Of one request."""

    # Stock
    low_stock_tokens: Annotated[int, Field(ge=0)] = 10
    """The team is told when no more than so many hard tokens are left in stock, in all."""
    low_stock_tokens_of_batch: Annotated[int, Field(ge=0)] = 3
    """And when no more than so many are left of one batch."""

    # Shipping
    carrier_time_zone: str = "America/New_York"
    carrier_cutoff: time = time(17, 0)
    carrier_opens: time = time(9, 0)
    carrier_closed: tuple[date, ...] = ()
    """Days on which the carrier does not work beside its own holidays (storms, strikes)."""
    delivery_first_day: Days = 3
    delivery_last_day: Days = 5
    lost_in_transit_day: Days = 10

    # Activation
    link_validity_days: Days = 14
    reminder_days: tuple[Days, ...] = (3, 7, 13)
    never_activated_days: Days = 30
    most_resends: Annotated[int, Field(ge=1, le=200)] = 25
    """Of one token's activation email, by whomever."""
    hotp_look_ahead: Annotated[int, Field(ge=0, le=100)] = 10
    hotp_resynchronisation: Annotated[int, Field(ge=1, le=1000)] = 100
    totp_steps_either_side: Annotated[int, Field(ge=0, le=10)] = 1
    totp_resynchronisation: Annotated[int, Field(ge=1, le=1000)] = 100
    """Steps either side of our clock within which two consecutive passcodes repair a token (RFC 6238, 6)."""
    throttle_from_failure: Annotated[int, Field(ge=1)] = 3
    throttle_seconds_per_failure: Annotated[int, Field(ge=1)] = 5
    lock_after_failures: Annotated[int, Field(ge=1, le=100)] = 10
    most_failures_in_a_row: Annotated[int, Field(ge=1)] = 100
    """Over all links and unlockings; a token that has had so many is judged no more."""

    # Surescripts
    sync_poll_seconds: Annotated[int, Field(ge=1)] = 60
    sync_promise_minutes: Annotated[int, Field(ge=1)] = 60
    sync_slow_poll_minutes: Annotated[int, Field(ge=1)] = 15

    # Ending
    return_reminder_days: tuple[Days, ...] = (7, 14, 21)
    return_written_off_days: Days = 30
    incident_business_days: Days = 1
    """21 CFR 1311.102(d): a lost or stolen token is reported within one business day."""
    incident_warning_hours: Annotated[int, Field(ge=1, le=240)] = 4
    """The team is alarmed this long before the report falls due."""
    incident_reminder_hours: Annotated[int, Field(ge=1, le=240)] = 24
    """And again at this pace once it is overdue."""
    reconcile_limit: Annotated[int, Field(ge=0, le=1000)] = 200
    """How many repairs one run of `Reconcile` makes at most: whatever has gone wrong, it is seen before it grows."""
    return_address: Address = Address(
        name="RXNT", street1="1449 Whitehall Road", city="Annapolis", state="MD", postal_code="21409"
    )

"""Who may request a token, and with which contact details. Asked by a request and, before it touches the old token, by a
replacement. All of it raises `refused`, with the sentence."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from activities.errors import refused
from database.tables import JourneyRow, Prescriber, ReplacementRow
from domain import address, email_address
from domain.address import Address
from domain.status import Kind, Status


def known_prescriber(session: Session, prescriber_id: str) -> Prescriber:
    """The account."""
    prescriber = session.get(Prescriber, prescriber_id)
    if prescriber is None:
        raise refused(f"Prescriber {prescriber_id} is not known; check the id, or add the account first.")
    return prescriber


def refuse_without_id_proofing(prescriber: Prescriber) -> None:
    """A token needs the one-time ID proofing (article, first paragraph)."""
    if not prescriber.id_proofed:
        raise refused(
            f"Prescriber {prescriber.prescriber_id} has not completed ID proofing, which a token needs; complete it and request again."
        )


def refuse_second(session: Session, prescriber_id: str, kind: Kind, replaces: str | None = None) -> None:
    """One live token per prescriber and kind, whoever starts it. The place of a token that is being replaced is kept for
    the one that replaces it."""
    other = session.scalars(
        select(JourneyRow).where(JourneyRow.prescriber_id == prescriber_id, JourneyRow.kind == kind, JourneyRow.live)
    ).first()
    if other is not None:
        instead = (
            "replace or deactivate that one instead"
            if other.status == Status.ACTIVE
            else "wait for that one, or cancel it first"
        )
        raise refused(
            f"Prescriber {prescriber_id} already has a {kind} token: journey {other.journey_id} is {other.status}; {instead}."
        )
    reserved = session.scalars(
        select(ReplacementRow).where(
            ReplacementRow.prescriber_id == prescriber_id,
            ReplacementRow.kind == kind,
            ReplacementRow.finished_at.is_(None),
        )
    ).first()
    if reserved is not None and reserved.journey_id != replaces:
        raise refused(
            f"Prescriber {prescriber_id}'s {kind} token is being replaced: {reserved.workflow_id} is about to request journey "
            f"{reserved.successor_id}; wait for that one, or start `ReplaceToken` for {reserved.journey_id} again if it is not running."
        )


def email_for(given: str | None, prescriber: Prescriber) -> str:
    """The one given, or else the account's."""
    return checked_email(given or prescriber.email)


def address_for(given: Address | None, prescriber: Prescriber, kind: Kind) -> Address | None:
    """The one given, or else the account's; a soft token has none."""
    if kind is Kind.SOFT:
        return None
    return checked_address(given or Address.model_validate(prescriber.address))


def checked_email(text: str) -> str:
    """The same, normalised."""
    try:
        return email_address.checked(text)
    except ValueError as fault:
        raise refused(str(fault)) from None


def checked_address(given: Address) -> Address:
    """The same."""
    problems = address.problems(given)
    if problems:
        raise refused(" ".join(problems))
    return given

"""The parcel carrier: labels."""

from pydantic import BaseModel
from temporalio import activity

from activities.party import Party, key_of
from domain.address import Address


class LabelOrder(BaseModel):
    """One label per journey: `journey_id` is the key that makes it idempotent."""

    journey_id: str
    to: Address
    sender: Address


class ReturnLabelOrder(BaseModel):
    """One prepaid label per return: `run_id` is the key that makes it idempotent."""

    return_id: str
    run_id: str
    sender: Address
    to: Address


class ReturnLabel(BaseModel):
    """`label_url` is where the carrier has the label to print."""

    tracking_number: str
    label_url: str


class Carrier:
    """Given the carrier's HTTP API."""

    def __init__(self, party: Party) -> None:
        self._party = party

    @activity.defn(name="carrier.label")
    def label(self, order: LabelOrder) -> str:
        """The tracking number of the journey's one parcel."""
        body = {
            "to": order.to.model_dump(exclude_none=True),
            "from": order.sender.model_dump(exclude_none=True),
            "reference": order.journey_id,
        }
        return self._party.ask("PUT", f"/v1/shipments/{key_of(order.journey_id)}", body)["tracking_number"]

    @activity.defn(name="carrier.return_label")
    def return_label(self, order: ReturnLabelOrder) -> ReturnLabel:
        """A prepaid label from the prescriber to the return address."""
        body = {
            "to": order.to.model_dump(exclude_none=True),
            "from": order.sender.model_dump(exclude_none=True),
            "reference": order.return_id,
            "service": "return",
        }
        return ReturnLabel.model_validate(self._party.ask("PUT", f"/v1/shipments/{key_of(order.run_id)}", body))

    @activity.defn(name="carrier.void")
    def void(self, journey_id: str) -> None:
        """The label is not used: the journey ended before the parcel left."""
        self._party.ask("PUT", f"/v1/shipments/{key_of(journey_id)}/void", {})

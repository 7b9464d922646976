"""The token vendor: makes a token usable for a journey, and revokes it."""

from pydantic import BaseModel
from temporalio import activity

from activities.party import Party, key_of
from domain.status import Kind


class VendorOrder(BaseModel):
    """`journey_id` is the vendor's reference and the key that makes every order idempotent."""

    journey_id: str
    kind: Kind
    serial_number: str | None = None


class Vendor:
    """Given the vendor's HTTP API."""

    def __init__(self, party: Party) -> None:
        self._party = party

    @activity.defn(name="vendor.provision")
    def provision(self, order: VendorOrder) -> None:
        """Registers the token for the journey. Done once, however often it is asked."""
        body = {"kind": order.kind, "reference": order.journey_id, "serial_number": order.serial_number}
        self._party.ask("PUT", f"/v1/provisionings/{key_of(order.journey_id)}", {k: v for k, v in body.items() if v})

    @activity.defn(name="vendor.revoke")
    def revoke(self, order: VendorOrder) -> None:
        """The token opens nothing at the vendor any more."""
        body = {"reference": order.journey_id, "serial_number": order.serial_number}
        self._party.ask("PUT", f"/v1/revocations/{key_of(order.journey_id)}", {k: v for k, v in body.items() if v})

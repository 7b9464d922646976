"""What every page of a signed-on prescriber is given."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import HTMLResponse

from domain.address import Address
from domain.wording import by_when, day, last_instant, moment, short_day
from starter.gateway.pages import page, templates
from starter.gateway.signon.sessions import Visitor

HOME = "/manage-tokens"


def screen(template: str, visitor: Visitor, status: int = 200, **facts: Any) -> HTMLResponse:
    """The page, with the visitor's name, zone and form token."""
    return page(template, status, **_common(visitor), **facts)


def piece(template: str, visitor: Visitor, **facts: Any) -> str:
    """A part of a page, as its script asks for it."""
    return templates.get_template(template).render(**_common(visitor), **facts)


def url_of(journey_id: str, action: str = "") -> str:
    """The address of a token's page. A journey that was started in the Temporal UI may have any id."""
    return f"{HOME}/token/{quote(journey_id, safe='')}{f'/{action}' if action else ''}"


def lines_of(address: Address) -> list[str]:
    """As on an envelope."""
    last = f"{address.city}, {address.state} {address.postal_code}"
    return [line for line in (address.name, address.street1, address.street2, last) if line]


def _common(visitor: Visitor) -> dict[str, Any]:
    return {
        "visitor": visitor,
        "zone": visitor.zone,
        "now": datetime.now(UTC),
        "moment": moment,
        "day": day,
        "short_day": short_day,
        "by_when": by_when,
        "last_instant": last_instant,
        "url_of": url_of,
        "lines_of": lines_of,
    }

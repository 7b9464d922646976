"""Where a request comes from: our own pages, or this very machine."""

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request

from settings import Settings

_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
_FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def from_our_pages(request: Request, settings: Settings) -> bool:
    """Whether a form was sent from a page of ours.

    Browsers say so in `Sec-Fetch-Site`; `Origin` is asked only where an older one doesn't, because it is `null` from pages
    that send no referrer, as ours are. Where neither says so, it was not.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") in (settings.public_base, f"{request.url.scheme}://{request.url.netloc}")


def on_this_machine(request: Request) -> bool:
    """Whether the browser runs on this machine and was sent here under a name of this machine: not through a proxy, and not
    under a foreign name that was made to point here (DNS rebinding)."""
    if request.client is None or any(name in request.headers for name in _FORWARDING):
        return False
    return _is_loopback(request.client.host) and _host(request.headers.get("host", "")) in _LOOPBACK_NAMES


def trying_out(request: Request, settings: Settings) -> bool:
    """Whether the pages for whoever tries the system out are there: in the embedded stack, for a browser on this machine."""
    return settings.embedded and on_this_machine(request)


def secure(settings: Settings) -> bool:
    """Whether cookies travel over HTTPS only: always, except with plain HTTP on this machine."""
    public = urlsplit(settings.public_base)
    return not (public.scheme == "http" and public.hostname in _LOOPBACK_NAMES)


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

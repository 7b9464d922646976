"""How pages are made: templates, and the headers that every one of them carries."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

_TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "pages"

HEADERS = {
    # No script but our own files, no frame around us, and nothing personal left in a cache.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}

templates = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """The rendered template of `templates/pages/`."""
    return HTMLResponse(templates.get_template(template).render(facts), status, HEADERS)

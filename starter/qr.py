"""The QR code that an authenticator app scans. What it shows holds a seed: it goes to the person's screen and nowhere else."""

import io

import segno

_QUIET_ZONE = 4
"""Modules of white around the code, without which it is not found (ISO/IEC 18004)."""


def svg(uri: str) -> str:
    """An `<svg>` element to stand in a page as it is; black on white also where the page is dark."""
    return _code(uri).svg_inline(scale=5, border=_QUIET_ZONE, light="#fff", title="QR code for the token app")


def png(uri: str) -> bytes:
    """The same as a PNG file."""
    file = io.BytesIO()
    _code(uri).save(file, kind="png", scale=5, border=_QUIET_ZONE)
    return file.getvalue()


def lines(uri: str, colours: bool = False) -> list[str]:
    """The same for a terminal, in half blocks that are drawn where the code is white. `colours`: set black and white for
    terminals that are dark on light."""
    text = io.StringIO()
    _code(uri).terminal(text, border=_QUIET_ZONE, compact=True)
    drawn = text.getvalue().splitlines()
    return [f"\x1b[97;40m{line}\x1b[0m" for line in drawn] if colours else drawn


def _code(uri: str) -> segno.QRCode:
    """Never a Micro QR code, which apps don't read."""
    return segno.make(uri, error="m", micro=False)

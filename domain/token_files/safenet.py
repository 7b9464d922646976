"""SafeNet's (Aladdin's, Thales') XML for eToken PASS and its like: `Tokens/Token[@serial]` with `Applications/Application` that has
`Seed` (hex) and `MovingFactor`. It knows HOTP alone; a seed of 32 bytes means SHA-256, as LinOTP and privacyIDEA read it."""

from collections.abc import Iterator
from pathlib import Path

from domain.token_files.row import Given, Row, bad_row, row_of
from domain.token_files.xml import bare, elements

_HEX_OF_SHA256 = 64


def rows(path: Path) -> Iterator[Row]:
    """Each token, good or bad. Raises FileRefused."""
    for place, (_, token) in enumerate(elements(path, "Token"), 1):
        bare(token)
        serial = token.get("serial") or ""
        applications = [each for each in token.iterfind("Applications/Application") if each.find("Seed") is not None]
        if len(applications) != 1:
            how_many = "no" if not applications else "more than one"
            yield bad_row(place, serial, f"it has {how_many} application with a seed")
            continue
        seed = (applications[0].findtext("Seed") or "").strip()
        yield row_of(
            place,
            Given(
                serial,
                seed,
                "hex",
                "hotp",
                digest="sha256" if len(seed) == _HEX_OF_SHA256 else "sha1",
                counter=applications[0].findtext("MovingFactor") or "",
            ),
        )

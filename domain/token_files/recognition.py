"""Which format a file is in, by what stands at its beginning."""

import re
from enum import StrEnum
from pathlib import Path

from domain.token_files import yubico
from domain.token_files.row import FileRefused
from domain.token_files.text import cells, lines

_BEGINNING = 4096
_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z]+)[\s/>]")

_NOT_OURS = {
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"-----BEGIN PGP": "is encrypted with PGP; decrypt it first",
    b"%PDF": "is a PDF document; ask the sender for the seed file itself",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as CSV",
}


class Format(StrEnum):
    """What `--format` takes."""

    OATH_CSV = "oath-csv"
    YUBICO = "yubico"
    SAFENET_XML = "safenet-xml"
    PSKC = "pskc"


def recognised(path: Path) -> Format:
    """The file's format. Raises FileRefused for one that is none of them; of anything that looks like rows of text it is said
    that it is OATH CSV."""
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    for mark, what in _NOT_OURS.items():
        if beginning.startswith(mark):
            raise FileRefused(f"The file {what}.")
    if not beginning.strip():
        raise FileRefused("The file is empty; send one with at least one token.")
    text = beginning.decode("utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    if text.lstrip().startswith("<"):
        return _of_xml(text)
    for _, line in lines(path):
        return Format.YUBICO if yubico.looks_like(cells(line)) else Format.OATH_CSV
    raise FileRefused("The file holds no tokens; send one with at least one.")


def _of_xml(text: str) -> Format:
    root = _ROOT.search(text)
    match root[1] if root else None:
        case "KeyContainer":
            return Format.PSKC
        case "Tokens":
            return Format.SAFENET_XML
        case _:
            raise FileRefused(
                "The file is XML, but neither PSKC (KeyContainer) nor SafeNet's (Tokens); send one of those."
            )

"""Files of lines: their encoding, their separators."""

import csv
from collections.abc import Iterator
from pathlib import Path

from domain.token_files.row import FileRefused

_LONGEST = 4096
"""Characters. No token takes more, and a file that is one endless line must not fill the memory."""
UNREADABLE = "\ufffd"
"""Stands where a byte can't be read; no row that has one is taken."""


def lines(path: Path, *, comments: bool = False) -> Iterator[tuple[int, str]]:
    """Each line that says something, with its number in the file; blank ones are left out, and so are comments (#) unless
    asked for. Raises FileRefused for a line that no token file has."""
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with path.open(encoding=encoding, errors="replace") as text:
        number = 0
        while line := text.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise FileRefused(
                    f"Line {number} is longer than {_LONGEST} characters, which no token file's is; check the file."
                )
            if line.strip() and (comments or not line.lstrip().startswith("#")):
                yield number, line.rstrip("\r\n")


def cells(line: str, separator: str = ",") -> list[str]:
    """The line's cells, without the blanks around them. Quotes are understood, but don't go on into the next line."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]
    except csv.Error:
        return []


def separator(line: str) -> str:
    """What parts the cells of this line: comma, semicolon or tab."""
    return max(",;\t", key=line.count)

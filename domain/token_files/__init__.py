"""Reads the files in which token makers and other systems hand over tokens with their seeds: `rows` is the way in.

Seeds are secrets: no sentence of a refused row or file ever holds one, and no repr does.
"""

from collections.abc import Iterator
from pathlib import Path

from domain.token_files import oath_csv, pskc, safenet, yubico
from domain.token_files.recognition import Format, recognised
from domain.token_files.row import BadRow, FileRefused, Row, Token, Unlock

__all__ = ["BadRow", "FileRefused", "Format", "Row", "Token", "Unlock", "recognised", "rows"]


def rows(path: Path, format_: Format, unlock: Unlock) -> Iterator[Row]:
    """Each token of the file, good or bad, in its order; read as it is asked for, so that a large file needs no memory.
    Raises FileRefused, at the beginning or on the way, where the file as a whole can't be read."""
    match format_:
        case Format.OATH_CSV:
            return oath_csv.rows(path)
        case Format.YUBICO:
            return yubico.rows(path)
        case Format.SAFENET_XML:
            return safenet.rows(path)
        case Format.PSKC:
            return pskc.rows(path, unlock)

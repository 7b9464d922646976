"""QR codes of provisioning URIs: page, file and terminal show the same code, with its quiet zone."""

import itertools
import re
import struct
import zlib
from xml.etree import ElementTree

import segno

from starter import qr

URI = "otpauth://totp/RXNT%20EPCS:a%40clinic.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=RXNT%20EPCS"
Modules = list[list[int]]


def expected() -> Modules:
    """Every module of the code of `URI`, 1 for black, within four modules of white."""
    code = segno.make_qr(URI, error="m")
    width = len(code.matrix) + 8
    white = [[0] * width] * 4
    return [*white, *([0] * 4 + [int(module) for module in row] + [0] * 4 for row in code.matrix), *white]


def test_svg() -> None:
    shown = qr.svg(URI)
    root = ElementTree.fromstring(shown)
    size = len(expected())
    assert root.get("width") == root.get("height") == str(5 * size)
    white, black = root.iter("path")
    assert white.get("fill") == "#fff"
    assert white.get("d") == f"M0 0h{size}v{size}h-{size}z"
    assert black.get("stroke") == "#000"
    modules = [[0] * size for _ in range(size)]
    x = y = 0.0
    for command, arguments in re.findall(r"([Mmh])([^Mmh]*)", black.get("d") or ""):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        match command:
            case "M":
                x, y = numbers
            case "m":
                x, y = x + numbers[0], y + numbers[1]
            case _:
                for column in range(int(x), int(x + numbers[0])):
                    modules[int(y)][column] = 1
                x += numbers[0]
    assert modules == expected()
    assert [title.text for title in root.iter("title")] == ["QR code for the token app"]
    assert "otpauth" not in shown  # the code says it, and nothing else: text gets copied and logged
    assert "GEZDGNBV" not in shown


def test_png() -> None:
    content = qr.png(URI)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        chunks[name] = content[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (1, 0)  # one bit of grey: 1 is white
    raw = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + (width + 7) // 8
    rows = [raw[start : start + stride] for start in range(0, height * stride, 5 * stride)]
    assert {row[0] for row in rows} == {0}  # no filter; the four lines after each repeat it
    modules = [[1 - (row[1 + x // 8] >> (7 - x % 8) & 1) for x in range(2, width, 5)] for row in rows]
    assert modules == expected()
    assert b"otpauth" not in content


def test_terminal() -> None:
    halves = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    drawn = qr.lines(URI)
    rows = list(itertools.chain.from_iterable(zip(*(halves[sign] for sign in line), strict=True) for line in drawn))
    assert [list(row) for row in rows][: len(expected())] == expected()
    coloured = qr.lines(URI, colours=True)
    assert [line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m") for line in coloured] == drawn
    assert all(line.startswith("\x1b[97;40m") for line in coloured)


def test_never_a_micro_code() -> None:
    assert len(qr.lines("otpauth://x")) * 2 >= 21 + 8

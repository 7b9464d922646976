"""How sentences and whole texts are written out: the templates' filters, and the shape of both parts of an email."""

import re
import textwrap


def in_words(text: str | None) -> str:
    """A code such as `no_longer_needed` in words; anything else as it is."""
    return text.replace("_", " ") if text and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", text) else text or ""


def begin(text: str) -> str:
    """With a capital at the beginning; the rest as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Begins with a capital and ends with a full stop, whoever wrote it."""
    text = begin(in_words(text))
    return text + ("" if text.endswith((".", "!", "?", "…")) else ".")


def listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def reflow(text: str, width: int = 72) -> str:
    """The text part with its paragraphs filled to `width` columns.

    Lines that begin with two spaces (links, addresses, facts) stay lines of their own, steps ("1. ", "- ") hang;
    a link is never broken.
    """
    out: list[str] = []
    paragraph: list[str] = []

    def close() -> None:
        if paragraph:
            hang = re.match(r"(\d+\.|-) ", paragraph[0])
            out.extend(_wrap(" ".join(paragraph), width, "", " " * len(hang[0]) if hang else ""))
            paragraph.clear()

    for line in text.splitlines():
        if line.startswith("  ") or re.fullmatch(r"-{3,}", line):
            close()
            out.extend(_wrap(line.strip(), width, line[: len(line) - len(line.lstrip())], "    "))
        elif not line.strip():
            close()
            if out and out[-1]:
                out.append("")
        else:
            if re.match(r"(\d+\.|-) ", line):
                close()
            paragraph.append(line.strip())
    close()
    return "\n".join(out).strip("\n") + "\n"


def _wrap(text: str, width: int, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def trim(html: str) -> str:
    """Without indentation and empty lines: a quarter less to send, and nothing that a mail client could show."""
    return "\n".join(line.strip() for line in html.splitlines() if line.strip()) + "\n"

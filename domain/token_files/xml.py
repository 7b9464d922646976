"""XML files, one element at a time: no document type, no entities, nothing fetched, and no more memory than one element."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from domain.token_files.row import FileRefused


def elements(path: Path, *names: str) -> Iterator[tuple[Any, Any]]:
    """Each element with one of these names (whatever its namespace) that is a child of the root, with the root; both are
    emptied when the next one is asked for. Raises FileRefused."""
    try:
        with path.open("rb") as file:
            yield from _elements(file, names)
    except etree.XMLSyntaxError as fault:
        line, _ = fault.position
        raise FileRefused(
            f"The file is not whole: its XML breaks at line {line or 1}; get it from its sender once more."
        ) from None
    except (LookupError, ValueError, UnicodeError):
        raise FileRefused("The file is not whole: its XML can't be read; get it from its sender once more.") from None


def _elements(file: BinaryIO, names: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    parsing = etree.iterparse(
        file, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    for event, element in parsing:
        if event == "start":
            if element.getparent() is None and element.getroottree().docinfo.doctype:
                raise FileRefused(
                    "The file has a document type, which token files have no use for; ask its sender for one without."
                )
            continue
        root = element.getparent()
        if root is None or root.getparent() is not None or _local(element.tag) not in names:
            continue
        yield root, element
        element.clear()
        while element.getprevious() is not None:
            del root[0]


def bare(element: Any) -> Any:
    """The element with all names below it freed from their namespaces."""
    for part in element.iter():
        if isinstance(part.tag, str):
            part.tag = _local(part.tag)
    return element


def _local(name: str) -> str:
    """The name without its namespace; where a damaged prefix means none, it stays with it as a name that nobody knows."""
    return name.rpartition("}")[2].replace(":", "_")

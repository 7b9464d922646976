"""The mailbox that everybody's mail arrives in, read as it grows."""

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

_LINK = re.compile(r"/activate/([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class Received:
    """`number`: its place in the order of arrival. `link`: the secret of the activation link in it."""

    number: int
    message_id: str
    journey_id: str
    letter: str
    to: str
    link: str | None


class Postbox:
    """Given the Maildir."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "new"
        self._seen: dict[str, Received] = {}

    def received(self) -> list[Received]:
        """All of it, oldest first."""
        for path in self._folder.iterdir() if self._folder.exists() else ():
            if path.name not in self._seen:
                self._seen[path.name] = _read(path.read_bytes())
        return sorted(self._seen.values(), key=lambda one: one.number)

    def has(self, journey_id: str, letter: str) -> bool:
        """Whether such a letter about that journey has arrived."""
        return any((one.journey_id, one.letter) == (journey_id, letter) for one in self.received())

    def link(self, journey_id: str, but: set[str]) -> str | None:
        """The newest activation link of a journey, of those that are not among `but`."""
        links = [one.link for one in self.received() if one.journey_id == journey_id and one.link not in {None, *but}]
        return links[-1] if links else None


def _read(content: bytes) -> Received:
    message = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
    part = message.get_body(("plain",))
    found = _LINK.search(part.get_content()) if part is not None else None
    return Received(
        int(message["X-Sink-Number"]),
        str(message["Message-ID"]),
        str(message["X-Token-Journey"]),
        str(message["X-Token-Letter"]),
        str(message["To"]),
        found[1] if found else None,
    )

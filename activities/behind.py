"""A journey's own writing finds out that the database was restored to an earlier moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from activities.errors import behind
from database import audit


@contextmanager
def telling_behind() -> Iterator[None]:
    """Raises `behind` where the audit trail lacks what the journey has written before; what was begun is rolled back."""
    try:
        yield
    except audit.Gap:
        raise behind() from None

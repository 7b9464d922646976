"""The lists of an operator's day, as queries for the Temporal UI: docs/operating.md explains them, `tokens views` links to them.

A query can't compare with "now", nor order: moments are filled in when the link is made.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from settings import Settings

EXAMPLE_SERIAL = "HT-4F7K2QX"
EXAMPLE_PRESCRIBER = "P-1001"
_RUNS = 'ExecutionStatus = "Running"'
# A token that has been active for years has older runs, closed by Temporal's housekeeping, that say the same.
_ONCE = 'ExecutionStatus != "ContinuedAsNew"'


@dataclass(frozen=True)
class View:
    """One list: `query` may hold `{now}`, `{tomorrow}`, `{serial}` and `{prescriber}`."""

    name: str
    question: str
    query: str

    def needs(self, what: str) -> bool:
        return f"{{{what}}}" in self.query

    def filled(self, now: datetime, serial: str = EXAMPLE_SERIAL, prescriber: str = EXAMPLE_PRESCRIBER) -> str:
        """The query to paste; `now` is aware, and stands in it as UTC."""
        return self.query.format(
            now=_text(now),
            tomorrow=_text(now + timedelta(days=1)),
            serial=_quoted(serial),
            prescriber=_quoted(prescriber),
        )


VIEWS = (
    View("queue", "What waits to be processed?", f'TokenStatus = "Requested" AND {_RUNS}'),
    View("queue-hard", "Of these, the hard tokens?", f'TokenStatus = "Requested" AND TokenKind = "hard" AND {_RUNS}'),
    View("queue-soft", "Of these, the soft tokens?", f'TokenStatus = "Requested" AND TokenKind = "soft" AND {_RUNS}'),
    View(
        "queue-due",
        "Which of them must be processed within a day, or should have been?",
        f'TokenStatus = "Requested" AND ActionDueBy < "{{tomorrow}}" AND {_RUNS}',
    ),
    View("attention", "What needs a person?", f"NeedsAttention = true AND {_RUNS}"),
    View("overdue", "Which promise is overdue?", f'ActionDueBy < "{{now}}" AND {_RUNS}'),
    View(
        "to-ship",
        "Which hard tokens are processed, and not with the carrier yet?",
        f'TokenStatus = "Processed" AND TokenKind = "hard" AND {_RUNS}',
    ),
    View("on-its-way", "Which parcels are on their way?", f'TokenStatus = "Shipped" AND {_RUNS}'),
    View(
        "parcel-trouble",
        "Which parcels are late, or in trouble?",
        f'TokenStatus = "Shipped" AND NeedsAttention = true AND {_RUNS}',
    ),
    View(
        "not-activated",
        "Who has a token and has not activated it?",
        f'(TokenStatus = "Delivered" OR (TokenStatus = "Processed" AND TokenKind = "soft")) AND {_RUNS}',
    ),
    View(
        "sync-stuck",
        "Which tokens are enrolled, and not in the directory after an hour?",
        f'TokenStatus = "Syncing" AND NeedsAttention = true AND {_RUNS}',
    ),
    View(
        "ending",
        "Which tokens have ended, and a party has not been told yet?",
        f'TokenStatus IN ("Cancelled", "Deactivated") AND {_RUNS}',
    ),
    View("returns", "Which tokens are awaited by mail?", f'WorkflowType = "ReturnByMail" AND {_RUNS}'),
    View(
        "returns-here",
        "Which returns need a person: delivered to us and not confirmed, or gone astray?",
        f'WorkflowType = "ReturnByMail" AND NeedsAttention = true AND {_RUNS}',
    ),
    View("incidents", "Which losses have to be reported?", f'IncidentStatus IN ("Open", "Overdue") AND {_RUNS}'),
    View("incidents-overdue", "Which reports are overdue?", f'IncidentStatus = "Overdue" AND {_RUNS}'),
    View("replacing", "Which replacements are not finished?", f'WorkflowType = "ReplaceToken" AND {_RUNS}'),
    View("refused", "What was refused when it was started?", 'ExecutionStatus = "Failed"'),
    View(
        "terminated",
        "Which journeys did somebody terminate?",
        'WorkflowType = "TokenJourney" AND ExecutionStatus = "Terminated"',
    ),
    View("serial", "Whose token is this?", f'SerialNumber = "{{serial}}" AND {_ONCE}'),
    View("prescriber", "Which tokens does this prescriber have?", f'PrescriberId = "{{prescriber}}" AND {_ONCE}'),
)


def link(settings: Settings, query: str) -> str:
    """The Temporal UI's list of what the query finds."""
    return f"{settings.list_url}?{urlencode({'query': query})}"


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')

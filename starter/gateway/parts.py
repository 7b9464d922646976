"""What every part of the gateway is given."""

from sqlalchemy import Engine, select
from temporalio.client import Client

from activities.verification import Verification
from connection import TASK_QUEUE
from database.engine import Sessions, engine_of, sessions_of
from database.tables import TokenRow
from settings import Settings
from starter.journeys import Journeys
from starter.target import seal_of

LOCKED = (
    "Activation is locked after too many wrong passcodes; ask the token team for a new link, which they send once they"
    " have spoken with the prescriber."
)


class Gateway:
    """Settings, database and journeys. `open` and `close` frame its life, in the event loop that serves."""

    def __init__(self, settings: Settings, task_queue: str = TASK_QUEUE) -> None:
        self.settings = settings
        self.task_queue = task_queue
        self._engine: Engine = engine_of(settings.url_of_database)
        self.sessions: Sessions = sessions_of(self._engine)
        self._client: Client | None = None

    def open(self, client: Client) -> None:
        """From here on it can speak to Temporal."""
        self._client = client

    def close(self) -> None:
        self._engine.dispose()

    @property
    def client(self) -> Client:
        if self._client is None:
            raise RuntimeError("the gateway has not been started yet")
        return self._client

    @property
    def journeys(self) -> Journeys:
        """Starts journeys and speaks with them."""
        return Journeys(self.client, self.task_queue)

    def locked(self, journey_id: str) -> bool:
        """Whether ten wrong passcodes have locked the activation of the token, which only the team undoes."""
        with self.sessions() as session:
            found = select(TokenRow.locked).where(TokenRow.journey_id == journey_id, TokenRow.locked)
            return session.scalars(found).first() is not None

    def verification(self) -> Verification:
        """Judges passcodes of active tokens. Raises ValueError where no sealing key is set."""
        settings = self.settings
        return Verification(self.sessions, seal_of(settings), settings.pin_pepper.get_secret_value(), settings.policy)

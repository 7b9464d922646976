"""What every part of the gateway is given."""

from sqlalchemy import Engine
from temporalio.client import Client

from activities.verification import Verification
from connection import TASK_QUEUE
from database.engine import Sessions, engine_of, sessions_of
from settings import Settings
from starter.journeys import Journeys
from starter.target import seal_of


class Gateway:
    """Settings, database and journeys. `open` and `close` frame its life, in the event loop that serves."""

    def __init__(self, settings: Settings, task_queue: str = TASK_QUEUE) -> None:
        self.settings = settings
        self._task_queue = task_queue
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
        return Journeys(self.client, self._task_queue)

    def verification(self) -> Verification:
        """Judges passcodes of active tokens. Raises ValueError where no sealing key is set."""
        settings = self.settings
        return Verification(self.sessions, seal_of(settings), settings.pin_pepper.get_secret_value(), settings.policy)

"""The same effects without any engine: a status column that threads poll, with SKIP LOCKED. Each stage is one claim."""

import asyncio
import json
import signal
import threading
import time
from typing import Any

from sqlalchemy import Column, MetaData, String, Table, Text, create_engine, select, text, update

from benchmarks import people
from benchmarks.plain import STAGES, Effects, begun, stage, through
from benchmarks.plain_contender import PlainContender
from benchmarks.site import Site, superuser_url
from database.engine import Sessions, engine_of, sessions_of
from domain.journey import Journey
from settings import Settings

_THREADS = 20
_PAUSE = 0.05
_TABLE = Table(
    "bench_polled",
    MetaData(),
    Column("journey_id", String, primary_key=True),
    Column("waits_for", String),
    Column("told", String),
    Column("message", Text),
    Column("state", Text),
    Column("answered", String),
)
"""`told`: the message that is there; where it is what the journey waits for, anybody may take it."""


def make(site: Site) -> None:
    """The table, in the application's database."""
    engine = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS bench_polled"))
        _TABLE.create(connection)
        connection.execute(text("CREATE INDEX ON bench_polled (journey_id) WHERE waits_for = told"))
        connection.execute(
            text("ALTER TABLE bench_polled OWNER TO tokens_owner")
        )  # whose migrations grant on all tables
        connection.execute(text("GRANT ALL ON bench_polled TO tokens_app"))
    engine.dispose()


def serve(settings: Settings) -> None:
    """Until SIGTERM."""
    effects, stop = Effects(settings), threading.Event()
    # Connections of its own: each claim holds one while its effects take others.
    claims = sessions_of(engine_of(settings.url_of_database))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [threading.Thread(target=_poll, args=(effects, claims, stop), daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    print("ready polled", flush=True)
    stop.wait()


def _poll(effects: Effects, claims: Sessions, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            took = _took_one(effects, claims)
        except Exception as fault:  # rolled back: whoever comes next begins the stage anew
            print(f"{type(fault).__name__}: {fault}"[:200], flush=True)
            took = False
        if not took:
            time.sleep(_PAUSE)


def _took_one(effects: Effects, claims: Sessions) -> bool:
    with claims.begin() as session:
        row = session.execute(
            select(_TABLE).where(_TABLE.c.waits_for == _TABLE.c.told).limit(1).with_for_update(skip_locked=True)
        ).first()
        if row is None:
            return False
        state, message = Journey.model_validate_json(row.state), json.loads(row.message or "{}")
        steps = 0

        def carry_out(call: Any) -> Any:
            nonlocal steps
            steps += 1
            return effects.carry_out(call, f"{row.journey_id}:{row.told}:{steps}")

        through(stage(row.told, state, message), carry_out)
        place = STAGES.index(row.told) + 1
        session.execute(
            update(_TABLE)
            .where(_TABLE.c.journey_id == row.journey_id)
            .values(
                state=state.model_dump_json(),
                waits_for=STAGES[place] if place < len(STAGES) else None,
                answered=row.told,
            )
        )
        return True


class Polled(PlainContender):
    name = "polled"

    async def start(self, journey_id: str, kind: str, number: int) -> None:
        state = begun(journey_id, people.prescriber_id(number)).model_dump_json()
        await asyncio.to_thread(self._put, journey_id, state)

    def _put(self, journey_id: str, state: str) -> None:
        with self.site.sessions.begin() as session:
            session.execute(
                _TABLE.insert().values(journey_id=journey_id, waits_for="request", told="request", state=state)
            )

    def tell(self, journey_id: str, name: str, message: dict[str, Any]) -> None:
        """Waits for the stage before to be over: the row holds one message."""
        order = (
            update(_TABLE)
            .where(_TABLE.c.journey_id == journey_id, _TABLE.c.waits_for == name)
            .values(told=name, message=json.dumps(message))
            .returning(_TABLE.c.journey_id)
        )
        for _ in range(2400):
            with self.site.sessions.begin() as session:
                if session.execute(order).first():
                    return
            time.sleep(_PAUSE)
        raise TimeoutError(f"{journey_id} never waited for {name}")

    def reply(self, journey_id: str, name: str) -> None:
        for _ in range(2400):
            with self.site.sessions() as session:
                answered = session.scalar(select(_TABLE.c.answered).where(_TABLE.c.journey_id == journey_id))
            if answered == name:
                return
            time.sleep(_PAUSE)
        raise TimeoutError(f"{journey_id} has not answered {name}")

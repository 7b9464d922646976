"""How commands speak: tables and sentences for people, one JSON document for machines, exit codes for scripts."""

import asyncio
import functools
import json
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError, SQLAlchemyError
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from database.sealing import Unsealable
from starter.target import NoSystem

REFUSED = 1
BAD_USAGE = 2

out = Console(highlight=False, width=None if sys.stdout.isatty() else 132)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables and sentences.")]


class Refusal(Exception):
    """The system says no; the sentence is for the person at the terminal."""


def show_json(value: Any) -> None:
    """One JSON document on standard output, whole even where the terminal is narrow."""
    print(json.dumps(value, default=str), flush=True)


def table(*columns: str) -> Table:
    """A table with these headings."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def when(value: datetime | str | None) -> str:
    """A moment for a table, in UTC."""
    if value is None:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{moment:%a %d %b %Y %H:%M} UTC"


def command(work: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async command; a refusal becomes its sentence and exit code 1."""

    @functools.wraps(work)
    def run(*arguments: Any, **options: Any) -> None:
        code = 0
        try:
            asyncio.run(work(*arguments, **options))
        except (Refusal, NoSystem) as refusal:
            err.print(str(refusal), style="red", markup=False, soft_wrap=True)
            code = REFUSED
        except (WorkflowUpdateFailedError, WorkflowQueryFailedError) as fault:
            cause = fault.cause
            err.print(
                cause.message if isinstance(cause, ApplicationError) else str(cause or fault),
                style="red",
                markup=False,
                soft_wrap=True,
            )
            code = REFUSED
        except RPCError as fault:
            err.print(_rpc(fault), style="red", markup=False, soft_wrap=True)
            code = REFUSED
        except Unsealable as fault:
            err.print(_unsealable(fault), style="red", markup=False, soft_wrap=True)
            code = REFUSED
        except (SQLAlchemyError, SettingsError, ValueError) as fault:
            err.print(_setting(fault), style="red", markup=False, soft_wrap=True)
            code = REFUSED
        # A client's background thread now and then crashes Python at exit; everything is said by here.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    return run


def _unsealable(fault: Unsealable) -> str:
    return f"What it needs can't be decrypted ({fault}); `tokens keys seals` shows which key of TOKENS_SEAL_KEYS is missing."


def _setting(fault: Exception) -> str:
    """What is set wrong, or not set at all; never the value, which may be a secret."""
    match fault:
        case ValidationError():
            problems = (
                f"TOKENS_{'__'.join(map(str, problem['loc'])).upper()}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
                for problem in fault.errors(include_url=False, include_input=False)
            )
            return f"A setting can't be used: {'; '.join(problems)}."
        case SettingsError():
            return f"A setting can't be used: {fault}; lists and objects are written as JSON."
        case ArgumentError():
            return "TOKENS_DATABASE_URL is not the address of a database; write it as postgresql+psycopg://user:password@host/name."
        case OperationalError() | ProgrammingError():
            return (
                "The database can't be used: it is not there, has no tables yet, or does not answer; start the embedded stack with "
                "`tokens up`, or set TOKENS_DATABASE_URL and run `tokens db upgrade`."
            )
        case SQLAlchemyError():
            return f"The database refused ({type(fault).__name__}); look with `tokens doctor`."
        case _:
            return f"It can't be done: {fault}."


def _rpc(fault: RPCError) -> str:
    if fault.status is RPCStatusCode.NOT_FOUND:
        return "There is no running journey of that id; look it up with `tokens list`."
    return f"Temporal did not answer ({fault.status.name.lower()}); try again, or look with `tokens doctor`."

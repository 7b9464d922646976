"""Arithmetic with times in SQL, for SQLite and PostgreSQL alike."""

from typing import Any

from sqlalchemy import ColumnElement, Float, String, func
from sqlalchemy.ext.compiler import compiles


class seconds_between(ColumnElement[float]):  # noqa: N801  # reads as a function of SQL
    """How many seconds `until` is after `since`."""

    inherit_cache = False
    type = Float()

    def __init__(self, since: Any, until: Any) -> None:
        self.since, self.until = since, until


@compiles(seconds_between, "sqlite")
def _julian(element: seconds_between, compiler: Any, **options: Any) -> str:
    days = func.julianday(element.until) - func.julianday(element.since)
    return compiler.process(days * 86400.0, **options)


@compiles(seconds_between, "postgresql")
def _epoch(element: seconds_between, compiler: Any, **options: Any) -> str:
    since, until = (compiler.process(each, **options) for each in (element.since, element.until))
    return f"CAST(EXTRACT(EPOCH FROM ({until} - {since})) AS DOUBLE PRECISION)"


class hour_of(ColumnElement[str]):  # noqa: N801
    """The hour in which `at` lies, in UTC, as `2026-11-24T15`."""

    inherit_cache = False
    type = String()

    def __init__(self, at: Any) -> None:
        self.at = at


@compiles(hour_of, "sqlite")
def _strftime(element: hour_of, compiler: Any, **options: Any) -> str:
    return f"strftime('%Y-%m-%dT%H', {compiler.process(element.at, **options)})"


@compiles(hour_of, "postgresql")
def _to_char(element: hour_of, compiler: Any, **options: Any) -> str:
    at = compiler.process(element.at, **options)
    return f"""to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')"""

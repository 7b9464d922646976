"""Arithmetic with times in SQL, for SQLite and PostgreSQL alike."""

from typing import Any

from sqlalchemy import ColumnElement, Float, String
from sqlalchemy.ext.compiler import compiles


class seconds_of(ColumnElement[float]):  # noqa: N801  # reads as a function of SQL
    """The moment `at` as seconds, for taking one from another."""

    inherit_cache = False
    type = Float()

    def __init__(self, at: Any) -> None:
        self.at = at


@compiles(seconds_of, "sqlite")
def _julian(element: seconds_of, compiler: Any, **options: Any) -> str:
    return f"(julianday({compiler.process(element.at, **options)}) * 86400.0)"


@compiles(seconds_of, "postgresql")
def _epoch(element: seconds_of, compiler: Any, **options: Any) -> str:
    return f"CAST(EXTRACT(EPOCH FROM {compiler.process(element.at, **options)}) AS DOUBLE PRECISION)"


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

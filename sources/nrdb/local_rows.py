"""Fills a `LocalNrdb`: files or tables become tables of events, fitted in time."""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Final
from typing import cast

import duckdb

from sources.duckdb.files import find
from sources.duckdb.mount import mount
from sources.duckdb.mount_quoting import quoted
from sources.duckdb.semantics_time import time_attribute
from sources.nrdb.events import TIMESTAMP
from sources.nrdb.events import Column
from sources.nrdb.events import Events
from sources.nrdb.events import event_form
from sources.nrdb.literals import name_sql
from sources.nrdb.scope import PRESENT
from sources.nrdb.scope import SIZE
from sources.nrdb.scope import present_of
from sources.nrdb.scope import size_of

_DAY_MS: Final = 86_400_000
_STEP_MS: Final = 1
"""The newest row lies so much before now, since UNTIL excludes its instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Rows before they are events."""

    name: str
    relation: str
    columns: tuple[tuple[str, str], ...]
    time: str | None


def views_of(connection: duckdb.DuckDBPyConnection, folder: Path | None, tables: Mapping[str, str]) -> tuple[View, ...]:
    """What there is to read. Raises `ValueError`."""
    connection.execute("SET TimeZone = 'UTC'")
    found: dict[str, str] = {}
    if folder is not None:
        files = [asdict(file) for file in find((folder,)).files]
        mounted = mount(connection, {"files": files, "copies": {}, "loose": []})["schemas"]
        for entry in cast("list[dict[str, str | None]]", mounted):
            if entry["fault"] is None and entry["name"]:
                found[entry["name"]] = quoted(entry["name"])
    found |= {name: f"({select})" for name, select in tables.items()}
    try:
        return tuple(_view(connection, name, relation) for name, relation in sorted(found.items()))
    except duckdb.Error as fault:
        raise ValueError(f"the rows cannot be read: {str(fault)[:300]}") from fault


def _view(connection: duckdb.DuckDBPyConnection, name: str, relation: str) -> View:
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    columns = tuple((str(row[0]), str(row[1])) for row in described)
    found = time_attribute(columns)
    return View(name=name, relation=relation, columns=columns, time=None if found is None else found[0])


def loaded(
    connection: duckdb.DuckDBPyConnection, views: tuple[View, ...], *, now_ms: int, fit: bool
) -> dict[str, Events]:
    """A table of events for each view. Raises `ValueError`."""
    try:
        shift_ms = _shift_ms(connection, views, now_ms) if fit else 0
        return {view.name: _table(connection, view, number, shift_ms, now_ms) for number, view in enumerate(views)}
    except duckdb.Error as fault:
        raise ValueError(f"the rows cannot be read: {str(fault)[:300]}") from fault


def _shift_ms(connection: duckdb.DuckDBPyConnection, views: tuple[View, ...], now_ms: int) -> int:
    """One span for all, so that what happened together still does."""
    newest = [extent[1] for view in views if view.time and (extent := _extent(connection, _timed(view))) is not None]
    return now_ms - _STEP_MS - max(newest) if newest else 0


def _timed(view: View) -> str:
    """The instants of a view alone."""
    only = [(name, kind) for name, kind in view.columns if name == view.time]
    return event_form(view.name, view.relation, only, time=view.time).relation


def _extent(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, int] | None:
    at = quoted(TIMESTAMP)
    row = connection.execute(f"SELECT min({at}), max({at}) FROM {relation}").fetchone()
    return None if row is None or row[0] is None else (int(row[0]), int(row[1]))


def _table(connection: duckdb.DuckDBPyConnection, view: View, number: int, shift_ms: int, now_ms: int) -> Events:
    events = event_form(view.name, view.relation, view.columns, time=view.time, shift_ms=shift_ms)
    columns, at = events.columns, ""
    if not events.has_time:
        columns = tuple(column for column in columns if column.name != TIMESTAMP)
        at = f"{_spread(now_ms)} AS {quoted(TIMESTAMP)}, "
    picked = at + ", ".join(name_sql(column.name) for column in columns)
    if not events.has_time:
        columns = (Column(name=TIMESTAMP, kind="numeric"), *columns)
    table = f"main.{quoted(f'uds:events {number}')}"
    # Measured once: both read every attribute, and are asked for by whoever lists event types.
    size, present = quoted(SIZE), quoted(PRESENT)
    connection.execute(
        f"CREATE TABLE {table} AS SELECT *, {size_of(columns)} AS {size}, {present_of(columns)} AS {present} "
        f"FROM (SELECT {picked} FROM {events.relation}) ORDER BY {quoted(TIMESTAMP)}"
    )
    return replace(
        events,
        relation=table,
        columns=columns,
        has_time=True,
        extent_ms=_extent(connection, table),
        size=size,
        present=present,
    )


def _spread(now_ms: int) -> str:
    """Instants over the last day by the place of a row, the first row the newest."""
    return (
        f"CAST({now_ms - _STEP_MS} - (row_number() OVER () - 1) * {_DAY_MS} // greatest(count(*) OVER (), 1) AS BIGINT)"
    )

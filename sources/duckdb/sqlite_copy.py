"""Copies the tables of a SQLite file into a DuckDB file: DuckDB 2.0 has no SQLite reader that works offline.

Runs as a process of its own: `main(source, target)`. The source is opened read-only and first copied page by page, so
that a live writer waits for a few milliseconds at most; the tables are then read from the private copy.
"""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import Final

import duckdb

from sources.duckdb.mount_quoting import quoted
from sources.duckdb.sqlite_copy_types import Column
from sources.duckdb.sqlite_copy_types import as_text
from sources.duckdb.sqlite_copy_types import chosen

_BATCH_ROWS: Final = 20_000
"""Rows moved at once as lists: 290,000 rows of four columns a second, where executemany moves 2,600 (measured)."""
_BATCH_BYTES: Final = 32 << 20
_PAGES: Final = 2_000
_PATIENCE: Final = 200
"""Steps of the page copy after which it is finished in one: a busy writer makes it start over again and again."""


def main(source: str, target: str) -> None:
    """Copy every table; the process ends with 1 and one line on standard error when it cannot."""
    snapshot = f"{target}.snapshot"
    try:
        _snapshot(source, snapshot)
        _convert(snapshot, target)
    except (sqlite3.Error, duckdb.Error, OSError) as fault:
        sys.stderr.write(f"{type(fault).__name__}: {str(fault).splitlines()[0][:300]}\n")
        sys.exit(1)
    finally:
        for leftover in (snapshot, f"{snapshot}-journal", f"{snapshot}-wal", f"{snapshot}-shm"):
            Path(leftover).unlink(missing_ok=True)


def _snapshot(source: str, snapshot: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(_read_only(source), uri=True, timeout=5)) as original,
        contextlib.closing(sqlite3.connect(snapshot)) as copy,
    ):
        steps = iter(range(_PATIENCE))

        def patient(_status: int, _remaining: int, _total: int) -> None:
            next(steps)

        try:
            original.backup(copy, pages=_PAGES, progress=patient, sleep=0.001)
        except StopIteration:
            original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _read_only(source: str) -> str:
    """`immutable` only for a file in write-ahead mode without a log beside it.

    Nobody has that one open, and opening it normally would put new files into the user's folder.
    """
    is_quiet = not Path(f"{source}-wal").exists()
    with Path(source).open("rb") as file:
        head = file.read(20)
    is_wal = head[18:20] == b"\x02\x02"
    return f"{Path(source).as_uri()}?mode=ro{'&immutable=1' if is_quiet and is_wal else ''}"


def _convert(snapshot: str, target: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{Path(snapshot).as_uri()}?mode=ro", uri=True)) as original,
        contextlib.closing(duckdb.connect(target)) as copy,
    ):
        original.text_factory = _decoded
        for name in _tables(original):
            _copy(original, copy, name)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _tables(original: sqlite3.Connection) -> Iterator[str]:
    """Tables and views that can be read, SQLite's own left out."""
    listed = original.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"
    ).fetchall()
    for (name,) in listed:
        with contextlib.suppress(sqlite3.Error):  # a virtual table whose module is not there, a view of a lost table
            original.execute(f"SELECT * FROM {quoted(name)} LIMIT 0").close()
            yield name


def _copy(original: sqlite3.Connection, copy: duckdb.DuckDBPyConnection, name: str) -> None:
    columns = [_column(original, name, row) for row in original.execute(f"PRAGMA table_xinfo({quoted(name)})")]
    columns = [column for column in columns if column is not None]
    if not columns:
        return
    named = ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)
    copy.execute(f"CREATE TABLE {quoted(name)} ({named})")
    values = ", ".join(f"unnest(${place + 1}::{column.type}[])" for place, column in enumerate(columns))
    insert = f"INSERT INTO {quoted(name)} SELECT {values}"
    picked = ", ".join(quoted(column.name) for column in columns)
    cursor = original.execute(f"SELECT {picked} FROM {quoted(name)}")
    for rows in _batches(cursor, len(columns)):
        lists = [
            [as_text(value) for value in values] if column.type == "VARCHAR" else list(values)
            for column, values in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        copy.execute(insert, lists)
    _sharpen(copy, name, columns)


def _batches(cursor: sqlite3.Cursor, width: int) -> Iterator[list[tuple[Any, ...]]]:
    """Batches bounded in rows and, as far as the batch before tells, in bytes."""
    size = max(1, _BATCH_ROWS // max(1, width // 10))
    while rows := cursor.fetchmany(size):
        yield rows
        widest = max(sum(len(value) for value in row if isinstance(value, str | bytes)) for row in rows)
        size = max(1, min(size, _BATCH_BYTES // max(1, widest)))


def _column(original: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> Column | None:
    name, declared, hidden = row[1], str(row[2] or ""), row[6]
    if hidden == 1:
        return None
    column = quoted(name)
    found = original.execute(
        f"SELECT typeof({column}), count(*), min({column}), max({column}) FROM {quoted(table)} GROUP BY 1"
    ).fetchall()
    return chosen(name, declared, {kind: (low, high) for kind, _, low, high in found})


def _sharpen(copy: duckdb.DuckDBPyConnection, table: str, columns: list[Column]) -> None:
    """Texts declared as dates become dates only when every one of them is one."""
    for column in columns:
        if column.wanted is None:
            continue
        name = quoted(column.name)
        misfits = copy.execute(
            f"SELECT count(*) FROM {quoted(table)} WHERE {name} IS NOT NULL "
            f"AND try_cast({name} AS {column.wanted}) IS NULL"
        ).fetchall()[0][0]
        if misfits == 0:
            copy.execute(f"ALTER TABLE {quoted(table)} ALTER {name} TYPE {column.wanted}")

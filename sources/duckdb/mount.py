"""Schemas as views: what the worker opens before it is locked down, and the catalogue it answers.

A schema is the view of its name in the default catalogue, whatever characters the name holds. Where rows can be picked
one by one (Parquet files, DuckDB tables) the schema `uds_rows` holds a view of the same name with one more column,
`uds_pick`: a seeded hash of the row's place.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Final
from typing import cast

import duckdb

from sources.duckdb.files import FoundFile
from sources.duckdb.files_grouping import free_name
from sources.duckdb.files_grouping import partition_keys
from sources.duckdb.mount_quoting import PICK
from sources.duckdb.mount_quoting import ROWS_SCHEMA
from sources.duckdb.mount_quoting import SEED
from sources.duckdb.mount_quoting import literal
from sources.duckdb.mount_quoting import quoted
from sources.duckdb.semantics_time import time_attribute
from sources.duckdb.survey import Surveyed
from sources.duckdb.survey import short
from sources.duckdb.survey import survey
from sources.duckdb.survey_text import is_small
from sources.protocol import Json

_TIMED_ROWS: Final = 100_000_000
"""Above this many rows the range of the time attribute is not looked up: without footer statistics it is a scan."""


@dataclass(slots=True)
class _Mounted:
    connection: duckdb.DuckDBPyConnection
    entries: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])

    @property
    def names(self) -> list[str]:
        return [cast("str", entry["name"]) for entry in self.entries]


def mount(connection: duckdb.DuckDBPyConnection, plan: Mapping[str, Any]) -> dict[str, Json]:
    """Create the views of a plan and answer `{"schemas": [...]}`; nothing in the files can make it raise.

    The plan: `files` as `FoundFile` fields, `copies` as `{path of a SQLite file: {copy, fault}}`, `loose` names.
    """
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(ROWS_SCHEMA)}")
    files = [FoundFile(**each) for each in plan["files"]]
    mounted = _Mounted(connection)
    flat = [file for file in files if file.format in ("parquet", "csv", "json")]
    for surveyed in survey(connection, flat, frozenset(plan["loose"])):
        mounted.entries.append(_files_entry(mounted, surveyed))
    stores = [file for file in files if file.format in ("duckdb", "sqlite")]
    for number, file in enumerate(stores):
        _attach(mounted, file, plan["copies"].get(file.path), f"uds_attached_{number}")
    schemas: list[Json] = [*mounted.entries]
    return {"schemas": schemas}


def _files_entry(mounted: _Mounted, surveyed: Surveyed) -> dict[str, Json]:
    made = surveyed.group
    first = made.files[0]
    entry = _entry(made.name, first.format, _origin(made.files), [file.path for file in made.files])
    if surveyed.relation is None:
        return entry | {"fault": _redacted(surveyed.fault or "unreadable", made.files)}
    small = sum(file.size_bytes for file in made.files) == 0 or all(is_small(file) for file in made.files)
    countable = first.format == "parquet" or (small and sum(file.size_bytes for file in made.files) <= 32 << 20)
    source = f"SELECT * FROM {surveyed.relation}"
    picked = None
    if first.format == "parquet":
        picked = f"SELECT *, hash(file_index, file_row_number, {SEED}) AS {PICK} FROM {surveyed.relation}"
    filled = _filled(mounted.connection, entry, source, picked, countable=countable)
    filled["footers"] = first.format == "parquet" and filled["fault"] is None
    return filled | {"fault": None if filled["fault"] is None else _redacted(cast("str", filled["fault"]), made.files)}


def _filled(
    connection: duckdb.DuckDBPyConnection, entry: dict[str, Json], source: str, picked: str | None, *, countable: bool
) -> dict[str, Json]:
    view = quoted(cast("str", entry["name"]))
    try:
        connection.execute(f"CREATE VIEW {view} AS {source}")
        described: list[tuple[Any, ...]] = connection.execute(f"DESCRIBE {view}").fetchall()
        columns = [(cast("str", row[0]), cast("str", row[1])) for row in described]
        attributes: list[Json] = [{"name": name, "type": kind} for name, kind in columns]
        found = _extent(connection, view, time_attribute(columns)) if countable else {}
    except duckdb.Error as fault:
        connection.execute(f"DROP VIEW IF EXISTS {view}")
        return entry | {"fault": short(fault)}
    filled: dict[str, Json] = {"attributes": attributes, "picked": _pickable(connection, view, picked, columns)}
    return entry | filled | found


def _pickable(
    connection: duckdb.DuckDBPyConnection, view: str, picked: str | None, columns: Sequence[tuple[str, str]]
) -> bool:
    if picked is None or any(name.casefold() == PICK for name, _ in columns):
        return False
    try:
        connection.execute(f"CREATE VIEW {quoted(ROWS_SCHEMA)}.{view} AS {picked}")
    except duckdb.Error:  # a view of a DuckDB file has no row numbers
        return False
    return True


def _extent(connection: duckdb.DuckDBPyConnection, view: str, time: tuple[str, str] | None) -> dict[str, Json]:
    """Rows and the range of the time attribute: from footers in milliseconds, else by reading a small file."""
    rows = _one(connection, f"SELECT count(*) FROM {view}")[0]
    found: dict[str, Json] = {"rows": rows}
    if time is not None and rows <= _TIMED_ROWS and time[1] not in ("BIGINT", "INTEGER"):
        at = quoted(time[0])
        first, last = _one(connection, f"SELECT min({at})::VARCHAR, max({at})::VARCHAR FROM {view}")
        found |= {"first_at": first, "last_at": last}
    return found


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return connection.execute(sql).fetchall()[0]


def _attach(mounted: _Mounted, file: FoundFile, copied: Mapping[str, Any] | None, alias: str) -> None:
    origin = file.relative
    fault: str | None = None if copied is None else copied["fault"]
    path = file.path if copied is None else str(copied["copy"])
    tables: list[_Table] = []
    if fault is None:
        try:
            tables = _tables(mounted.connection, path, alias)
        except duckdb.Error as unreadable:
            fault = _redacted(short(unreadable), (file,))
    if fault is not None:
        name = free_name(file.stem, file.folder, mounted.names)
        mounted.entries.append(_entry(name, file.format, origin, _watched(file)) | {"fault": fault})
    for found in tables:
        folder = file.stem if found.owner == "main" else found.owner
        name = free_name(found.name, folder, mounted.names)
        place = f"{alias}.{quoted(found.owner)}.{quoted(found.name)}"
        told = found.name if found.owner == "main" else f"{found.owner}.{found.name}"
        entry = _entry(name, file.format, f"{origin}: {told}", [])
        entry |= {"files": [*_watched(file)], "comment": found.comment}
        picked = f"SELECT *, hash(rowid, {SEED}) AS {PICK} FROM {place}" if found.is_table else None
        filled = _filled(mounted.connection, entry, f"SELECT * FROM {place}", picked, countable=found.is_table)
        mounted.entries.append(_commented(filled, found.comments))


@dataclass(frozen=True, slots=True)
class _Table:
    """A table or view of an attached file, with what its owners wrote about it and its columns."""

    owner: str
    name: str
    is_table: bool
    comment: str | None
    comments: Mapping[str, str]


def _tables(connection: duckdb.DuckDBPyConnection, path: str, alias: str) -> list[_Table]:
    connection.execute(f"ATTACH {literal(path)} AS {alias} (READ_ONLY)")
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT schema_name, table_name AS name, true AS is_table, comment FROM duckdb_tables() "
        "WHERE database_name = $1 AND NOT internal UNION ALL "
        "SELECT schema_name, view_name, false, comment FROM duckdb_views() WHERE database_name = $1 AND NOT internal "
        "ORDER BY schema_name <> 'main', schema_name, name",
        [alias],
    ).fetchall()
    columns: list[tuple[Any, ...]] = connection.execute(
        "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = $1 AND NOT internal AND comment IS NOT NULL",
        [alias],
    ).fetchall()
    told: dict[tuple[str, str], dict[str, str]] = {}
    for owner, table, column, comment in columns:
        told.setdefault((owner, table), {})[column] = comment
    return [
        _Table(owner, name, is_table, comment, told.get((owner, name), {})) for owner, name, is_table, comment in rows
    ]


def _commented(entry: dict[str, Json], comments: Mapping[str, str]) -> dict[str, Json]:
    attributes = cast("list[dict[str, Json]]", entry["attributes"])
    told: list[Json] = [{**each, "comment": comments.get(cast("str", each["name"]))} for each in attributes]
    return {**entry, "attributes": told}


def _watched(file: FoundFile) -> list[str]:
    """A write-ahead log beside a database holds its newest rows."""
    return [file.path, f"{file.path}-wal" if file.format == "sqlite" else f"{file.path}.wal"]


def _entry(name: str, kind: str, origin: str, files: Sequence[str]) -> dict[str, Json]:
    return {
        "name": name,
        "format": kind,
        "origin": origin,
        "attributes": [],
        "rows": None,
        "first_at": None,
        "last_at": None,
        "fault": None,
        "files": [*files],
        "picked": False,
        "footers": False,
    }


def _origin(files: Sequence[FoundFile]) -> str:
    first = files[0]
    if len(files) == 1:
        return first.relative
    keys = partition_keys(first)
    folder = Path(first.relative).parent
    for _ in keys:
        folder = folder.parent
    pattern = "/".join([*([] if str(folder) == "." else [folder.as_posix()]), *(f"{key}=*" for key in keys)])
    return f"{pattern}/*{Path(first.path).suffix} ({len(files)} files)" if pattern else f"{len(files)} files"


def _redacted(fault: str, files: Sequence[FoundFile]) -> str:
    """Faults name absolute paths; a model needs only the part below the configured folder."""
    for file in files[:50]:
        fault = fault.replace(file.path, file.relative)
    return fault

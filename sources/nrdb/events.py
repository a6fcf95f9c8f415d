"""Rows in event form: every attribute a text, a number or a boolean, and `timestamp` in milliseconds since 1970.

NRDB knows no dates, lists or decimals; what a file holds of them becomes numbers or text here, in SQL and in no copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from typing import Literal

from sources.duckdb.mount_quoting import quoted
from sources.nrdb.literals import name_sql
from sources.nrql.tree import node

Kind = Literal["string", "numeric", "boolean"]

TIMESTAMP: Final = "timestamp"
_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_REAL: Final = ("FLOAT", "DOUBLE")
_PLAIN: Final[dict[str, tuple[str, Kind]]] = {
    "BOOLEAN": ("{}", "boolean"),
    "VARCHAR": ("{}", "string"),
    **dict.fromkeys(_WHOLE, ("CAST({} AS BIGINT)", "numeric")),
    "UBIGINT": ("CAST({} AS HUGEINT)", "numeric"),
    **dict.fromkeys(_REAL, ("(CASE WHEN isfinite({0}) THEN CAST({0} AS DOUBLE) END)", "numeric")),
}
"""How columns of a type are read; all others have rules of their own, or become text."""
_EPOCHS_PER_MS: Final = (10**17, 10**14, 10**11)
"""From these sizes on a whole number of now counts nanoseconds, microseconds, milliseconds; below them seconds."""


@node
class Column:
    name: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Events:
    """An event type: something to select from whose columns are in event form already."""

    name: str
    relation: str
    """SQL that can stand after FROM."""
    columns: tuple[Column, ...]
    has_time: bool
    """There is a column `timestamp`. Without it no window can be asked for."""
    extent_ms: tuple[int, int] | None = None
    """The first and the last instant of its rows. None: not known without looking."""
    size: str | None = None
    """SQL that says how large a row is, where that was measured before. None: it is measured when it is asked for."""
    present: str | None = None
    """SQL of a BIT: which attributes a row has, in the order of their names. None: they are counted one by one."""

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Attributes by name; names are case-sensitive, as in NRDB."""
        return {column.name: column.kind for column in self.columns}

    @cached_property
    def values(self) -> dict[str, tuple[str, Kind]]:
        """The SQL and the kind of each attribute by its name, put together once and not for every statement."""
        return {column.name: (name_sql(column.name), column.kind) for column in self.columns}


def event_form(
    name: str, relation: str, columns: Sequence[tuple[str, str]], *, time: str | None, shift_ms: int = 0
) -> Events:
    """The rows of `relation` (SQL after FROM; columns with their DuckDB types) as events.

    `time`: the column that says when a row happened. `shift_ms` is added to every instant, so that relations in time
    stay true.
    """
    made = [(column, *_formed(column, kind, shift_ms)) for column, kind in columns if column != TIMESTAMP]
    instant = next((_instant(column, kind, shift_ms) for column, kind in columns if column == time), None)
    if instant is not None:
        made.insert(0, (TIMESTAMP, instant, "numeric"))
    elif TIMESTAMP in dict(columns):
        made.append((TIMESTAMP, *_formed(TIMESTAMP, dict(columns)[TIMESTAMP], shift_ms)))
    picked = ", ".join(f"{sql} AS {name_sql(column)}" for column, sql, _ in made)
    return Events(
        name=name,
        relation=f"(SELECT {picked} FROM {relation})",
        columns=tuple([Column(column, kind) for column, _, kind in made]),
        has_time=instant is not None,
    )


def _formed(name: str, duckdb_type: str, shift_ms: int) -> tuple[str, Kind]:
    sql = quoted(name)
    plain = _PLAIN.get(duckdb_type)
    if plain is not None:
        return plain[0].format(sql), plain[1]
    if duckdb_type.startswith("DECIMAL"):
        return _decimal(sql, duckdb_type), "numeric"
    if duckdb_type.startswith("TIMESTAMP"):
        return _shifted(_epoch(sql), shift_ms), "numeric"
    return f"CAST({sql} AS VARCHAR)", "string"


def _decimal(sql: str, duckdb_type: str) -> str:
    """Whole ones that 64 bits always hold stay exact."""
    width, _, scale = duckdb_type.removeprefix("DECIMAL").strip("()").partition(",")
    whole = scale.strip() == "0" and int(width or 38) <= 18  # noqa: PLR2004 - digits that 64 bits always hold
    return f"CAST({sql} AS {'BIGINT' if whole else 'DOUBLE'})"


def _epoch(sql: str) -> str:
    return f"(CASE WHEN isfinite({sql}) THEN epoch_ms({sql}) END)"


def _instant(name: str, duckdb_type: str, shift_ms: int) -> str:
    """Milliseconds since 1970 of the time attribute: a timestamp, a date, or a whole number of some unit."""
    sql = quoted(name)
    if duckdb_type.startswith("TIMESTAMP"):
        return _shifted(_epoch(sql), shift_ms)
    if duckdb_type == "DATE":
        return _shifted(_epoch(f"CAST({sql} AS TIMESTAMP)"), shift_ms)
    nanos, micros, millis = _EPOCHS_PER_MS
    scaled = (
        f"(CASE WHEN abs({sql}) >= {nanos} THEN {sql} // 1000000 WHEN abs({sql}) >= {micros} THEN {sql} // 1000"
        f" WHEN abs({sql}) >= {millis} THEN {sql} ELSE {sql} * 1000 END)"
    )
    return _shifted(f"CAST({scaled.replace(sql, f'CAST({sql} AS BIGINT)')} AS BIGINT)", shift_ms)


def _shifted(sql: str, shift_ms: int) -> str:
    return f"({sql} + {shift_ms})" if shift_ms else sql

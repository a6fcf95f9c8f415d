"""Runs one statement on a fresh cursor inside the worker: bounded rows, bounded bytes, faults as values."""

import json
import re
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Literal
from typing import cast

import duckdb

from sources.duckdb.values import Converter
from sources.duckdb.values import moment
from sources.duckdb.values import span
from sources.protocol import Json

FaultKind = Literal["rejected", "timeout", "too_large", "unreachable"]
Read = Callable[[object], Json]

_BATCH_ROWS: Final = 500
_REASON_CHARS: Final = 500
_TIMED: Final = re.compile(r"DATE|TIME|INTERVAL|VARIANT")
_NESTED: Final = re.compile(r"\[\d*\]$|^(?:STRUCT|MAP|UNION|VARIANT)\b")
_PATH: Final = re.compile(r"""(?<![\w./\\])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'":;,()]+)*[/\\]([^\s/\\'":;,()]+)""")
_SETTING: Final = re.compile(r""" Use "?SET .*""")
"""Advice to change a setting, which nobody here can."""
_REMEDIES: Final[tuple[tuple[type[duckdb.Error], str], ...]] = (
    (duckdb.ParserException, "Correct the syntax (DuckDB SQL)."),
    (duckdb.BinderException, "DESCRIBE <schema> shows its attributes and their types."),
    (duckdb.CatalogException, "SHOW TABLES lists the schemas; functions are those of DuckDB."),
    (duckdb.ConversionException, "TRY_CAST gives NULL for a value that does not fit."),
    (duckdb.OutOfRangeException, "Cast to a wider type, for example DOUBLE or HUGEINT."),
    (duckdb.PermissionException, "Only the configured data can be read, and nothing can be changed."),
)


class Fault(Exception):
    """A statement that gave no rows, in a form that crosses the wire."""

    def __init__(self, kind: FaultKind, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.kind: FaultKind = kind
        self.remedy = remedy

    def as_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "reason": str(self), "remedy": self.remedy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a result that is wanted, and how large it may become."""

    limit: int
    offset: int
    answer_bytes: int
    cell_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Rows as JSON text, ready for the wire."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[str, ...]
    more: bool
    cut: bool
    took_ms: float


def fetched(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Json], window: Window) -> Fetched:
    """Run it. Raises `Fault`."""
    started = time.perf_counter()
    converter = Converter(window.cell_chars)
    bound = list(parameters)
    try:
        columns = _columns(cursor, sql, bound)
        reads = tuple(_read(kind, converter)[1] for _, kind in columns)
        cursor.execute(_windowed(sql, columns, window) if columns else sql, bound)
        rows, more = _taken(_lines(cursor, reads, converter), window)
    except (duckdb.Error, MemoryError, RuntimeError, ValueError) as error:
        raise fault_of(error) from error
    took_ms = (time.perf_counter() - started) * 1000
    return Fetched(columns=columns, rows=rows, more=more, cut=converter.cut, took_ms=took_ms)


def subquery(cursor: duckdb.DuckDBPyConnection, sql: str, tree: Json) -> str:
    """The statement as it can stand in parentheses: without a trailing semicolon, even one before a comment."""
    kept = sql.rstrip("; \t\r\n\f\v")
    if ";" not in kept:
        return kept
    answer = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"FROM (\n{kept}\n)"]).fetchone()
    if answer is not None and not json.loads(str(answer[0]))["error"]:
        return kept
    statement = json.dumps({"error": False, "statements": [tree]})
    rewritten = cursor.execute("SELECT json_deserialize_sql(?::JSON)", [statement]).fetchone()
    return str(rewritten[0]) if rewritten is not None else kept


def fault_of(error: Exception) -> Fault:
    """What the engine's exception means to a caller, its text bounded and without places of files."""
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "bad_alloc" in str(error):
        return Fault("too_large", "the query needed more memory than the engine's limit")
    if isinstance(error, duckdb.InterruptException):
        return Fault("timeout", "the query was stopped")
    reason = told(error)
    if isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException):
        return Fault("unreachable", reason)
    if isinstance(error, duckdb.PermissionException) and "Cannot access file" in reason:
        return Fault("unreachable", f"a file cannot be opened; if it is data, it was moved or replaced ({reason})")
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return Fault("rejected", reason, remedy)
    return Fault("rejected", reason)


def told(error: Exception) -> str:
    """The first paragraph of the engine's message, paths cut to the last name, at most 500 characters."""
    paragraph: list[str] = []
    for line in str(error).splitlines():
        if not line.strip() or line.startswith("LINE "):
            break
        paragraph.append(line.strip())
    told_once = _SETTING.sub("", " ".join(paragraph))
    return _PATH.sub(r"\1", told_once)[:_REASON_CHARS] or type(error).__name__


def _columns(cursor: duckdb.DuckDBPyConnection, sql: str, bound: list[Json]) -> tuple[tuple[str, str], ...]:
    """Names and types without running it; empty for our own statements that are no query (COPY, ATTACH)."""
    try:
        cursor.execute(f"FROM (\n{sql}\n) LIMIT 0", bound)
    except duckdb.ParserException:
        return ()
    described = cast("list[tuple[str, object]]", cursor.description or [])
    return tuple((column[0], str(column[1])) for column in described)


def _windowed(sql: str, columns: Sequence[tuple[str, str]], window: Window) -> str:
    silent = Converter(window.cell_chars)
    shown = [_read(kind, silent)[0].format(at=at) for at, (_, kind) in enumerate(columns, 1)]
    picked = "*" if all(text.startswith("#") for text in shown) else ", ".join(shown)
    return f"SELECT {picked} FROM (\n{sql}\n) LIMIT {window.limit + 1} OFFSET {window.offset}"


def _read(kind: str, converter: Converter) -> tuple[str, Read]:
    """How a column of that type is selected, and how its values are read.

    Anything with time in it is fetched as text: Python's own types lose infinity, nanoseconds and months.
    """
    if kind.startswith("ENUM"):
        return "#{at}", converter.json
    if _NESTED.search(kind):
        return (
            ("CAST(to_json(#{at}) AS VARCHAR)", converter.nested_text)
            if _TIMED.search(kind)
            else ("#{at}", converter.json)
        )
    if kind.startswith("INTERVAL"):
        return "CAST(#{at} AS VARCHAR)", lambda value: value if value is None else span(str(value))
    if kind.startswith(("DATE", "TIME")):
        return "CAST(#{at} AS VARCHAR)", lambda value: value if value is None else moment(str(value))
    return "#{at}", converter.json


def _lines(cursor: duckdb.DuckDBPyConnection, reads: tuple[Read, ...], converter: Converter) -> Iterator[str]:
    if not cursor.description:
        return
    while batch := cast("list[tuple[object, ...]]", cursor.fetchmany(_BATCH_ROWS)):
        for row in batch:
            used = reads or (converter.json,) * len(row)
            cells = [read(value) for read, value in zip(used, row, strict=True)]
            yield json.dumps(cells, allow_nan=False, separators=(",", ":"))


def _taken(lines: Iterator[str], window: Window) -> tuple[tuple[str, ...], bool]:
    """As many rows as the window allows, and whether there is one behind them."""
    rows: list[str] = []
    room = window.answer_bytes
    for line in lines:
        room -= len(line) + 1
        if len(rows) == window.limit:
            return tuple(rows), True
        if room < 0 and not rows:
            raise Fault(
                "too_large", f"one row is over the limit of {window.answer_bytes} bytes; select fewer attributes"
            )
        if room < 0:
            return tuple(rows), True
        rows.append(line)
    return tuple(rows), False

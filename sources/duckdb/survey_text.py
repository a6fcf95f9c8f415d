"""How CSV and JSON files are read: sniffed once, then pinned, so that every worker and every query agree.

Runs in the worker, before it is locked down.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

import duckdb

from sources.duckdb.files import FoundFile
from sources.duckdb.mount_quoting import literal
from sources.duckdb.mount_quoting import literals

WHOLE_FILE_BYTES: Final = 32 << 20
"""Up to this size every row is looked at when types are chosen, and rows are counted at once (about 0.2 s)."""
PACKED_SHARE: Final = 4
"""Compressed files are taken as this many times larger."""
SNIFFED_ROWS: Final = 200_000
"""Rows looked at in larger files."""

_NUMERIC: Final = ("BIGINT", "HUGEINT", "DOUBLE")
_MOMENTS: Final = ("DATE", "TIMESTAMP")
_RENAMED: Final = re.compile(r"^(?P<name>.*)_\d+$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv:
    """A dialect and the columns of a CSV file."""

    delimiter: str
    quote: str
    escape: str
    comment: str
    skip: int
    header: bool
    encoding: str
    columns: tuple[tuple[str, str], ...]
    date_format: str | None
    timestamp_format: str | None

    @property
    def shape(self) -> str:
        """Types are left out: a column that is empty in one month is still the same column."""
        dialect = (self.delimiter, self.comment, self.skip, self.header, self.encoding)
        return repr(("csv", dialect, [name for name, _ in self.columns]))


def is_small(file: FoundFile) -> bool:
    """Whether the whole file is cheap to read."""
    return file.size_bytes * (PACKED_SHARE if file.packed else 1) <= WHOLE_FILE_BYTES


def sniff_csv(connection: duckdb.DuckDBPyConnection, file: FoundFile) -> Csv:
    """The dialect of one file; bytes that are no UTF-8 are read as latin-1. Raises `duckdb.Error`."""
    try:
        return _sniffed(connection, file, "utf-8", "")
    except duckdb.Error as fault:
        if "utf-8" in str(fault):
            return _sniffed(connection, file, "latin-1", "")
        return _sniffed(connection, file, "utf-8", ", all_varchar = true, strict_mode = false")


def csv_relation(files: Sequence[FoundFile], dialects: Sequence[Csv], *, loose: bool, hive: bool) -> str:
    """The table function call that reads files of one shape. `loose`: every column as text."""
    first = dialects[0]
    columns = first.columns if len(dialects) == 1 else _merged(dialects)
    options = [
        "auto_detect = false",
        f"delim = {literal(first.delimiter)}",
        f"quote = {literal(first.quote)}",
        f"escape = {literal(first.escape)}",
        f"comment = {literal(first.comment)}",
        f"skip = {first.skip}",
        f"header = {str(first.header).lower()}",
        f"encoding = {literal(first.encoding)}",
        f"columns = {_columns((name, 'VARCHAR' if loose else kind) for name, kind in columns)}",
        f"hive_partitioning = {str(hive).lower()}",
    ]
    if first.date_format is not None:
        options.append(f"dateformat = {literal(first.date_format)}")
    if first.timestamp_format is not None:
        options.append(f"timestampformat = {literal(first.timestamp_format)}")
    return f"read_csv({literals(file.path for file in files)}, {', '.join(options)})"


def json_names(connection: duckdb.DuckDBPyConnection, file: FoundFile) -> tuple[str, ...]:
    """The top-level names of the records of one file. Raises `duckdb.Error`."""
    return tuple(name for name, _ in _json_columns(connection, (file,), hive=False))


def json_relation(connection: duckdb.DuckDBPyConnection, files: Sequence[FoundFile], *, hive: bool) -> str:
    """The table function call that reads JSON files, with the types that fit all of them. Raises `duckdb.Error`."""
    columns = _json_columns(connection, files, hive=False)
    paths = literals(file.path for file in files)
    if _is_renamed(columns) or [name for name, _ in columns] == ["json"]:
        return f"read_json({paths}, {_json_sampling(files)}, union_by_name = true, hive_partitioning = {_bool(hive)})"
    return f"read_json({paths}, columns = {_columns(columns)}, hive_partitioning = {_bool(hive)})"


def _sniffed(connection: duckdb.DuckDBPyConnection, file: FoundFile, encoding: str, extra: str) -> Csv:
    rows = -1 if is_small(file) else SNIFFED_ROWS
    found = connection.execute(
        "SELECT Delimiter, Quote, Escape, Comment, SkipRows, HasHeader, Columns, DateFormat, TimestampFormat "
        f"FROM sniff_csv({literal(file.path)}, sample_size = {rows}, encoding = {literal(encoding)}{extra})"
    ).fetchone()
    if found is None:
        raise duckdb.InvalidInputException(f"no dialect fits {file.relative}")
    delimiter, quote, escape, comment, skip, header, columns, date_format, timestamp_format = found
    named: list[dict[str, str]] = columns
    return Csv(
        delimiter=_sign(delimiter, ","),
        quote=_sign(quote, '"'),
        escape=_sign(escape, '"'),
        comment=_sign(comment, ""),
        skip=skip,
        header=header,
        encoding=encoding,
        columns=tuple((column["name"], column["type"]) for column in named),
        date_format=date_format,
        timestamp_format=timestamp_format,
    )


def _sign(found: str, otherwise: str) -> str:
    """A sniffed part of a file may hold no quote although a later row does."""
    return otherwise if found in ("(empty)", "") else found.replace("\\t", "\t")


def _merged(dialects: Sequence[Csv]) -> tuple[tuple[str, str], ...]:
    names = [name for name, _ in dialects[0].columns]
    return tuple((name, _widest({each.columns[at][1] for each in dialects})) for at, name in enumerate(names))


def _widest(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    for family in (_NUMERIC, _MOMENTS):
        if kinds <= set(family):
            return max(kinds, key=family.index)
    return "VARCHAR"


def _json_columns(
    connection: duckdb.DuckDBPyConnection, files: Sequence[FoundFile], *, hive: bool
) -> tuple[tuple[str, str], ...]:
    paths = literals(file.path for file in files)
    options = f"{_json_sampling(files)}, union_by_name = true, hive_partitioning = {_bool(hive)}"
    rows: list[tuple[Any, ...]] = connection.execute(f"DESCRIBE SELECT * FROM read_json({paths}, {options})").fetchall()
    return tuple((row[0], row[1].replace('"NULL"', "JSON")) for row in rows)


def _json_sampling(files: Sequence[FoundFile]) -> str:
    return f"sample_size = {-1 if all(is_small(file) for file in files) else SNIFFED_ROWS}"


def _is_renamed(columns: Sequence[tuple[str, str]]) -> bool:
    """DuckDB renames names that differ in case only; pinned under the new name they would read as NULL."""
    known = {name.casefold() for name, _ in columns}
    suffixed = (_RENAMED.match(name) for name, _ in columns)
    return any(match["name"].casefold() in known for match in suffixed if match)


def _columns(columns: Any) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns) + "}"


def _bool(value: bool) -> str:  # noqa: FBT001  # its only argument is its meaning
    return str(value).lower()

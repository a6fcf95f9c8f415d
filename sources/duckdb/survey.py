"""What the found files hold: their shapes, the schemas they make, and the SQL that reads each.

Runs in the worker, before it is locked down. A file that cannot be read becomes a schema with a fault.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from sources.duckdb.files import FoundFile
from sources.duckdb.files_grouping import Group
from sources.duckdb.files_grouping import Shaped
from sources.duckdb.files_grouping import group
from sources.duckdb.mount_quoting import literals
from sources.duckdb.survey_text import Csv
from sources.duckdb.survey_text import csv_relation
from sources.duckdb.survey_text import json_names
from sources.duckdb.survey_text import json_relation
from sources.duckdb.survey_text import sniff_csv


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A schema made of files."""

    group: Group
    relation: str | None
    """A table function call. None: it cannot be read."""
    fault: str | None = None


def survey(
    connection: duckdb.DuckDBPyConnection, files: Sequence[FoundFile], loose: frozenset[str]
) -> tuple[Surveyed, ...]:
    """The schemas of Parquet, CSV and JSON files. `loose`: schemas of CSV files to read as text."""
    shapes: dict[str, str] = _parquet_shapes(connection, [file.path for file in files if file.format == "parquet"])
    dialects: dict[str, Csv] = {}
    faults: dict[str, str] = {}
    for file in files:
        try:
            if file.format == "csv":
                dialects[file.path] = sniff_csv(connection, file)
                shapes[file.path] = dialects[file.path].shape
            elif file.format == "json":
                shapes[file.path] = repr(("json", json_names(connection, file)))
        except duckdb.Error as fault:
            faults[file.path] = short(fault)
    shaped = [Shaped(file=file, shape=shapes.get(file.path, f"unreadable {file.path}")) for file in files]
    return tuple(_surveyed(connection, each, dialects, faults, loose) for each in group(shaped))


def short(fault: duckdb.Error) -> str:
    """The first line of a fault, bounded."""
    return str(fault).strip().splitlines()[0][:300]


def _surveyed(
    connection: duckdb.DuckDBPyConnection,
    made: Group,
    dialects: dict[str, Csv],
    faults: dict[str, str],
    loose: frozenset[str],
) -> Surveyed:
    fault = next((faults[file.path] for file in made.files if file.path in faults), None)
    if fault is not None:
        return Surveyed(group=made, relation=None, fault=fault)
    kind = made.files[0].format
    try:
        if kind == "csv":
            read = [dialects[file.path] for file in made.files]
            relation = csv_relation(made.files, read, loose=made.name in loose, hive=made.hive)
        elif kind == "json":
            relation = json_relation(connection, made.files, hive=made.hive)
        else:
            relation = f"read_parquet({literals(file.path for file in made.files)}, hive_partitioning = {made.hive})"
    except duckdb.Error as unreadable:
        return Surveyed(group=made, relation=None, fault=short(unreadable))
    return Surveyed(group=made, relation=relation)


def _parquet_shapes(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> dict[str, str]:
    """One query for all footers; one for each file only when a broken one spoils it. Broken files have no shape."""
    try:
        return dict(_footers(connection, paths))
    except duckdb.Error:
        if len(paths) == 1:
            return {}
    return {path: shape for one in paths for path, shape in _parquet_shapes(connection, [one]).items()}


def _footers(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> Iterable[tuple[str, str]]:
    if not paths:
        return ()
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT file_name, md5(string_agg(concat_ws('|', name, coalesce(duckdb_type, type), num_children), ';' "
        f"ORDER BY column_id)) FROM parquet_schema({literals(paths)}) GROUP BY file_name"
    ).fetchall()
    return ((path, f"parquet {shape}") for path, shape in rows)

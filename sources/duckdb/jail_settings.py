"""The settings that close a DuckDB connection for good, in the one order that works."""

from pathlib import Path
from typing import Any
from typing import Final

import duckdb

from sources.protocol import EngineLimit

_CLOSED: Final = (
    "SET temp_directory=''",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET python_enable_replacements=false",
    "SET GLOBAL TimeZone='UTC'",
)
_SESSION: Final = ("SET enable_progress_bar=true", "SET enable_progress_bar_print=false")
"""query_progress() answers only with these, which belong to one session and cannot be set once locked."""
_LAST: Final = ("SET enable_external_access=false", "SET lock_configuration=true")


def session(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A cursor that can tell its progress; make it before `lock_down`."""
    cursor = connection.cursor()
    for statement in _SESSION:
        cursor.execute(statement)
    return cursor


def lock_down(
    connection: duckdb.DuckDBPyConnection, readable: list[str], limits: dict[str, Any]
) -> tuple[EngineLimit, ...]:
    """Close it: files outside `readable`, network, extensions, settings. Call it after everything is mounted."""
    folders = [path for path in readable if _is_folder(path)]
    files = [path for path in readable if path not in folders]
    for statement in (
        *_CLOSED,
        f"SET allowed_directories={_listed(folders)}",
        f"SET allowed_paths={_listed(files)}",
        f"SET memory_limit='{int(limits['memory_bytes'])}B'",
        f"SET threads={int(limits['threads'])}",
        f"SET GLOBAL max_execution_time={int(limits['execution_s'] * 1000)}",
        *_LAST,
    ):
        connection.execute(statement)
    return (
        EngineLimit(name="engine_memory", value=f"{limits['memory_bytes']} bytes", in_force=True),
        EngineLimit(name="execution_time", value=f"{limits['execution_s']:g} s", in_force=True),
        EngineLimit(name="locked_settings", value="no external access, no extensions, no settings", in_force=True),
    )


def _is_folder(path: str) -> bool:
    return Path(path).is_dir()


def _listed(paths: list[str]) -> str:
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"[{quoted}]"

"""The engine's limits as values, and the part of them the operating system enforces on a worker process.

What a system cannot enforce is reported with the reason.
"""

import os
import sys
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field

from sources.protocol import EngineLimit
from sources.protocol import Json


def _thread_count() -> int:
    return min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What one query, and one worker, may use."""

    address_space_bytes: int = 3 * 2**30
    """RLIMIT_AS of a worker: virtual memory, so several times what it really uses.

    Measured on 10 M rows x 16 columns with memory_limit 1 GB: at 1.5 GiB an exact count of the distinct texts fails,
    at 2, 3 and 4 GiB everything passes. repeat('x', 3e9) and range(2e8) end in a clean error at once up to 3 GiB;
    at 4 GiB the list is made and only the deadline stops it.
    """
    memory_bytes: int = 1_000_000_000
    """DuckDB's own memory_limit; scalar strings and lists escape it, which is why the address space is limited too."""
    threads: int = field(default_factory=_thread_count)
    query_bytes: int = 100_000
    answer_bytes: int = 8 * 2**20
    """Rows beyond this many bytes of JSON are left out and `more` says so."""
    answer_rows: int = 10_000
    cell_chars: int = 4_000
    """Longer text is cut and ends in an ellipsis."""
    offset_rows: int = 1_000_000
    execution_s: float = 600.0
    """DuckDB's own max_execution_time: behind the deadline of each call, which is shorter."""
    grace_s: float = 0.3
    """How long an interrupted query may take to stop before its worker is killed."""
    idle_s: float = 60.0
    """How long a worker beyond the first is kept without work."""
    rest_s: float = 240.0
    """How much longer the last worker is kept.

    A server that waits in the background gives its memory back; its next query that no cache answers takes about 0.2 s
    longer.
    """
    start_s: float = 120.0
    """How long a worker may take to start and mount."""

    def as_json(self) -> dict[str, Json]:
        return asdict(self)


def rlimits(address_space_bytes: int) -> tuple[EngineLimit, ...]:
    """Limit this process, for good; call it before duckdb is imported. Returns what is really in force."""
    return (
        _limited("address_space", f"{address_space_bytes} bytes", "RLIMIT_AS", address_space_bytes),
        _limited("core_dumps", "0 bytes", "RLIMIT_CORE", 0),
    )


def no_file_writes() -> EngineLimit:
    """Let this process write to no file any more; pipes stay open. Call it when Python has loaded its modules."""
    return _limited("file_writes", "0 bytes", "RLIMIT_FSIZE", 0)


def _limited(name: str, shown: str, resource_name: str, value: int) -> EngineLimit:
    why = _set_rlimit(resource_name, value)
    return EngineLimit(name=name, value=shown, in_force=not why, why=why)


def _set_rlimit(resource_name: str, value: int) -> str:
    if sys.platform == "win32":
        return "Windows has no resource limits; a query that needs too much memory is stopped only by DuckDB's own"
    import resource  # noqa: PLC0415 - does not exist on Windows

    try:
        resource.setrlimit(getattr(resource, resource_name), (value, value))
    except (OSError, ValueError) as error:
        return f"this system refused {resource_name}: {error}"
    if sys.platform == "darwin" and resource_name == "RLIMIT_AS":
        return "macOS accepts RLIMIT_AS and does not enforce it"
    return ""

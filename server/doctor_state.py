"""What the doctor finds out about where state is kept. It looks, and changes nothing."""

import tempfile
import time
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path

from server.settings import Settings
from server.state_store import away_path
from server.state_store import journal_path
from state.errors import StateError
from state.sqlite.verify import verify_file

_WRONG_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedState:
    """The state directory, and the file in it."""

    kind: str
    """As STATE_STORE_TYPE has it."""
    path: Path
    """The file or, where sessions live in memory, the directory."""
    fault: str | None
    """Why state cannot be kept there, or what is wrong with what is kept. None: nothing."""
    sessions: int = 0
    """In the file, ended ones included."""
    events: int = 0
    """Checked and found good."""
    size_bytes: int = 0
    took_ms: float = 0.0
    aside: tuple[Path, ...] = ()
    """Damaged files that were put aside earlier."""
    elsewhere: tuple[Path, ...] = ()
    """Files with what waits to be joined with another Redis than the one of these settings."""


def examine_state(settings: Settings) -> ExaminedState:
    """Check every history in the file, or whether one could be made."""
    if settings.store == "memory":
        return ExaminedState(kind=settings.store, path=settings.state_dir, fault=_unwritable(settings.state_dir))
    path = away_path(settings) if settings.store == "redis" else journal_path(settings)
    aside = tuple(sorted(path.parent.glob(f"{path.name}.damaged-*[0-9Z]"))) if path.parent.is_dir() else ()
    elsewhere = _waiting_for_another(path) if settings.store == "redis" else ()
    if not path.exists():
        fault = _unwritable(path.parent)
        return ExaminedState(kind=settings.store, path=path, fault=fault, aside=aside, elsewhere=elsewhere)
    return replace(_examined_file(settings.store, path, aside), elsewhere=elsewhere)


def _waiting_for_another(path: Path) -> tuple[Path, ...]:
    """Those beside ours that hold something, or cannot be read."""
    others = sorted(each for each in path.parent.parent.glob(f"*/{path.name}") if each != path)
    return tuple(each for each in others[:_WRONG_SHOWN] if _holds_something(each))


def _holds_something(path: Path) -> bool:
    try:
        return verify_file(path).sessions > 0
    except (StateError, OSError):
        return True


def _examined_file(kind: str, path: Path, aside: tuple[Path, ...]) -> ExaminedState:
    started_s = time.perf_counter()
    try:
        found = verify_file(path)
    except (StateError, OSError) as fault:
        return ExaminedState(kind=kind, path=path, fault=str(fault), aside=aside)
    shown = " ".join(each.fault for each in found.wrong[:_WRONG_SHOWN])
    more = len(found.wrong) - _WRONG_SHOWN
    told = f"{shown} And {more} more: `uds-mcp verify` lists all." if more > 0 else shown
    return ExaminedState(
        kind=kind,
        path=path,
        fault=told or _unwritable(path.parent),
        sessions=found.sessions,
        events=found.events,
        size_bytes=path.stat().st_size,
        took_ms=(time.perf_counter() - started_s) * 1_000,
        aside=aside,
    )


def _unwritable(path: Path) -> str | None:
    """Try to write in the directory or, when it does not exist yet, in the nearest one above it that does."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest) as trial:
            trial.write(b"uds-mcp")
    except OSError as fault:
        return f"{nearest}: {fault.strerror or fault}"
    return None

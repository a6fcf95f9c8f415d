"""The journal of this machine: its file, what is good of a damaged one, or memory where no file can be used."""

import logging
import time
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.settings import Settings
from server.store import StateRefused
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.memory import MemoryJournal
from state.sqlite.file import DamagedFile
from state.sqlite.file import ForeignFile
from state.sqlite.file import NewerFile
from state.sqlite.journal import SqliteJournal
from state.sqlite.lock import InUse

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStore:
    """A journal that is open."""

    journal: SqliteJournal | MemoryJournal
    notice: Callable[[], str | None]
    """What is wrong with it, for a person. None: nothing."""
    durable_at: str | None
    """Its file. None: it is in memory."""
    aclose: Callable[[], Awaitable[None]]


def opened_or_memory(path: Path, settings: Settings) -> LocalStore:
    """A damaged file is put aside and what is good of it is carried over. Raises `StateRefused`."""
    try:
        journal, told = _opened(path, settings)
    except (StateUnavailable, StateBusy) as fault:
        text = f"sessions are kept in memory only, and end with this process: {fault}"
        _log.error("%s", text)
        return in_memory(settings, lambda: text)
    return LocalStore(
        journal=journal, notice=lambda: journal.fault() or told, durable_at=str(path), aclose=journal.aclose
    )


def in_memory(settings: Settings, notice: Callable[[], str | None] = lambda: None) -> LocalStore:
    journal = MemoryJournal(clock=time.time, quota=settings.quota)
    return LocalStore(journal=journal, notice=notice, durable_at=None, aclose=_nothing_to_close)


async def _nothing_to_close() -> None:
    return None


def _opened(path: Path, settings: Settings) -> tuple[SqliteJournal, str | None]:
    """The journal, and what was lost on the way to it."""
    try:
        return _sqlite(path, settings), None
    except (NewerFile, ForeignFile) as fault:
        raise StateRefused(str(fault)) from fault
    except DamagedFile as fault:
        _log.error("%s", fault)
        return _salvaged(path, settings, fault)


def _salvaged(path: Path, settings: Settings, fault: DamagedFile) -> tuple[SqliteJournal, str | None]:
    """A new file with what is good of a damaged one; while others use that, it is opened as it is."""
    from state.sqlite.salvage import salvage  # noqa: PLC0415 - a start that finds nothing wrong need not read it

    try:
        saved = salvage(path, now=time.time())
    except InUse:
        return _sqlite(path, settings, trusting=True), str(fault)
    _log.error("%s", saved.told)
    return _sqlite(path, settings), saved.told


def _sqlite(path: Path, settings: Settings, *, trusting: bool = False) -> SqliteJournal:
    return SqliteJournal(
        path, clock=time.time, quota=settings.quota, kept_past_s=settings.retention_s, trusting=trusting
    )

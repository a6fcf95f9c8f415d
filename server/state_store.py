"""Where sessions are kept, as the settings say; and what to do when that place cannot be used."""

import logging
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.settings import Settings
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.journal import Journal
from state.memory import MemoryJournal
from state.sqlite.file import JOURNAL_NAME
from state.sqlite.file import DamagedFile
from state.sqlite.file import ForeignFile
from state.sqlite.file import NewerFile
from state.sqlite.journal import SqliteJournal
from state.sqlite.lock import InUse

_log = logging.getLogger(__name__)


class StateRefused(Exception):
    """The file with the state must not be touched, and the operator has to say what to do; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The journal, and a word on how it fares."""

    journal: Journal
    notice: Callable[[], str | None]
    """What is wrong with where state is kept, for a person. None: nothing."""


def journal_path(settings: Settings) -> Path:
    """The file with the state, whether it exists or not."""
    return settings.state_dir / JOURNAL_NAME


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncGenerator[Store]:
    """The journal of these settings, closed at the end.

    A damaged file is put aside and what is good of it is carried over. Where no file can be used at all, sessions live
    in memory, and `notice` says so. Raises `StateRefused`.
    """
    if settings.store == "memory":
        yield Store(journal=_memory(settings), notice=_nothing)
        return
    try:
        journal, told = _opened(settings)
    except (StateUnavailable, StateBusy) as fault:
        text = f"sessions are kept in memory only, and end with this process: {fault}"
        _log.error("%s", text)
        yield Store(journal=_memory(settings), notice=lambda: text)
        return
    try:
        yield Store(journal=journal, notice=lambda: journal.fault() or told)
    finally:
        await journal.aclose()


def _opened(settings: Settings) -> tuple[SqliteJournal, str | None]:
    """The journal, and what was lost on the way to it."""
    path = journal_path(settings)
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


def _memory(settings: Settings) -> MemoryJournal:
    return MemoryJournal(clock=time.time, quota=settings.quota)


def _nothing() -> None:
    return None

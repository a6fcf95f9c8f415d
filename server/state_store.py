"""Where sessions are kept, as the settings say."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from server.local_store import in_memory
from server.local_store import opened_or_memory
from server.results_store import results_file
from server.settings import Settings
from server.store import StateRefused
from server.store import Store
from state.local_changes import LocalChanges
from state.sqlite.changes import SqliteChanges
from state.sqlite.file import JOURNAL_NAME

if TYPE_CHECKING:
    from state.changes import Changes

_AWAY_FOLDER = "away"

__all__ = ["StateRefused", "Store", "away_path", "journal_path", "open_store"]


def journal_path(settings: Settings) -> Path:
    """The file with the state, whether it exists or not."""
    return settings.state_dir / JOURNAL_NAME


def away_path(settings: Settings) -> Path:
    """The file with what is written while Redis is away, whether it exists or not."""
    from state.redis.address import parse  # noqa: PLC0415 - only for those who use Redis

    address = parse(settings.redis_url or "")
    # What is to be joined with one Redis must never be brought to another one.
    place = hashlib.sha256(f"{address.shown} {address.prefix}".encode()).hexdigest()[:8]
    return settings.state_dir / _AWAY_FOLDER / f"{address.prefix}-{place}" / JOURNAL_NAME


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncGenerator[Store]:
    """The journal of these settings, closed at the end.

    A damaged file is put aside and what is good of it is carried over. Where no file can be used at all, sessions live
    in memory, and `notice` says so. Raises `StateRefused`.
    """
    if settings.store == "redis":
        from server.shared_store import open_shared_store  # noqa: PLC0415 - what only those need who use Redis

        async with open_shared_store(settings, away_path(settings)) as shared:
            yield shared
        return
    async with AsyncExitStack() as stack:
        store = _in_memory(settings) if settings.store == "memory" else _in_a_file(settings, stack)
        stack.push_async_callback(store.changes.aclose)
        yield store


def _in_memory(settings: Settings) -> Store:
    local = in_memory(settings)
    return Store(journal=local.journal, notice=local.notice, hint=local.notice, changes=LocalChanges())


def _in_a_file(settings: Settings, stack: AsyncExitStack) -> Store:
    """Shared by the processes of this machine, unless no file can be used."""
    local = opened_or_memory(journal_path(settings), settings)
    stack.push_async_callback(local.aclose)
    results = results_file(settings)
    if local.durable_at is None:
        changes: Changes = LocalChanges()
    else:
        changes = SqliteChanges(journal_path(settings), news=None if results is None else results.news)
    return Store(journal=local.journal, notice=local.notice, hint=local.notice, changes=changes, results=results)

"""Connections that read: one for short questions on the loop's own thread, and threads for long ones."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from typing import TypeVar

from state.errors import StateError
from state.sqlite import refusals
from state.sqlite.file import BUSY_S
from state.sqlite.file import JournalFile
from state.sqlite.file import suspect

T = TypeVar("T")
_THREADS: Final = 2
_NEAR_BUSY_S: Final = 0.0
"""The loop never waits. Readers wait for nobody anyway but somebody who repairs what a crash left."""


class Readers:
    """Raises `StateBusy` and `StateUnavailable`."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._near: sqlite3.Connection | None = None
        self._far = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="uds-journal-read")
        self.fault: str | None = None
        """What could not be read because the file is damaged. Nothing heals that while it is open. None: nothing."""

    def at_once(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask on this thread, and without any wait: for what takes microseconds. Raises `sqlite3.Error` as it is."""
        if self._near is None:
            self._near = self._opened(_NEAR_BUSY_S)
        return ask(self._near)

    async def in_thread(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask on another thread, which may take its time."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, ask)
        except (sqlite3.Error, UnicodeError) as fault:
            raise self._refused(fault) from fault

    async def soon(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """At once, or in a thread if others are in the way."""
        try:
            return self.at_once(ask)
        except (sqlite3.Error, UnicodeError) as fault:
            if not refusals.busy(fault):
                raise self._refused(fault) from fault
        return await self.in_thread(ask)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    def _refused(self, fault: Exception) -> StateError:
        refusal = refusals.read_refused(self._file.path, fault)
        if refusals.damaged(fault):
            self.fault = str(refusal)
            suspect(self._file.path, self.fault)
        return refusal

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._far, "connection", None)
        if connection is None:
            connection = self._far.connection = self._opened(BUSY_S)
        return ask(connection)

    def _opened(self, busy_s: float) -> sqlite3.Connection:
        connection = self._file.reading(busy_s=busy_s)
        self._connections.append(connection)
        return connection

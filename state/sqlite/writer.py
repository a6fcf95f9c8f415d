"""The one thread that writes: takes all that is wanted at the moment, has it written at once, and answers.

So the disk is waited for once for many writers, and an answer means that what was written is on it.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from contextlib import suppress
from typing import Final

from state.journal import Head
from state.sqlite import refusals
from state.sqlite.desk import Desk
from state.sqlite.desk import Outcome
from state.sqlite.wishes import Answered
from state.sqlite.wishes import Flush
from state.sqlite.wishes import Wish

_log = logging.getLogger(__name__)

BATCH_MOST: Final = 512
"""Wishes in one transaction, roughly."""
TICK_S: Final = 1.0
"""How late touches are written, and how often an idle writer looks for sessions that have expired."""


class Writer:
    """For one event loop: that of the first write."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wanted: queue.SimpleQueue[list[Wish] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushed_s = time.monotonic()
        self._patience_s = TICK_S
        self._fault: str | None = None

    @property
    def fault(self) -> str | None:
        """Why the last write failed, or the anchors do. None: nothing is wrong."""
        return self._fault or self._desk.anchors.fault

    def want(self, wishes: list[Wish]) -> None:
        """For the loop's thread only. The list is the writer's from now on."""
        self.start()
        self._wanted.put(wishes)

    def start(self) -> None:
        """From now on touches are written."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="uds-journal")
            self._thread.start()

    async def close(self) -> None:
        """Write what is wanted and all touches, then let go of the file."""
        if self._thread is not None:
            self._wanted.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        go_on = True
        while go_on:
            wishes, go_on = self._taken()
            self._carry_out(wishes)
            go_on = go_on and not (self._loop is None or self._loop.is_closed())
        self._carry_out([Flush()])
        with suppress(sqlite3.Error):
            self._desk.close()

    def _taken(self) -> tuple[list[Wish], bool]:
        """All that is wanted now, or nothing after a while; and whether to go on after it."""
        wishes: list[Wish] = []
        try:
            while len(wishes) < BATCH_MOST:
                more = self._wanted.get_nowait() if wishes else self._wanted.get(timeout=self._patience_s)
                if more is None:
                    return wishes, False
                wishes += more
        except queue.Empty:
            pass
        return wishes, True

    def _carry_out(self, wishes: list[Wish]) -> None:
        try:
            self._write(wishes)
        except (sqlite3.Error, OSError, UnicodeError) as fault:
            self._fail(wishes, fault)
        except Exception as fault:  # noqa: BLE001 - the outermost loop of this thread: who waits must be answered
            _log.exception("a write to %s failed for a reason nobody thought of", self._desk.path)
            self._fail(wishes, fault)

    def _write(self, wishes: list[Wish]) -> None:
        now_s = time.monotonic()
        flush = now_s - self._flushed_s >= TICK_S or any(isinstance(each, Flush) for each in wishes)
        outcomes = self._desk.carry_out(wishes, flush=flush, try_it=self._fault is not None)
        self._fault = None
        self._patience_s = 0.0 if self._desk.due() else TICK_S
        if flush:
            self._flushed_s = now_s
        self._answer(outcomes)

    def _fail(self, wishes: list[Wish], fault: Exception) -> None:
        waiting = [each.answer for each in wishes if isinstance(each, Answered)]
        self._fault = str(refusals.write_refused(self._desk.path, fault))
        self._patience_s = TICK_S
        self._answer([(answer, refusals.write_refused(self._desk.path, fault)) for answer in waiting])

    def _answer(self, outcomes: list[Outcome]) -> None:
        if outcomes and self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[Outcome]) -> None:
    for answer, outcome in outcomes:
        if answer.done():
            continue  # who asked has gone away
        if isinstance(outcome, Head):
            answer.set_result(outcome)
        else:
            answer.set_exception(outcome)

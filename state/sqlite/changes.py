"""Changes between the processes that share a journal's file: told here at once, and seen by looking at the file."""

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from state.changes import Change
from state.changes import Listener
from state.changes import Missed
from state.changes import SessionMoved
from state.local_changes import LocalChanges
from state.sqlite import refusals
from state.sqlite.tail import Tail
from state.sqlite.tail import Tidings
from state.tier import News

_log = logging.getLogger(__name__)

EVERY_S: Final = 0.2
_RECENT_S: Final = 10.0
"""How long it is known what was told: publishing and looking find the same write within about a turn."""


class SqliteChanges:
    """Implements `Changes`, for one event loop. Sessions and results cross to other processes, resources do not.

    What is written to the file is seen within `every_s` seconds, by whichever process, as long as somebody listens;
    publishing `SessionMoved` only tells it sooner here. `news`: that of a tier of results (`OutdatedNews.news`).
    `clock` is monotonic.
    """

    def __init__(
        self,
        path: Path,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        news: Callable[[str | None], Awaitable[News]] | None = None,
    ) -> None:
        self._path = path
        self._every_s = every_s
        self._news = news
        self._position: str | None = None
        self._here = LocalChanges()
        self._listeners = 0
        self._tail = Tail(path)
        self._told = _Told(clock)
        self._turn = asyncio.Lock()
        self._begun = self._blind = self._closed = False
        self._task: asyncio.Task[None] | None = None

    def publish(self, change: Change) -> None:
        if isinstance(change, SessionMoved):
            self._tell(change, _Range(None, change.version, change.version))
        else:
            self._here.publish(change)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """What others write is told from the first look on, which begins at once. See `look`."""
        end = self._here.listen(listener)
        self._listeners += 1
        if self._task is None and not self._closed:
            self._begun = False
            self._task = asyncio.get_running_loop().create_task(self._go_on())
        left = False

        def leave() -> None:
            nonlocal left
            end()
            self._listeners -= not left
            left = True

        return leave

    async def look(self) -> None:
        """Look now, and not only at the next turn; the first time only where everything stands."""
        async with self._turn:
            await self._look()
            await self._hear_news()
            self._begun = True

    async def aclose(self) -> None:
        self._closed = True
        await self._here.aclose()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        async with self._turn:
            self._tail.close()

    async def _go_on(self) -> None:
        while self._listeners:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the outermost loop of this task: without it nobody would hear any more
                _log.exception("looking for the changes of other processes failed on a defect")
            await asyncio.sleep(self._every_s)
        self._task = None
        if not self._turn.locked():
            self._tail.close()

    async def _look(self) -> None:
        try:
            if not self._begun:
                await self._in_thread(self._tail.begin)
            elif self._tail.stirred():
                self._tell_of(await self._in_thread(self._tail.look))
        except (sqlite3.Error, OSError, UnicodeError) as fault:
            if not refusals.busy(fault):
                self._lost(fault)
        else:
            self._blind = False

    async def _hear_news(self) -> None:
        if self._news is None:
            return
        news = await self._news(self._position if self._begun else None)
        self._position = news.position
        for change in news.outdated:
            self._here.publish(change)

    async def _in_thread(self, ask: Callable[[], Tidings]) -> Tidings:
        """On another thread, and to its end even if nobody waits for it any more."""
        asked = asyncio.get_running_loop().run_in_executor(None, ask)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.wait([asked])  # a few milliseconds: nobody else may have the file meanwhile
            raise

    def _tell_of(self, tidings: Tidings) -> None:
        if tidings.missed:
            self._here.publish(Missed())
        for moved in tidings.moved:
            change = SessionMoved(session_id=moved.session_id, version=moved.last)
            self._tell(change, _Range(moved.n, moved.first, moved.last))

    def _tell(self, change: SessionMoved, versions: "_Range") -> None:
        if self._told.is_new(change.session_id, versions):
            self._here.publish(change)

    def _lost(self, fault: Exception) -> None:
        """Once, until it can be read again."""
        if not self._blind:
            self._blind = True
            _log.warning("what other processes write to %s cannot be seen: %s", self._path, fault)
            self._here.publish(Missed())


@dataclass(frozen=True, slots=True)
class _Range:
    """Versions of a session."""

    n: int | None
    """Of the session in the file. None: who wrote it did not say."""
    first: int
    last: int

    def of_another(self, other: "_Range") -> bool:
        """Whether the two are surely not of one session, although of one id."""
        return None not in {self.n, other.n} and self.n != other.n

    def joined(self, other: "_Range") -> "_Range":
        n = self.n if other.n is None else other.n
        return _Range(n, min(self.first, other.first), max(self.last, other.last))


class _Told:
    """Which versions were told lately, so that none is told twice: once by who wrote, and once by who looked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ranges: OrderedDict[str, tuple[float, _Range]] = OrderedDict()

    def is_new(self, session_id: str, versions: _Range) -> bool:
        """Whether the last of these versions was not told; from now on they all were."""
        now = self._clock()
        while self._ranges and next(iter(self._ranges.values()))[0] < now - _RECENT_S:
            self._ranges.popitem(last=False)
        known = self._ranges[session_id][1] if session_id in self._ranges else None
        if known is None or known.of_another(versions) or versions.last < known.first:
            known, is_new = versions, True
        else:
            known, is_new = known.joined(versions), versions.last > known.last
        self._ranges[session_id] = now, known
        self._ranges.move_to_end(session_id)
        return is_new

"""`SqliteResults`: a tier in a file that all processes of a machine share, asked on threads of its own.

Whatever is wrong with the file, callers see misses. A file that is damaged is replaced; one that is not ours, is of a
newer release or cannot be written is left alone and not asked again, which is said once in the log.
"""

import asyncio
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from typing import Final
from typing import TypeVar

from state.changes import ResultsOutdated
from state.counting import Counts
from state.outdated import touches
from state.packing import Packed
from state.packing import pack
from state.packing import unpack
from state.resultfile import rows
from state.resultfile.file import Damaged
from state.resultfile.file import Place
from state.resultfile.file import Unusable
from state.resultfile.file import is_damage
from state.sqlite.lock import InUse
from state.tier import LIFE_S
from state.tier import Fresh
from state.tier import Kept
from state.tier import Look
from state.tier import News
from state.tier import Permit
from state.tier import TierStatistics
from state.tier import Wanted

_log = logging.getLogger(__name__)
T = TypeVar("T")
V = TypeVar("V")

MAX_BYTES: Final = 256 * 2**20
PATIENCE_S: Final = 1.0
"""How long a look may take before it is a miss."""
_READ_BUSY_S: Final = 0.05
_WRITE_BUSY_S: Final = 0.5
_WAITING_MOST: Final = 64
"""Results that wait to be stored; more are dropped."""
_LARGEST_SHARE: Final = 16
"""A result over this part of all room is not stored."""
_HANGS_MOST: Final = 3
"""Looks in a row that took too long, after which the file is not asked any more."""
_CLOSING_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """What a thread met; `final`: the file is not to be asked again."""

    told: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a thread read. `value`: after decoding; in a list, since None may be one."""

    position: str
    value: list[Any]
    row: rows.Row | None = None
    packed: Packed | None = None
    unreadable: bool = False


class SqliteResults:
    """A `ResultTier` with `OutdatedNews`, for one event loop. The file is opened, or made, at the first look."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        life_s: float = LIFE_S,
        max_bytes: int = MAX_BYTES,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`clock`: wall time, as results outlive the process. `life_s`: older ones are not served."""
        self._path = path
        self._clock = clock
        self._life_s = life_s
        self._max_bytes = max_bytes
        self._patience_s = patience_s
        self._near = Place(path, busy_s=_READ_BUSY_S)
        self._far = Place(path, busy_s=_WRITE_BUSY_S)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="uds-results-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="uds-results")
        self._waiting: set[asyncio.Future[Any]] = set()
        self._mark = secrets.token_hex(4)
        """Of what is declared outdated here."""
        self._owed: list[ResultsOutdated] = []
        """Declared outdated here and not yet written."""
        self._counts = Counts()
        self._hangs = 0
        self._closed = False
        self.fault: str | None = None
        """Why the file is not asked any more. None: it is."""

    async def look(self, wanted: Wanted, decode: Callable[[bytes], V]) -> Look[V]:
        if self._owed and self._waiting:  # else what is loaded now would count as outdated by it
            await asyncio.wait(self._waiting, timeout=self._patience_s)
        read = await self._asked(self._near, partial(self._read, wanted, decode))
        if read is None:
            return self._counts.looked(Look())
        permit = Permit(wanted=wanted, under=read.position)
        if read.unreadable:
            self._counts.unreadable += 1
            self._behind(partial(rows.drop, wanted=wanted))
        if read.row is None or read.packed is None or self._is_owed(read.packed.tags):
            return self._counts.looked(Look(permit=permit))
        now = self._clock()
        if rows.is_used_anew(read.row, now, self._life_s):
            self._behind(partial(rows.note_use, wanted=wanted, now=now))
        age_s = max(0.0, now - read.row.loaded_at)
        kept = Kept(value=read.value[0], age_s=age_s, size_bytes=read.packed.size_bytes, tags=read.packed.tags)
        return self._counts.looked(Look(kept=kept))

    def keep(self, permit: Permit, fresh: Fresh) -> None:
        if self.fault is not None:
            return
        if len(self._waiting) >= _WAITING_MOST:
            self._counts.dropped += 1
            return
        now = self._clock()
        self._behind(partial(self._put, permit=permit, fresh=fresh, now=now, loaded_at=now - fresh.age_s), self._kept)

    def forgo(self, permit: Permit, *, private: bool = False) -> None:
        """Nobody waits for anybody here."""

    def outdate(self, change: ResultsOutdated) -> None:
        if self.fault is not None:
            return
        self._owed.append(change)
        self._behind(lambda _connection: None)

    async def news(self, after: str | None) -> News:
        found = await self._asked(self._near, partial(rows.news, after=after, mark=self._mark))
        return News(position=after or "", outdated=()) if found is None else found

    async def settled(self) -> None:
        while self._waiting:
            await asyncio.wait(self._waiting)

    def statistics(self) -> TierStatistics:
        return self._counts.statistics()

    async def aclose(self) -> None:
        """Waits for what is being written just now, half a second at most."""
        if self._closed:
            return
        self._closed = True
        self.fault = self.fault or "it was closed"
        for each in tuple(self._waiting):
            each.cancel()
        for executor, place in ((self._reader, self._near), (self._writer, self._far)):
            closing = asyncio.get_running_loop().run_in_executor(executor, place.close)
            await asyncio.wait([closing], timeout=_CLOSING_S)
            executor.shutdown(wait=False, cancel_futures=True)

    def _is_owed(self, tags: tuple[str, ...]) -> bool:
        return any(touches(change, tags) for change in self._owed)

    def _read(self, wanted: Wanted, decode: Callable[[bytes], Any], connection: sqlite3.Connection) -> _Read:
        row, position = rows.found(connection, wanted, self._clock(), self._life_s)
        if row is None:
            return _Read(position=position, value=[])
        try:
            packed = unpack(row.value)
            return _Read(position=position, value=[decode(packed.body)], row=row, packed=packed)
        except ValueError:
            return _Read(position=position, value=[], unreadable=True)

    def _put(
        self, connection: sqlite3.Connection, *, permit: Permit, fresh: Fresh, now: float, loaded_at: float
    ) -> bool | None:
        """None: it is too large, or cannot be written as bytes."""
        try:
            body = fresh.encode()
            value = pack(Packed(body=body, tags=fresh.tags, size_bytes=fresh.size_bytes, under=permit.under))
        except ValueError:
            return None
        if len(value) > self._max_bytes // _LARGEST_SHARE:
            return None
        rows.sweep(connection, now - self._life_s)
        row = rows.Row(value=value, loaded_at=loaded_at, used_at=now)
        return rows.put(connection, permit.wanted, row, permit.under, fresh.tags, self._max_bytes)

    def _kept(self, stored: bool | None) -> None:  # noqa: FBT001 - what a thread answers
        if stored is None:
            self._counts.dropped += 1
        elif stored:
            self._counts.stored += 1
        else:
            self._counts.refused += 1

    async def _asked(self, place: Place, ask: Callable[[sqlite3.Connection], T]) -> T | None:
        """None: the file does not answer, or not in time."""
        if self.fault is not None:
            return None
        asking = asyncio.get_running_loop().run_in_executor(self._reader, _attempt, place, ask)
        done, _ = await asyncio.wait([asking], timeout=self._patience_s)
        if not done:
            self._hung()
            return None
        self._hangs = 0
        answer = asking.result()
        if isinstance(answer, _Failed):
            self._failed(answer)
            return None
        return answer[0]

    def _behind(
        self, write: Callable[[sqlite3.Connection], T], then: Callable[[T], None] = lambda _answer: None
    ) -> None:
        """On the thread that writes, after what is owed."""

        def work(connection: sqlite3.Connection) -> T:
            self._pay(connection)
            return write(connection)

        writing = asyncio.get_running_loop().run_in_executor(self._writer, _attempt, self._far, work)
        self._waiting.add(writing)
        writing.add_done_callback(partial(self._written, then))

    def _pay(self, connection: sqlite3.Connection) -> None:
        """The loop only adds at the end, and this thread alone takes away at the front."""
        owed = tuple(self._owed)
        if owed:
            rows.outdate(connection, owed, self._mark)
            del self._owed[: len(owed)]

    def _written(self, then: Callable[[Any], None], writing: asyncio.Future[Any]) -> None:
        self._waiting.discard(writing)
        if writing.cancelled():
            return
        answer = writing.result()
        if isinstance(answer, _Failed):
            self._failed(answer)
        else:
            then(answer[0])

    def _hung(self) -> None:
        self._counts.errors += 1
        self._hangs += 1
        if self._hangs >= _HANGS_MOST:
            self._failed(_Failed(told=f"{self._path} takes too long to be read", final=True))

    def _failed(self, failed: _Failed) -> None:
        if self.fault is not None:
            return
        self._counts.errors += 1
        if failed.final:
            self.fault = failed.told
            _log.warning("answers are kept in memory only: %s", failed.told)
        else:
            _log.info("a look at kept answers failed: %s", failed.told)


def _attempt(place: Place, work: Callable[[sqlite3.Connection], T]) -> tuple[T] | _Failed:
    """Do the work on the file; a damaged one is replaced, and the work is done on the new one."""
    for _ in range(2):
        try:
            return (work(place.connection()),)
        except (sqlite3.Error, Damaged, Unusable, OSError, UnicodeError, InUse) as fault:
            failed = _judged(place, fault)
        if failed is not None:
            return failed
    return _Failed(told="it is damaged again and again", final=True)


def _judged(place: Place, fault: Exception) -> _Failed | None:
    """None: a new file may be tried."""
    damaged = isinstance(fault, Damaged | UnicodeError) or (isinstance(fault, sqlite3.Error) and is_damage(fault))
    if damaged:
        _log.warning("the file with kept answers is damaged (%s) and is made anew", fault)
        try:
            place.replace()
        except (OSError, InUse) as second:
            return _Failed(told=str(second), final=True)
        return None
    place.close()
    return _Failed(told=str(fault), final=isinstance(fault, Unusable) or place.is_closed_by(fault))

"""A history as files in a private folder with an engine over them: brought up to date before each question."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final
from typing import TypeVar

from sources.duckdb.limits import EngineLimits
from sources.duckdb.source import DuckDBSource
from sources.errors import QueryTimeout
from sources.errors import SourceUnreachable
from sources.history.records import SCHEMAS
from sources.history.records import Page
from sources.history.records import Reading
from sources.history.records import Records
from sources.history.records import Rewritten
from sources.history.table import Table

T = TypeVar("T")

Question = Callable[[DuckDBSource, float], Awaitable[T]]
"""Asked of the engine, with the seconds that are left."""

_ENGINE: Final = EngineLimits(memory_bytes=256 * 2**20)
_ROWS_AT_ONCE: Final = 1_000


class Mirror:
    """Answers one question after the other, so that no file changes under a question. Belongs to one event loop."""

    def __init__(self, records: Records, *, name: str, scope: str, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._name = name
        self._scope = scope
        self._clock = clock
        self._turn = asyncio.Lock()
        self._folder: Path | None = None
        self._tables: dict[str, Table] = {}
        self._inner: DuckDBSource | None = None
        self._reading: Reading | None = None
        self._token: str | None = None
        self._writing: asyncio.Task[None] | None = None

    async def asked(self, question: Question[T], *, within_s: float) -> T:
        """The answer to a question about the history as it is now.

        Raises `QueryTimeout`, `SourceUnreachable`, and what the question raises.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        try:
            async with asyncio.timeout_at(deadline), self._turn:
                inner = await self._current()
                return await question(inner, max(deadline - loop.time(), 0.0))
        except TimeoutError:
            raise QueryTimeout(within_s) from None

    async def aclose(self) -> None:
        """End the engine and remove the files."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        if self._inner is not None:
            await self._inner.aclose()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _current(self) -> DuckDBSource:
        if self._writing is not None:
            await asyncio.wait([self._writing])  # of a caller who gave up; how it ended shows in the token
        if await self._records.token(None) != self._token:
            await asyncio.shield(self._begun())
        if self._inner is None:
            raise SourceUnreachable("the history is closed")
        return self._inner

    def _begun(self) -> asyncio.Task[None]:
        """Writing in a task of its own: it may take long, and a caller who gives up must not make it begin anew."""
        writing = asyncio.get_running_loop().create_task(self._written())
        writing.add_done_callback(self._ended)
        self._writing = writing
        return writing

    def _ended(self, writing: asyncio.Task[None]) -> None:
        self._writing = None
        if not writing.cancelled():
            writing.exception()  # seen, even when everybody who waited has gone

    async def _written(self) -> None:
        self._token = None
        try:
            token = await self._records.token(None)  # from before the reading: what comes meanwhile is read again
            await self._brought_up()
        except OSError as fault:
            self._reading = None
            raise SourceUnreachable(f"the files of the history cannot be written: {fault.strerror}") from fault
        self._token = token

    async def _brought_up(self) -> None:
        # Put back only when all of it is in the files: a reading that was stopped in the middle is of no use.
        reading, self._reading = self._reading, None
        if reading is None or not await self._went_on(reading):
            await _to_end(self._emptied)
            reading = self._records.reading()
            await self._taken(reading)
        self._reading = reading

    async def _went_on(self, reading: Reading) -> bool:
        """False: something that was written is not to be found in the history any more."""
        try:
            await self._taken(reading)
        except Rewritten:
            return False
        return True

    async def _taken(self, reading: Reading) -> None:
        waiting: list[Page] = []
        rows = 0
        async with aclosing(reading.pages()) as pages:
            async for page in pages:
                waiting.append(page)
                rows += 1 + len(page.findings) + len(page.events)
                if rows >= _ROWS_AT_ONCE:
                    await _to_end(self._put, waiting)
                    waiting, rows = [], 0
        await _to_end(self._put, waiting)
        await _to_end(self._settled)

    def _emptied(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="uds-history-"))  # for its owner alone
            self._tables = {name: Table(self._folder, name, attributes) for name, attributes in SCHEMAS.items()}
            self._inner = self._engine(self._folder)
        for table in self._tables.values():
            table.clear()

    def _engine(self, folder: Path) -> DuckDBSource:
        return DuckDBSource(
            paths=(folder,), name=self._name, scope=self._scope, limits=_ENGINE, workers=1, clock=self._clock
        )

    def _put(self, pages: list[Page]) -> None:
        for page in pages:
            self._tables["events"].grow(page.events)
            for name, rows in (("sessions", (page.session,)), ("findings", page.findings)):
                if page.ended:
                    self._tables[name].grow(rows)
                else:
                    self._tables[name].renew(rows)

    def _settled(self) -> None:
        for table in self._tables.values():
            table.settle()


async def _to_end(call: Callable[..., None], *arguments: object) -> None:
    """Run it in a thread, which cannot be stopped: who is cancelled waits, so that nobody else writes meanwhile."""
    work = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise

"""The queries of one call: their texts for its provenance, one time budget for all, one progress report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Final
from typing import Protocol

from sources.duckdb.engine import Rows
from sources.errors import QueryTimeout
from sources.protocol import Json
from sources.protocol import Progress

_LONGEST_TEXT: Final = 2_000
"""Characters of a query that its provenance keeps."""
_LEAST_S: Final = 0.05


class Runner(Protocol):
    """The engine, as far as measuring needs it."""

    async def run(
        self, sql: str, parameters: Sequence[Json] = (), *, within_s: float, limit: int = ..., progress: Progress = ...
    ) -> Rows: ...


@dataclass(slots=True, kw_only=True)
class Inquiry:
    """Used by one task at a time."""

    engine: Runner
    within_s: float
    progress: Progress
    steps: int = 1
    """Queries that are expected, for progress; more may follow."""
    queries: list[str] = field(default_factory=list[str])
    started_s: float = field(default_factory=time.monotonic)
    _done: int = 0

    async def rows(self, sql: str, *, limit: int = 10_000, shown: str | None = None) -> tuple[tuple[Json, ...], ...]:
        """Run one query within what is left of the time. Raises `QueryTimeout` when nothing is left.

        `shown` is kept for the provenance instead of the text, where that holds places of the machine.
        """
        left_s = self.within_s - (time.monotonic() - self.started_s)
        if left_s < _LEAST_S:
            raise QueryTimeout(self.within_s)
        self.queries.append((shown or sql)[:_LONGEST_TEXT])
        found = await self.engine.run(sql, within_s=left_s, limit=limit, progress=self._progress)
        self._done += 1
        return found.rows

    async def row(self, sql: str) -> tuple[Json, ...]:
        """Run a query that answers one row."""
        return (await self.rows(sql, limit=1))[0]

    @property
    def took_ms(self) -> float:
        """Milliseconds since the call began."""
        return (time.monotonic() - self.started_s) * 1000

    def _progress(self, share: float, message: str) -> None:
        self.progress(min(1.0, (self._done + share) / max(self.steps, self._done + 1)), message)

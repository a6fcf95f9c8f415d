"""The statements of one call: their texts for its provenance, one time budget for all, and what NRDB said beside."""

import time
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from sources.errors import QueryTimeout
from sources.newrelic.answered import inspected
from sources.newrelic.answered import remarks
from sources.newrelic.asking import Asking
from sources.newrelic.together import together
from sources.newrelic.window import Window
from sources.protocol import Progress
from sources.protocol import Provenance

_LONGEST_TEXT: Final = 2_000
"""Characters of a statement that its provenance keeps."""
_LEAST_S: Final = 0.05


@dataclass(slots=True, kw_only=True)
class Inquiry:
    """Used by one task at a time, for one call."""

    asking: Asking
    within_s: float
    progress: Progress
    window: Window
    """One window for all statements of the call."""
    steps: int = 1
    """Rounds that are expected, for progress; more may follow."""
    queries: list[str] = field(default_factory=list[str])
    remarks: dict[str, None] = field(default_factory=dict[str, None])
    """Why the answer may be partial; every remark once."""
    inspected: int = 0
    """Statements of one call look at the same rows again, so the largest number counts."""
    as_of_at: float = field(init=False)
    _started_s: float = field(default_factory=time.monotonic)
    _done: int = 0

    def __post_init__(self) -> None:
        self.as_of_at = self.asking.clock()

    async def counted(self, texts: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
        """Containers of measuring statements, asked together. Raises `QueryTimeout` when no time is left."""
        found = await self._ask(texts, stats=True)
        self.queries += [text[:_LONGEST_TEXT] for text in texts]
        for container in found:
            self.inspected = max(self.inspected, inspected(container))
            self.remarks |= dict.fromkeys(remarks(container))
        return found

    async def looked(self, texts: Sequence[str], shown: str) -> tuple[Mapping[str, Any], ...]:
        """Containers of statements that are much alike; `shown` stands for all of them in the provenance."""
        found = await self._ask(texts, stats=False)
        if texts:
            self.queries.append(shown[:_LONGEST_TEXT])
        return found

    def stepped(self) -> None:
        """One round is done."""
        self._done += 1
        self.progress(min(1.0, self._done / max(self.steps, self._done)), "measuring in New Relic")

    def provenance(self) -> Provenance:
        """How the answer came about: every count is of all rows of the window."""
        return Provenance(
            source=self.asking.source,
            queries=tuple(self.queries),
            rows_inspected=self.inspected,
            method="exact",
            window=self.window.shown,
            as_of_at=self.as_of_at,
            truncated=bool(self.remarks),
            took_ms=(time.monotonic() - self._started_s) * 1_000,
        )

    async def _ask(self, texts: Sequence[str], *, stats: bool) -> tuple[Mapping[str, Any], ...]:
        left_s = self.within_s - (time.monotonic() - self._started_s)
        if left_s < _LEAST_S:
            raise QueryTimeout(self.within_s)
        asking = self.asking
        answers = await together(
            asking.graph.nrql(asking.account, text, within_s=left_s, stats=stats, whole=False) for text in texts
        )
        return tuple(answer.container for answer in answers)

"""A question on its way: shared by all who ask it meanwhile, left by those who give up, ended when nobody waits."""

import json
import math
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import Literal

from sources.errors import SourceError
from sources.newrelic.faults import Trouble
from sources.newrelic.texts import Selection
from sources.protocol import Progress

if TYPE_CHECKING:
    import asyncio

TIMEOUT_S: Final = (5, 120)
"""NerdGraph clamps the timeout of a statement to these seconds."""
LASTING_TIMEOUT_S: Final = 10
"""After so long a lasting query goes on by itself, and is polled."""

Stage = Literal["gathered", "waiting", "asking", "reading", "pausing", "polling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back for one statement."""

    container: Mapping[str, Any]
    """NerdGraph's `NrdbResultContainer`, as it came: any field may be missing or null, numbers may be NaN."""
    took_ms: float
    warnings: tuple[str, ...] = ()
    """Remarks of New Relic that did not keep it from answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """NRQL for one account."""

    account: int
    text: str
    selection: Selection
    timeout_s: int
    """How long NRDB may work on it."""

    @property
    def patience(self) -> int:
        """The order of magnitude of the timeout; statements of one patience may travel together or be one."""
        return round(math.log2(self.timeout_s))

    @property
    def same(self) -> tuple[object, ...]:
        """Equal for statements that one answer serves."""
        return (self.account, self.text, self.selection, self.patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A GraphQL text that travels by itself."""

    text: str
    variables: Mapping[str, Any]

    @property
    def same(self) -> tuple[object, ...]:
        return (self.text, json.dumps(dict(self.variables), sort_keys=True))


Question = Statement | Whole
Outcome = Answered | Mapping[str, Any] | SourceError


def statement_timeout_s(within_s: float, *, lasting: bool) -> int:
    """The `timeout` argument for a caller who waits `within_s`."""
    low, high = TIMEOUT_S
    return int(min(max(min(within_s, LASTING_TIMEOUT_S if lasting else high), low), high))


@dataclass(slots=True, eq=False)
class Flight:
    """One question and all who wait for its outcome."""

    question: Question
    outcome: "asyncio.Future[Outcome]"
    began_s: float
    deadline_s: float
    """When the last of the callers gives up; of the client's clock."""
    callers: int = 0
    watching: list[Progress] = field(default_factory=list[Progress])
    stage: Stage = "gathered"
    trouble: Trouble | None = None
    """Why the latest attempt failed."""
    slow: int = 0
    """How often NRDB stopped it for taking too long."""
    asked_s: float | None = None
    """When it was sent for the first time."""
    abandoned: Callable[[], object] | None = None
    """Called when nobody waits any more."""

    @property
    def over(self) -> bool:
        return self.outcome.done()

    def board(self, deadline_s: float, watching: Progress) -> None:
        self.callers += 1
        self.watching.append(watching)
        self.deadline_s = max(self.deadline_s, deadline_s)

    def leave(self, watching: Progress) -> None:
        self.callers -= 1
        self.watching.remove(watching)
        if self.callers == 0 and not self.outcome.done():
            self.outcome.cancel()
            if self.abandoned is not None:
                self.abandoned()

    def land(self, outcome: Outcome) -> None:
        """Give everybody who waits the outcome; errors travel as values, so that nobody needs to hear them."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def tell(self, share: float, message: str) -> None:
        for watching in tuple(self.watching):
            watching(share, message)

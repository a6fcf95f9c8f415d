"""What a source may be able to do beyond the `Source` protocol: each ability a small protocol of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from typing import runtime_checkable

from sources.protocol import Progress
from sources.protocol import Provenance
from sources.protocol import Table
from sources.protocol import silent


@runtime_checkable
class Identified(Protocol):
    """Optional ability of a source: its answers may be kept outside this process and be given to other processes.

    A source that holds what belongs to one person has it not: what is forgotten there must be gone everywhere.
    """

    @property
    def identity(self) -> str:
        """What it reads, and whatever else decides its answers: equal for two sources that would answer the same.

        Beside it stands the fingerprint, which must be the same in every process that sees the same rows.
        """
        ...


@runtime_checkable
class Gathering(Protocol):
    """Optional ability of a source far away: questions that are asked together travel together."""

    @property
    def questions_at_once(self) -> int:
        """How many questions go well together; more of them wait for each other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the numbers of `schemas` came about, where they were not counted just now."""

    window: str
    """Two instants in RFC 3339."""
    queries: tuple[str, ...]
    """What counted them; of many alike the first."""
    looked_at: float
    """Wall-clock instant, seconds since 1970."""


@runtime_checkable
class Windowed(Protocol):
    """Optional ability of a source that never looks at all its rows: it says which ones `schemas` last counted."""

    @property
    def last_look(self) -> Look | None:
        """None: nothing was counted yet."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """Optional ability of a source far away: it keeps names and counts for a while, and can be told to forget them."""

    def forget(self) -> None:
        """What is kept is asked anew when it is needed next. Asks nothing itself, never raises."""
        ...


@runtime_checkable
class SpeaksNrql(Protocol):
    """Optional ability of a source whose own language is another one: it also answers NRQL."""

    async def query_nrql(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        """As `Source.query`. What it cannot answer as NRDB would is refused by name (`QueryRejected`)."""
        ...


@runtime_checkable
class Familiar(Protocol):
    """Optional ability of a source: it knows which schemas the caller has asked about before."""

    async def familiar(self) -> Mapping[str, int]:
        """How many of the caller's past queries read each schema; empty when that is not known or not allowed.

        Never raises: what is not known ranks nothing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Rows that were sent to the source and are not in it, as the source itself counts them."""

    category: str
    limit: str | None
    """The limit that was exceeded. None: another cause."""
    message: str
    reports: int
    """How often this was reported within the window; a report may stand for many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What came into a source and what did not, within a window."""

    losses: tuple[Loss, ...]
    """The most frequent first, at most 20."""
    bytes_by_kind: Mapping[str, int]
    """Ingested bytes by kind of data, as the source bills them."""
    provenance: Provenance


@runtime_checkable
class Metered(Protocol):
    """Optional ability of a source: it reports what it dropped and how much it took in."""

    async def intake(self, *, within_s: float) -> Intake:
        """May raise as every method of a source."""
        ...

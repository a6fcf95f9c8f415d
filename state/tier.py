"""The tier behind the memory of results: what crosses between the result cache and a store that outlives the process.

memory -> tier -> load. A tier is an aid: it may be slow, damaged or gone, and then every look is a miss and no more.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from typing import Generic
from typing import Protocol
from typing import TypeVar
from typing import runtime_checkable

from state.changes import ResultsOutdated

V = TypeVar("V")

LIFE_S = 7 * 86_400.0
"""How long a tier serves a result while its source's fingerprint stands, unless memory is told to serve it longer.

A fingerprint beats a lifetime: it says that the very rows which were measured are still there, so with time alone
nothing becomes wrong. A week spans the pause between two conversations about the same files, and bounds what a
fingerprint cannot see (a disk that was swapped with all its stamps). The age is told with every answer.
"""


class Codec(Protocol[V]):
    """How a value becomes bytes and back, the same in every process of a release. May run on any thread."""

    def encode(self, value: V) -> bytes: ...

    def decode(self, body: bytes) -> V:
        """Raises `ValueError` when the bytes are not those of such a value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Generic[V]):
    """How a value is known outside this process."""

    place: tuple[Any, ...]
    """What was asked of whom, in JSON values: equal in two processes only if the same answer is right for both."""
    codec: Codec[V]

    def digest(self, release: str) -> str:
        """The name of the value among those of all; raises `TypeError` for a place that is not of JSON values."""
        text = json.dumps((release, self.place), separators=(",", ":"), sort_keys=True)
        return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A result that is looked for."""

    digest: str
    fingerprint: str
    """Of the source as it is now; what was made of another one is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[V]):
    """A result that was found."""

    value: V
    age_s: float
    """Seconds since its load began, here or elsewhere."""
    size_bytes: int
    """Of memory, as its load said."""
    tags: tuple[str, ...]
    stale: bool = False
    """It is past its best, and somebody else loads a new one just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to load and to store what comes of it; ends with `keep` or `forgo`."""

    wanted: Wanted
    under: str
    """The position in what was declared outdated before the load began."""
    lease: str = ""
    """Empty: the tier knows no leases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[V]):
    """What a look brought. Neither: load, and store nothing."""

    kept: Kept[V] | None = None
    permit: Permit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A result that was just loaded."""

    encode: Callable[[], bytes]
    """Called once, on any thread, behind the answer."""
    age_s: float
    size_bytes: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStatistics:
    """Counters since the start."""

    hits: int = 0
    """Those of `stale` included."""
    misses: int = 0
    stale: int = 0
    stored: int = 0
    refused: int = 0
    """Not stored: outdated meanwhile, or somebody else had taken over."""
    dropped: int = 0
    """Not stored: too many were waiting, or they were too large."""
    errors: int = 0
    """Times the store could not be asked or written."""
    unreadable: int = 0
    """Results that could not be read, and were dropped."""


class ResultTier(Protocol):
    """Results outside this process. For one event loop; nothing here raises or waits for long on its own account."""

    async def look(self, wanted: Wanted, decode: Callable[[bytes], V]) -> Look[V]:
        """Find a result, or leave to load it. A store that does not answer is a miss.

        Nothing is found that was stored before an `outdate` of this process, or of any other that is over, touched it.
        `decode` may run on another thread; when it raises `ValueError` what was found is dropped.
        """
        ...

    def keep(self, permit: Permit, fresh: Fresh) -> None:
        """Store a result, behind whoever asks, unless it was declared outdated since the permit was given."""
        ...

    def forgo(self, permit: Permit, *, private: bool = False) -> None:
        """Give a permit back unused. `private`: it is never stored, so that nobody else needs to wait for it."""
        ...

    def outdate(self, change: ResultsOutdated) -> None:
        """Declare what carries any of the tags, or has a tag that matches the pattern, outdated; neither: everything.

        Holds at once for looks of this process, and for all others once it has been written, which `settled` awaits.
        """
        ...

    async def settled(self) -> None:
        """Wait until all that was wanted so far has been written, or could not be."""
        ...

    def statistics(self) -> TierStatistics: ...

    async def aclose(self) -> None:
        """Let go. What waits to be stored is dropped."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was declared outdated since a position."""

    position: str
    """Opaque; to be passed next time."""
    outdated: tuple[ResultsOutdated, ...]


@runtime_checkable
class OutdatedNews(Protocol):
    """Optional ability of a tier: telling what other processes declared outdated."""

    async def news(self, after: str | None) -> News:
        """What came after a position, in its order. None: only the position of now.

        When the position is not known (any more) the answer is that everything may be outdated. Never raises; when the
        store does not answer, nothing is new.
        """
        ...

"""The result cache before a shared tier: memory, then the tier, then one load; and what must never get there."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from sources.duckdb.source import DuckDBSource
from state.cache import Hit
from state.cache import Loaded
from state.cache import ResultCache
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.memory import MemoryJournal
from state.resultfile.results import SqliteResults
from state.sessions import Sessions
from state.tier import Shared
from tests.conftest import ManualClock
from tools.answer import PREPARED
from tools.answer import Prepared
from tools.ports import Notes
from tools.ports import Ports
from tools.shared import shared_as

if TYPE_CHECKING:
    from sources.protocol import Source

pytestmark = pytest.mark.anyio


class Text:
    """The simplest codec."""

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, body: bytes) -> str:
        return body.decode()


SHARED = Shared(place=("source", ("describe", "flights", None)), codec=Text())


@dataclass
class Processes:
    """Caches that share one file, on one clock."""

    path: Path
    clock: ManualClock
    made: list[ResultCache]

    def cache(self, *, release: str = "1", ttl_s: float = 300.0) -> ResultCache:
        tier = SqliteResults(self.path, clock=self.clock, patience_s=10.0)
        made = ResultCache(clock=self.clock, tier=tier, release=release, ttl_s=ttl_s, random=lambda: 0.5)
        self.made.append(made)
        return made


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    made = Processes(tmp_path / "results.db", ManualClock(1e9), [])
    yield made
    for cache in made.made:
        await cache.aclose()


class Loads:
    """A load that can be held up, and counts itself."""

    def __init__(self, value: str = "value", tags: tuple[str, ...] = ("t",)) -> None:
        self.value = value
        self.tags = tags
        self.cacheable = True
        self.fault: Exception | None = None
        self.begun = 0
        self.has_begun = anyio.Event()
        self.open = anyio.Event()
        self.open.set()

    async def load(self) -> Loaded[str]:
        self.begun += 1
        self.has_begun.set()
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return Loaded(value=self.value, size_bytes=9, tags=self.tags, cacheable=self.cacheable)

    async def ask(self, cache: ResultCache, fingerprint: str = "f", shared: Shared[str] | None = SHARED) -> Hit[str]:
        with anyio.fail_after(20):
            hit = await cache.get_or_load("k", self.load, fingerprint=fingerprint, shared=shared)
            await cache.settled()
            return hit


async def test_another_process_finds_it_with_its_true_age_and_from_then_on_in_memory(processes: Processes) -> None:
    loads = Loads()
    assert await loads.ask(processes.cache()) == Hit(value="value", cached=False, age_s=0.0, tier=None)
    processes.clock.advance(3_600)
    other = processes.cache()
    assert await loads.ask(other) == Hit(value="value", cached=True, age_s=3_600, tier="shared")
    processes.clock.advance(5)
    assert await loads.ask(other) == Hit(value="value", cached=True, age_s=3_605, tier="memory")
    seen = other.statistics()
    assert loads.begun == 1
    assert (seen.hits, seen.misses, seen.loads, seen.bytes) == (1, 1, 0, 9)
    assert seen.shared is not None
    assert (seen.shared.hits, seen.shared.misses) == (1, 0)


async def test_memory_lets_go_and_the_tier_still_knows_as_long_as_the_fingerprint_stands(processes: Processes) -> None:
    loads, cache = Loads(), processes.cache(ttl_s=10)
    await loads.ask(cache)
    processes.clock.advance(11)
    assert (await loads.ask(cache)).tier == "shared"
    assert (await loads.ask(cache, fingerprint="f2")).cached is False
    assert loads.begun == 2


async def test_many_who_ask_at_once_look_once(processes: Processes) -> None:
    loads = Loads()
    await loads.ask(processes.cache())
    other = processes.cache()
    hits = await asyncio.gather(*(loads.ask(other) for _ in range(50)))
    assert {hit.tier for hit in hits} == {"shared"}
    seen = other.statistics().shared
    assert seen is not None
    assert (seen.hits, loads.begun) == (1, 1)


@pytest.mark.parametrize(
    ("release", "shared"),
    [
        ("2", SHARED),
        ("1", Shared(place=("other", ("describe", "flights", None)), codec=Text())),
        ("1", Shared(place=("source", ("describe", "flights", "None")), codec=Text())),
        ("1", None),
    ],
)
async def test_another_release_source_or_question_finds_nothing(
    processes: Processes, release: str, shared: Shared[str] | None
) -> None:
    loads = Loads()
    await loads.ask(processes.cache())
    assert (await loads.ask(processes.cache(release=release), shared=shared)).cached is False
    assert loads.begun == 2


async def test_what_is_not_shared_never_reaches_the_tier(processes: Processes) -> None:
    loads = Loads()
    await loads.ask(processes.cache(), shared=None)
    assert not processes.path.exists()


@pytest.mark.parametrize("kind", ["failed", "not to be cached"])
async def test_what_failed_or_is_not_to_be_cached_is_stored_nowhere(processes: Processes, kind: str) -> None:
    loads, cache = Loads(), processes.cache()
    loads.cacheable = kind == "failed"
    loads.fault = LookupError("no such thing") if kind == "failed" else None
    if kind == "failed":
        with pytest.raises(LookupError):
            await loads.ask(cache)
    else:
        await loads.ask(cache)
    good = Loads("good")
    assert (await good.ask(processes.cache())).value == "good"


@pytest.mark.parametrize("how", ["here", "heard"])
async def test_a_load_under_way_when_its_result_was_outdated_is_stored_nowhere(processes: Processes, how: str) -> None:
    loads, cache = Loads("before"), processes.cache()
    loads.open = anyio.Event()
    asked = asyncio.create_task(loads.ask(cache))
    with anyio.fail_after(20):
        await loads.has_begun.wait()
    if how == "here":
        cache.invalidate(tags=["t"])
    else:
        cache.hear(ResultsOutdated(tags=("t",)))
    loads.open.set()
    assert (await asked).value == "before"
    after = Loads("after")
    assert (await after.ask(cache)).value == "after"
    assert (await after.ask(processes.cache())).value == "after"


async def test_what_one_process_declared_outdated_another_one_does_not_find(processes: Processes) -> None:
    loads, cache = Loads("old"), processes.cache()
    await loads.ask(cache)
    assert cache.invalidate(pattern="t*") == 1
    assert (await Loads("new").ask(cache)).value == "new"
    assert (await Loads("newer").ask(processes.cache())).value == "new"


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        (ResultsOutdated(tags=("t",)), True),
        (ResultsOutdated(tags=("other",)), False),
        (ResultsOutdated(pattern="t"), True),
        (Missed(), True),
        (ResourceMoved(uri="uds://x"), False),
    ],
)
async def test_what_is_heard_of_others_is_dropped_from_memory_alone(
    processes: Processes, change: Any, *, dropped: bool
) -> None:
    loads, cache = Loads(), processes.cache()
    await loads.ask(cache)
    cache.hear(change)
    assert (cache.peek("k", "f") is None) == dropped
    assert (await loads.ask(cache)).tier == ("shared" if dropped else "memory")


async def test_cancelling_one_caller_harms_nobody_and_the_result_is_stored(processes: Processes) -> None:
    loads, cache = Loads(), processes.cache()
    loads.open = anyio.Event()
    first, second = (asyncio.create_task(loads.ask(cache)) for _ in range(2))
    with anyio.fail_after(20):
        await loads.has_begun.wait()
    first.cancel()
    await anyio.lowlevel.checkpoint()
    loads.open.set()
    assert (await second).value == "value"
    assert (await loads.ask(processes.cache())).tier == "shared"


async def test_a_value_that_cannot_be_decoded_is_loaded_anew(processes: Processes) -> None:
    class Strict(Text):
        def decode(self, body: bytes) -> str:
            raise ValueError(body)

    loads, cache = Loads(), processes.cache()
    await loads.ask(processes.cache())
    assert (await loads.ask(cache, shared=Shared(place=SHARED.place, codec=Strict()))).cached is False
    seen = cache.statistics().shared
    assert seen is not None
    assert (seen.unreadable, loads.begun) == (1, 2)


class Slow(Text):
    """Reading takes until it is let go."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.open = threading.Event()

    def decode(self, body: bytes) -> str:
        self.loop.call_soon_threadsafe(self.begun.set)
        self.open.wait(10)
        return body.decode()


async def test_what_is_outdated_on_its_way_from_the_tier_is_loaded_anew(processes: Processes) -> None:
    await Loads("old").ask(processes.cache())
    cache, codec, new = processes.cache(), Slow(), Loads("new")
    asked = asyncio.create_task(new.ask(cache, shared=Shared(place=SHARED.place, codec=codec)))
    with anyio.fail_after(20):
        await codec.begun.wait()
        cache.hear(ResultsOutdated(tags=("t",)))
        codec.open.set()
        assert (await asked).value == "new"


async def test_two_sources_share_answers_only_if_they_read_the_same_places(tmp_path: Path) -> None:
    def digest(*paths: Path, name: str = "duckdb", scope: str = "") -> str:
        shared = shared_as(DuckDBSource(paths=paths, name=name, scope=scope), ("describe", "x"), PREPARED)
        assert shared is not None
        return shared.digest("1")

    here, there = tmp_path / "here", tmp_path / "there"
    assert digest(here) == digest(tmp_path / "there" / ".." / "here")
    others = [digest(there), digest(here, there), digest(here, name="x"), digest(here, scope="me"), digest()]
    assert len({digest(here), *others}) == 6


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ""])
async def test_fingerprints_are_the_same_in_every_process(tmp_path: Path, text: str) -> None:
    for name in ("b.csv", "a.csv", "2024/x=1/c.csv", "2024/x=2/c.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    seen: list[list[str]] = []
    for _ in range(2):
        source = DuckDBSource(paths=(tmp_path,), workers=1)
        names = sorted(each.name for each in await source.schemas())
        seen.append([await source.fingerprint(), *[await source.fingerprint(name) for name in names]])
        await source.aclose()
    assert seen[0] == seen[1]
    assert len(seen[0]) >= 2


class Moving:
    """A source whose rows change while they are measured, if it is told so."""

    name = "duckdb"
    scope = ""
    identity = "moving"
    moves = 0

    async def fingerprint(self, _schema: str | None = None) -> str:
        return str(self.moves)


@pytest.mark.parametrize("moves", [True, False])
async def test_what_was_measured_while_its_rows_moved_is_answered_and_kept_nowhere(
    processes: Processes,
    *,
    moves: bool,
) -> None:
    cache, source = processes.cache(), Moving()
    sessions = Sessions(MemoryJournal(clock=processes.clock), clock=processes.clock)
    ports = Ports(
        sources=(),
        cache=cache,
        sessions=sessions,
        notes=Notes(sessions, lambda _uri: None),
        changed=lambda _uri: None,
    )

    async def load() -> Loaded[Prepared]:
        source.moves += moves
        answer = Prepared({"rows": 1}, {"source": "s"}, '{"rows":1,"provenance":{"source":"s"', (), ())
        return Loaded(value=answer, size_bytes=1)

    hits = [await ports.measured(cast("Source", source), "x", ("describe", "x"), load) for _ in range(2)]
    assert [hit.cached for hit in hits] == [False, not moves]
    await cache.settled()
    seen = cache.statistics().shared
    assert seen is not None
    assert seen.stored == (not moves)

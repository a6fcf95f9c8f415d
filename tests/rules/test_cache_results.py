"""The result cache: what is served, what is dropped, and what is counted, by a clock that moves only when told."""

from collections.abc import Hashable

import pytest

from state.cache import Hit
from state.cache import Loaded
from state.cache import ResultCache
from state.shelf import Entry
from state.shelf import Shelf
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio


class Loads:
    """Loads of a cache under test; counts them."""

    def __init__(self, cache: ResultCache) -> None:
        self.cache = cache
        self.count = 0

    async def ask(
        self,
        key: Hashable,
        value: str = "value",
        *,
        fingerprint: str = "f",
        size_bytes: int = 10,
        tags: tuple[str, ...] = (),
        cacheable: bool = True,
    ) -> Hit[str]:
        async def load() -> Loaded[str]:
            self.count += 1
            return Loaded(value=value, size_bytes=size_bytes, tags=tags, cacheable=cacheable)

        return await self.cache.get_or_load(key, load, fingerprint=fingerprint)


def _cache(clock: ManualClock, *, jitter: float = 0.5, max_entries: int = 100, max_bytes: int = 8_000) -> Loads:
    """`jitter` is what the source of randomness gives: 0.5 is none."""
    return Loads(
        ResultCache(clock=clock, ttl_s=100.0, max_entries=max_entries, max_bytes=max_bytes, random=lambda: jitter)
    )


async def test_the_second_answer_comes_from_memory_with_its_age(clock: ManualClock) -> None:
    loads = _cache(clock)
    first = await loads.ask("k")
    clock.advance(7)
    second = await loads.ask("k", "other")
    assert first == Hit(value="value", cached=False, age_s=0.0, tier=None)
    assert second == Hit(value="value", cached=True, age_s=7.0, tier="memory")
    assert loads.cache.peek("k", "f") == second
    assert loads.count == 1


async def test_the_age_counts_from_when_the_load_began(clock: ManualClock) -> None:
    cache = ResultCache(clock=clock)

    async def slow() -> Loaded[int]:
        clock.advance(3)
        return Loaded(value=1, size_bytes=1)

    await cache.get_or_load("k", slow, fingerprint="f")
    hit = cache.peek("k", "f")
    assert hit is not None
    assert hit.age_s == 3.0


async def test_none_is_a_value_like_any_other(clock: ManualClock) -> None:
    cache = ResultCache(clock=clock)
    count = 0

    async def load() -> Loaded[None]:
        nonlocal count
        count += 1
        return Loaded(value=None, size_bytes=1)

    for _ in range(2):
        assert (await cache.get_or_load("k", load, fingerprint="f")).value is None
    assert count == 1


@pytest.mark.parametrize(("chance", "life_s"), [(0.0, 90.0), (0.5, 100.0), (1.0, 110.0)])
async def test_lives_are_jittered_by_a_tenth_and_end_on_time(clock: ManualClock, chance: float, life_s: float) -> None:
    loads = _cache(clock, jitter=chance)
    await loads.ask("k")
    clock.advance(life_s - 0.001)
    assert loads.cache.peek("k", "f") is not None
    clock.advance(0.002)
    assert loads.cache.peek("k", "f") is None
    assert not (await loads.ask("k")).cached
    assert loads.count == 2


async def test_the_least_recently_used_entry_makes_room(clock: ManualClock) -> None:
    loads = _cache(clock, max_entries=2)
    await loads.ask("a")
    await loads.ask("b")
    await loads.ask("a")
    await loads.ask("c")
    assert [loads.cache.peek(key, "f") is not None for key in "abc"] == [True, False, True]
    seen = loads.cache.statistics()
    assert (seen.entries, seen.bytes, seen.evictions) == (2, 20, 1)


async def test_bytes_make_room_too_as_many_entries_as_it_takes(clock: ManualClock) -> None:
    loads = _cache(clock)
    for key in range(16):
        await loads.ask(key, size_bytes=500)
    await loads.ask("large", size_bytes=1_000)
    assert [loads.cache.peek(key, "f") is not None for key in (0, 1, 2, "large")] == [False, False, True, True]
    seen = loads.cache.statistics()
    assert (seen.entries, seen.bytes, seen.evictions) == (15, 8_000, 2)


async def test_an_entry_over_an_eighth_of_the_room_is_answered_and_not_kept(clock: ManualClock) -> None:
    loads = _cache(clock)
    await loads.ask("small")
    assert (await loads.ask("k", size_bytes=1_001)).value == "value"
    assert loads.cache.peek("k", "f") is None
    assert loads.cache.statistics().entries == 1
    await loads.ask("k", size_bytes=1_000)
    assert loads.cache.peek("k", "f") is not None


async def test_what_is_not_cacheable_is_answered_and_not_kept(clock: ManualClock) -> None:
    loads = _cache(clock)
    for _ in range(2):
        assert not (await loads.ask("k", cacheable=False)).cached
    assert loads.count == 2
    assert loads.cache.statistics().entries == 0


async def test_another_fingerprint_drops_the_entry_and_loads(clock: ManualClock) -> None:
    loads = _cache(clock)
    await loads.ask("k", "old", fingerprint="f1")
    assert loads.cache.peek("k", "f2") is None
    assert loads.cache.statistics().entries == 0
    assert (await loads.ask("k", "new", fingerprint="f2")).value == "new"
    assert (await loads.ask("k", "old again", fingerprint="f1")).value == "old again"
    assert loads.cache.statistics().stale_hits == 2


async def test_a_tag_drops_what_carries_it_and_nothing_else(clock: ManualClock) -> None:
    loads = _cache(clock)
    await loads.ask("a", tags=("x", "y"))
    await loads.ask("b", tags=("y", "z", "z"))
    await loads.ask("c", tags=("z",))
    assert loads.cache.invalidate(tags=["x", "y"]) == 2
    assert [loads.cache.peek(key, "f") is not None for key in "abc"] == [False, False, True]
    assert loads.cache.invalidate(tags=["x", "y", "unknown"]) == 0
    assert loads.cache.invalidate(tags=[]) == 0
    assert loads.cache.statistics().bytes == 10


async def test_a_pattern_drops_by_tag_or_text_key(clock: ManualClock) -> None:
    loads = _cache(clock)
    await loads.ask(("key", 1), tags=("schema:db/flights",))
    await loads.ask("schema:db/fleet")
    await loads.ask(("key", 2), tags=("schema:db/Flights", "schema:db/planes"))
    assert loads.cache.invalidate(pattern="schema:*/fl*") == 2
    assert loads.cache.peek(("key", 2), "f") is not None
    assert loads.cache.invalidate(pattern="planes") == 0
    assert loads.cache.invalidate(tags=["schema:db/planes"], pattern="*") == 1


async def test_invalidating_without_a_choice_drops_everything(clock: ManualClock) -> None:
    loads = _cache(clock)
    for key in "abc":
        await loads.ask(key, tags=("t",))
    assert loads.cache.invalidate() == 3
    seen = loads.cache.statistics()
    assert (seen.entries, seen.bytes) == (0, 0)
    await loads.ask("a", tags=("t",))
    assert loads.cache.invalidate(tags=["t"]) == 1


async def test_a_store_gives_back_expired_entries_in_steps_of_bounded_size(clock: ManualClock) -> None:
    loads = _cache(clock, max_entries=2_000, max_bytes=1_000_000)
    for key in range(1_000):
        await loads.ask(key, tags=("t",))
    clock.advance(101)
    assert loads.cache.statistics().entries == 1_000
    for step in range(1, 4):
        await loads.ask(f"fresh {step}")
        assert loads.cache.statistics().entries == 1_000 - 256 * step + step
    await loads.ask("fresh 4")
    seen = loads.cache.statistics()
    assert (seen.entries, seen.bytes, seen.evictions) == (4, 40, 0)


async def test_statistics_tell_hits_from_misses(clock: ManualClock) -> None:
    loads = _cache(clock)
    assert loads.cache.statistics().hit_share is None
    assert loads.cache.peek("k", "f") is None
    assert loads.cache.statistics().hit_share is None
    await loads.ask("k")
    await loads.ask("k")
    loads.cache.peek("k", "f")
    await loads.ask("k", fingerprint="f2")
    seen = loads.cache.statistics()
    assert (seen.hits, seen.misses, seen.loads, seen.stale_hits, seen.hit_share) == (2, 2, 2, 1, 0.5)


async def test_an_entry_stored_anew_is_not_given_back_when_its_predecessor_would_have_been(clock: ManualClock) -> None:
    loads = _cache(clock)
    await loads.ask("k", tags=("t",))
    clock.advance(50)
    loads.cache.invalidate(tags=["t"])
    await loads.ask("k")
    clock.advance(60)
    await loads.ask("another")
    assert loads.cache.peek("k", "f") is not None


async def test_what_is_put_in_place_of_an_entry_is_counted_alone() -> None:
    shelf = Shelf(max_entries=10, max_bytes=800)
    for size_bytes, tag in ((100, "old"), (60, "new")):
        entry = Entry(value=1, fingerprint="f", loaded_at=0, deadline=9, size_bytes=size_bytes, tags=(tag,))
        assert shelf.put("k", entry)
    assert (len(shelf), shelf.bytes) == (1, 60)
    assert (shelf.drop_tagged(["old"]), shelf.drop_tagged(["new"])) == (0, 1)

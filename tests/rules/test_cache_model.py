"""The result cache against a plain dictionary, over any sequence of asks, waits and invalidations."""

import asyncio
import fnmatch
import math
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import invariant
from hypothesis.stateful import rule

from state.cache import Loaded
from state.cache import ResultCache
from tests.conftest import ManualClock

_TTL_S = 10.0
_MAX_ENTRIES = 9
_MAX_BYTES = 400
_KEYS = st.sampled_from("abcdefghijkl")
_TAGS = st.lists(st.sampled_from(["x/1", "x/2", "y/1"]), max_size=2).map(tuple)
_PATTERNS = st.sampled_from(["x/*", "*/1", "*", "a", "[bc]", "none"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    value: int
    fingerprint: str
    stored_at: float
    size_bytes: int
    tags: tuple[str, ...]


class CacheModel(RuleBasedStateMachine):
    """`expected` holds what must be served, least recently used first."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.cache = ResultCache(
            clock=self.clock, ttl_s=_TTL_S, max_entries=_MAX_ENTRIES, max_bytes=_MAX_BYTES, random=lambda: 0.5
        )
        self.expected: dict[str, Expected] = {}
        self.serial = 0
        self.hits = 0
        self.misses = 0

    @rule(
        key=_KEYS,
        fingerprint=st.sampled_from(["f1", "f2"]),
        size_bytes=st.sampled_from([1, 50, 50, 51]),
        tags=_TAGS,
        cacheable=st.booleans(),
    )
    def ask(self, key: str, fingerprint: str, size_bytes: int, tags: tuple[str, ...], *, cacheable: bool) -> None:
        self.serial += 1
        value = self.serial

        async def load() -> Loaded[int]:
            return Loaded(value=value, size_bytes=size_bytes, tags=tags, cacheable=cacheable)

        hit = asyncio.run(self.cache.get_or_load(key, load, fingerprint=fingerprint))
        known = self._valid(key, fingerprint)
        if known is None:
            self.misses += 1
            assert (hit.value, hit.cached) == (value, False)
            if cacheable:
                self._store(key, fingerprint, value, size_bytes, tags)
        else:
            self.hits += 1
            assert (hit.value, hit.cached, hit.age_s) == (known.value, True, self.clock() - known.stored_at)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(tags=_TAGS)
    def invalidate_tags(self, tags: tuple[str, ...]) -> None:
        self._drop([key for key, each in self.expected.items() if set(each.tags) & set(tags)])
        self.cache.invalidate(tags=tags)

    @rule(pattern=_PATTERNS)
    def invalidate_pattern(self, pattern: str) -> None:
        self._drop(
            [
                key
                for key, each in self.expected.items()
                if any(fnmatch.fnmatchcase(name, pattern) for name in (key, *each.tags))
            ]
        )
        self.cache.invalidate(pattern=pattern)

    @rule()
    def invalidate_everything(self) -> None:
        self.expected.clear()
        self.cache.invalidate()

    @invariant()
    def bounds_hold_and_counters_agree(self) -> None:
        seen = self.cache.statistics()
        assert seen.entries <= _MAX_ENTRIES
        assert seen.bytes <= _MAX_BYTES
        assert (seen.hits, seen.misses, seen.loads) == (self.hits, self.misses, self.misses)
        live = [each for each in self.expected.values() if self.clock() < each.stored_at + _TTL_S]
        assert seen.entries >= len(live)
        assert seen.bytes >= sum(each.size_bytes for each in live)

    def _valid(self, key: str, fingerprint: str) -> Expected | None:
        """As the cache does: a lookup that finds what has expired or is outdated drops it."""
        known = self.expected.pop(key, None)
        if known is None or known.fingerprint != fingerprint or self.clock() >= known.stored_at + _TTL_S:
            return None
        self.expected[key] = known
        return known

    def _store(self, key: str, fingerprint: str, value: int, size_bytes: int, tags: tuple[str, ...]) -> None:
        now = self.clock()
        self._drop([each for each, known in self.expected.items() if math.ceil(known.stored_at + _TTL_S) <= now])
        if size_bytes > _MAX_BYTES // 8:
            return
        while len(self.expected) >= _MAX_ENTRIES or self._bytes() + size_bytes > _MAX_BYTES:
            del self.expected[next(iter(self.expected))]
        self.expected[key] = Expected(
            value=value, fingerprint=fingerprint, stored_at=now, size_bytes=size_bytes, tags=tags
        )

    def _bytes(self) -> int:
        return sum(each.size_bytes for each in self.expected.values())

    def _drop(self, keys: list[str]) -> None:
        for key in keys:
            del self.expected[key]


TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

"""What the result cache costs and promises: a hit, a herd of equal calls, and 100,000 entries that expire together.

Each number stands beside what cachetools does in the same run. Run: python bench/cache_bench.py [--json FILE]
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from cachetools import LRUCache
from cachetools import TTLCache
from shown import Row
from shown import asked
from shown import keep
from shown import row

from state.cache import Loaded
from state.cache import ResultCache

HIT_BOUND_US = 3.0
STALL_BOUND_MS = 20.0
CALLERS = 1_000
EXPIRING = 100_000
_ROUNDS = 15
_LOOPS = 5_000


class Clock:
    """Moved by hand, so that entries expire together when we say so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def hits() -> list[Row]:
    """Interleaved, median of rounds: drift of the machine hits all alike."""
    cache = ResultCache(clock=time.monotonic)
    plain: dict[Any, int] = {}
    lru: LRUCache[Any, int] = LRUCache(10_000)
    ttl: TTLCache[Any, int] = TTLCache(10_000, 300.0, time.monotonic)
    key = ("sample", ("describe", "flights", None, "brief", None))

    async def load() -> Loaded[int]:
        return Loaded(value=1, size_bytes=100, tags=("source:sample", "schema:sample/flights"))

    for number in range(1_000):
        for each in (plain, lru, ttl):
            each[number] = each[key] = 1
        await cache.get_or_load(number, load, fingerprint="f")
    await cache.get_or_load(key, load, fingerprint="f")
    timed: dict[str, Callable[[], Any]] = {
        "peek": lambda: cache.peek(key, "f"),
        "dict": lambda: plain[key],
        "lru": lambda: lru[key],
        "ttl": lambda: ttl[key],
    }
    seen: dict[str, list[float]] = {name: [] for name in [*timed, "get_or_load"]}
    for _ in range(_ROUNDS):
        for name, call in timed.items():
            seen[name].append(_each_us(call))
        seen["get_or_load"].append(await _each_awaited_us(cache, key, load))
    us = {name: statistics.median(values) for name, values in seen.items()}
    return [
        row("a hit, peek", us["peek"], "us", "dict", us["dict"], HIT_BOUND_US),
        row("a hit, get_or_load", us["get_or_load"], "us", "cachetools.TTLCache", us["ttl"], HIT_BOUND_US),
        row("cachetools.LRUCache hit", us["lru"], "us", "dict", us["dict"], None),
        row("cachetools.TTLCache hit", us["ttl"], "us", "dict", us["dict"], None),
    ]


def _each_us(call: Callable[[], Any]) -> float:
    """CPU time, which other programs on the machine change little."""
    started = time.process_time()
    for _ in range(_LOOPS):
        call()
    return (time.process_time() - started) / _LOOPS * 1e6


async def _each_awaited_us(cache: ResultCache, key: Any, load: Any) -> float:
    started = time.process_time()
    for _ in range(_LOOPS):
        await cache.get_or_load(key, load, fingerprint="f")
    return (time.process_time() - started) / _LOOPS * 1e6


async def herd() -> list[Row]:
    """Equal calls that arrive while nothing is cached yet."""
    cache = ResultCache(clock=time.monotonic)
    loads = 0

    async def load() -> Loaded[int]:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return Loaded(value=1, size_bytes=1)

    await asyncio.gather(*(cache.get_or_load("k", load, fingerprint="f") for _ in range(CALLERS)))
    return [row(f"loads for {CALLERS:,} equal cold calls", loads, "loads", "one each", float(CALLERS), 1)]


async def stalls() -> list[Row]:
    """The longest the event loop stood still from the moment all entries had expired until all were gone."""
    theirs = await _ttl_stall_ms()
    ours = await _cache_stall_ms()
    rows = [
        row(f"longest stall, {EXPIRING:,} expire together", ours, "ms", "cachetools.TTLCache", theirs, STALL_BOUND_MS)
    ]
    dropping = await _dropping_ms()
    return [*rows, row(f"invalidate all of {EXPIRING:,}", dropping, "ms", "no other", None, None)]


async def _filled(clock: Clock) -> ResultCache:
    cache = ResultCache(clock=clock, ttl_s=60.0, max_entries=2 * EXPIRING, jitter_share=0.0)

    async def load() -> Loaded[int]:
        return Loaded(value=1, size_bytes=10, tags=("t",))

    for number in range(EXPIRING):
        await cache.get_or_load(number, load, fingerprint="f")
    return cache


async def _cache_stall_ms() -> float:
    clock = Clock()
    cache = await _filled(clock)

    async def load() -> Loaded[int]:
        return Loaded(value=1, size_bytes=10, tags=("t",))

    async def use() -> None:
        """Reads and writes go on while the expired entries are given back."""
        clock.now_s += 61.0
        number = 0
        while cache.statistics().entries > number:
            number += 1
            await cache.get_or_load(("fresh", number), load, fingerprint="f")
            cache.peek(number, "f")

    return await _longest_stall_ms(use)


async def _ttl_stall_ms() -> float:
    clock = Clock()
    ttl: TTLCache[int, int] = TTLCache(2 * EXPIRING, 60.0, clock)
    for number in range(EXPIRING):
        ttl[number] = 1

    async def use() -> None:
        clock.now_s += 61.0
        ttl[-1] = 1
        await asyncio.sleep(0)

    return await _longest_stall_ms(use)


async def _dropping_ms() -> float:
    cache = await _filled(Clock())
    started = time.perf_counter()
    cache.invalidate()
    return (time.perf_counter() - started) * 1e3


async def _longest_stall_ms(use: Callable[[], Any]) -> float:
    gaps = [0.0]
    gc.collect()

    async def heartbeat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    beating = asyncio.get_running_loop().create_task(heartbeat())
    await asyncio.sleep(0)
    await use()
    await asyncio.sleep(0)
    beating.cancel()
    return max(gaps) * 1e3


async def measure() -> list[Row]:
    return [*await hits(), *await herd(), *await stalls()]


def main() -> None:
    options = asked(__doc__).parse_args()
    keep(asyncio.run(measure()), options.json)


if __name__ == "__main__":
    main()

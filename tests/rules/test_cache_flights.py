"""Loads on their way: one per key, nobody harmed by another being cancelled, nothing outdated meanwhile kept."""

import asyncio
import gc

import anyio
import anyio.lowlevel
import pytest

from state.cache import Hit
from state.cache import Loaded
from state.cache import ResultCache
from state.errors import StateBusy
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio


class Gate:
    """A load that begins, waits until it is let go, and tells what became of it."""

    def __init__(self, value: str = "value", tags: tuple[str, ...] = ()) -> None:
        self.value = value
        self.tags = tags
        self.begun = 0
        self.cancelled = 0
        self.fault: Exception | None = None
        self.has_begun = anyio.Event()
        self.open = anyio.Event()

    async def load(self) -> Loaded[str]:
        self.begun += 1
        self.has_begun.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault
        return Loaded(value=self.value, size_bytes=1, tags=self.tags)


@pytest.fixture
def cache(clock: ManualClock) -> ResultCache:
    return ResultCache(clock=clock)


def _asking(cache: ResultCache, gate: Gate, fingerprint: str = "f") -> "asyncio.Task[Hit[str]]":
    return asyncio.get_running_loop().create_task(cache.get_or_load("k", gate.load, fingerprint=fingerprint))


async def _until_begun(gate: Gate) -> None:
    with anyio.fail_after(5):
        await gate.has_begun.wait()


async def _cancelled(task: "asyncio.Task[Hit[str]]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thousand_callers_wait_for_one_load(cache: ResultCache) -> None:
    gate = Gate()
    tasks = [_asking(cache, gate) for _ in range(1_000)]
    await _until_begun(gate)
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    assert not any(task.done() for task in tasks), "someone did not wait"
    gate.open.set()
    with anyio.fail_after(5):
        hits = await asyncio.gather(*tasks)
    assert gate.begun == 1
    assert {(hit.value, hit.cached) for hit in hits} == {("value", False)}
    seen = cache.statistics()
    assert (seen.loads, seen.misses, seen.hits) == (1, 1_000, 0)


async def test_cancelling_the_first_caller_harms_nobody(cache: ResultCache) -> None:
    gate = Gate()
    first = _asking(cache, gate)
    await _until_begun(gate)
    others = [_asking(cache, gate) for _ in range(9)]
    await anyio.lowlevel.checkpoint()
    await _cancelled(first)
    gate.open.set()
    with anyio.fail_after(5):
        assert {hit.value for hit in await asyncio.gather(*others)} == {"value"}
    assert (gate.begun, gate.cancelled) == (1, 0)
    assert cache.peek("k", "f") is not None


async def test_when_all_callers_are_gone_the_load_is_stopped(cache: ResultCache) -> None:
    gate = Gate()
    tasks = [_asking(cache, gate) for _ in range(3)]
    await _until_begun(gate)
    for task in tasks[:2]:
        await _cancelled(task)
    await anyio.lowlevel.checkpoint()
    assert gate.cancelled == 0
    await _cancelled(tasks[2])
    await anyio.lowlevel.checkpoint()
    assert gate.cancelled == 1
    assert cache.peek("k", "f") is None


async def test_a_caller_cancelled_by_its_scope_stops_the_load(cache: ResultCache) -> None:
    gate = Gate()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: cache.get_or_load("k", gate.load, fingerprint="f"))
            await gate.has_begun.wait()
            tasks.cancel_scope.cancel()
    await anyio.lowlevel.checkpoint()
    assert gate.cancelled == 1


async def test_one_who_asks_while_a_load_is_being_stopped_gets_a_load_of_its_own(cache: ResultCache) -> None:
    began, stopping, stopped = anyio.Event(), anyio.Event(), anyio.Event()

    async def slow_to_stop() -> Loaded[str]:
        began.set()
        try:
            await anyio.Event().wait()
        except asyncio.CancelledError:
            stopping.set()
            await stopped.wait()
        return Loaded(value="too late", size_bytes=1)

    task = asyncio.get_running_loop().create_task(cache.get_or_load("k", slow_to_stop, fingerprint="f"))
    second = Gate("second")
    second.open.set()
    with anyio.fail_after(5):
        await began.wait()
        await _cancelled(task)
        await stopping.wait()
        assert (await _asking(cache, second)).value == "second"
        stopped.set()
        await cache.aclose()


async def test_a_load_that_was_stopped_before_it_began_leaves_nothing(cache: ResultCache) -> None:
    gate = Gate()
    task = _asking(cache, gate)
    await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await anyio.lowlevel.checkpoint()
    gate.open.set()
    assert (await _asking(cache, gate)).value == "value"


async def test_a_failure_reaches_all_who_wait_and_is_never_kept(cache: ResultCache) -> None:
    gate = Gate()
    gate.fault = LookupError("no such thing")
    tasks = [_asking(cache, gate) for _ in range(100)]
    await _until_begun(gate)
    gate.open.set()
    with anyio.fail_after(5):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in outcomes] == ["no such thing"] * 100
    gate.fault = None
    assert (await _asking(cache, gate)).value == "value"
    assert (gate.begun, cache.statistics().entries) == (2, 1)


async def test_a_failure_nobody_waits_for_is_not_reported_as_lost(cache: ResultCache) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def stubborn() -> Loaded[str]:
        begun.set()
        try:
            await anyio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError("while being stopped") from None
        raise AssertionError

    begun = anyio.Event()
    task = asyncio.get_running_loop().create_task(cache.get_or_load("k", stubborn, fingerprint="f"))
    with anyio.fail_after(5):
        await begun.wait()
    await _cancelled(task)
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize(
    ("tags", "pattern", "kept"),
    [
        (["t"], None, False),
        (["other"], None, True),
        (None, "t*", False),
        (None, "k", False),
        (None, "other*", True),
        (None, None, False),
    ],
)
async def test_what_was_invalidated_while_it_was_loaded_is_answered_and_not_kept(
    cache: ResultCache, tags: list[str] | None, pattern: str | None, *, kept: bool
) -> None:
    gate = Gate(tags=("t",))
    task = _asking(cache, gate)
    await _until_begun(gate)
    cache.invalidate(tags=tags, pattern=pattern)
    gate.open.set()
    assert (await task).value == "value"
    assert (cache.peek("k", "f") is not None) == kept


async def test_one_who_asks_after_an_invalidation_does_not_join_the_load_from_before(cache: ResultCache) -> None:
    before, after = Gate("before", tags=("t",)), Gate("after", tags=("t",))
    early = _asking(cache, before)
    await _until_begun(before)
    cache.invalidate(tags=["t"])
    late = _asking(cache, after)
    await _until_begun(after)
    after.open.set()
    assert (await late).value == "after"
    before.open.set()
    assert (await early).value == "before"
    hit = cache.peek("k", "f")
    assert hit is not None
    assert hit.value == "after"


@pytest.mark.parametrize("old_lands_first", [True, False])
async def test_a_load_under_an_older_fingerprint_satisfies_only_those_who_asked_under_it(
    cache: ResultCache, *, old_lands_first: bool
) -> None:
    old, new = Gate("old"), Gate("new")
    asked_old = _asking(cache, old, "f1")
    await _until_begun(old)
    asked_new = _asking(cache, new, "f2")
    await _until_begun(new)
    for gate, task in [(old, asked_old), (new, asked_new)][:: 1 if old_lands_first else -1]:
        gate.open.set()
        assert (await task).value == gate.value
    hit = cache.peek("k", "f2")
    assert hit is not None
    assert (hit.value, cache.statistics().loads) == ("new", 2)


async def test_closing_stops_every_load_and_tells_those_who_wait(cache: ResultCache) -> None:
    gate = Gate()
    task = _asking(cache, gate)
    await _until_begun(gate)
    with anyio.fail_after(5):
        await cache.aclose()
    with pytest.raises(StateBusy, match="stopping"):
        await task
    assert gate.cancelled == 1
    assert cache.statistics().entries == 0


async def test_different_keys_load_side_by_side(cache: ResultCache) -> None:
    one, other = Gate("one"), Gate("other")
    tasks = [
        asyncio.get_running_loop().create_task(cache.get_or_load(key, gate.load, fingerprint="f"))
        for key, gate in (("a", one), ("b", other))
    ]
    await _until_begun(one)
    await _until_begun(other)
    other.open.set()
    assert (await tasks[1]).value == "other"
    assert not tasks[0].done()
    one.open.set()
    assert (await tasks[0]).value == "one"

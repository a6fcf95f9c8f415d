"""What only the tier in Redis has: one of many instances loads, the others wait or take the old; nobody writes late."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Callable
from typing import Any
from typing import cast

import anyio
import fakeredis
import pytest

from state.cache import Loaded
from state.cache import ResultCache
from state.changes import ResultsOutdated
from state.redis.connect import wire_over
from state.redis.keys import Keys
from state.redis.results import RedisResults
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Wire
from state.tier import Look
from state.tier import Shared
from state.tier import Wanted
from tests.contracts.tier_contract import fresh
from tests.contracts.tier_contract import looked
from tests.contracts.tier_contract import permit_of
from tests.contracts.tier_contract import settled
from tests.contracts.tier_contract import stored
from tests.contracts.tier_contract import value_of

pytestmark = pytest.mark.anyio


class Text:
    """The simplest codec."""

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, body: bytes) -> str:
        return body.decode()


class Instances:
    """Tiers over one Redis, each with a wire of its own."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeServer()
        self.made: list[tuple[RedisResults, Wire]] = []

    def make(self, **options: Any) -> RedisResults:
        wire = wire_over(fakeredis.FakeAsyncRedis(server=self.redis), deadline_s=5.0)
        tier = RedisResults(wire, **options)
        self.made.append((tier, wire))
        return tier

    async def ask(self, *parts: str) -> Any:
        client: Any = fakeredis.FakeAsyncRedis(server=self.redis)
        answer = await client.execute_command(*parts)
        await client.aclose()
        return answer

    async def key(self) -> str:
        """Of the only result there is."""
        (key,) = [key for key in await self.ask("KEYS", "uds:r:*") if b"outdated" not in key]
        return key.decode()

    async def aclose(self) -> None:
        for tier, wire in self.made:
            await tier.aclose()
            await wire.aclose()


@pytest.fixture
async def instances() -> AsyncIterator[Instances]:
    made = Instances()
    yield made
    await made.aclose()


async def test_of_many_instances_that_ask_at_once_one_loads_and_all_answer_the_same(instances: Instances) -> None:
    caches = [ResultCache(clock=lambda: 0.0, tier=instances.make()) for _ in range(4)]
    loads = 0
    begun = anyio.Event()
    go_on = anyio.Event()

    async def load() -> Loaded[str]:
        nonlocal loads
        loads += 1
        begun.set()
        await go_on.wait()
        return Loaded(value=f"load {loads}", size_bytes=1)

    def asking(number: int) -> "asyncio.Task[str]":
        async def ask() -> str:
            shared = Shared(place=("k",), codec=Text())
            return (await caches[number % 4].get_or_load("k", load, fingerprint="f", shared=shared)).value

        return asyncio.create_task(ask())

    tasks = [asking(number) for number in range(64)]
    with anyio.fail_after(10):
        await begun.wait()
        go_on.set()
        answers = await asyncio.gather(*tasks)
    assert (loads, set(answers)) == (1, {"load 1"})


async def test_who_waits_goes_on_by_itself_after_a_while(instances: Instances) -> None:
    await permit_of(instances.make())
    assert await looked(instances.make(patience_s=0.05)) == Look()


async def test_a_lease_lasts_as_long_as_its_holder_loads(instances: Instances) -> None:
    holder = instances.make(lease_s=1.0)
    permit = await permit_of(holder)
    assert await looked(instances.make(patience_s=1.5)) == Look()
    holder.keep(permit, fresh())
    await settled(holder)
    assert await value_of(instances.make()) == "value"


async def test_the_lease_of_an_instance_that_is_gone_passes_on_and_its_late_result_is_refused(
    instances: Instances,
) -> None:
    async def never(_seconds: float) -> None:
        await asyncio.Event().wait()

    gone = instances.make(lease_s=0.2, sleep=never)
    late = await permit_of(gone)
    other = instances.make()
    permit = await permit_of(other)
    gone.keep(late, fresh("late"))
    await settled(gone)
    assert (gone.statistics().stored, gone.statistics().refused) == (0, 1)
    other.keep(permit, fresh("in time"))
    await settled(other)
    gone.keep(late, fresh("later still"))
    await settled(gone)
    assert await value_of(instances.make()) == "in time"


async def test_who_waits_is_not_held_up_by_a_load_that_began_before_its_result_was_outdated(
    instances: Instances,
) -> None:
    early, late = instances.make(), instances.make()
    before = await permit_of(early)
    late.outdate(ResultsOutdated(tags=("t",)))
    after = await permit_of(late)
    early.keep(before, fresh("before", "t"))
    late.keep(after, fresh("after", "t"))
    await settled(early)
    await settled(late)
    assert early.statistics().refused == 1
    assert await value_of(instances.make()) == "after"


async def test_a_result_past_its_best_is_served_with_its_age_while_one_instance_loads_a_new_one(
    instances: Instances,
) -> None:
    first = instances.make(fresh_s=60.0)
    first.keep(await permit_of(first), fresh("old", age_s=70.0))
    await settled(first)
    permit = await permit_of(first)
    other = instances.make(fresh_s=60.0)
    look = await looked(other)
    assert look.kept is not None
    assert (look.kept.value, look.kept.stale) == ("old", True)
    assert 70 <= look.kept.age_s < 75
    assert other.statistics().stale == 1
    first.keep(permit, fresh("new"))
    await settled(first)
    assert await value_of(other) == "new"


async def test_a_stale_answer_stays_out_of_memory(instances: Instances) -> None:
    first = instances.make(fresh_s=60.0)
    shared = Shared(place=("k",), codec=Text())
    wanted = Wanted(digest=shared.digest(""), fingerprint="f")
    first.keep(await permit_of(first, wanted), fresh("old", age_s=70.0))
    await settled(first)
    await permit_of(first, wanted)
    cache = ResultCache(clock=lambda: 0.0, tier=instances.make(fresh_s=60.0))

    async def load() -> Loaded[str]:
        raise AssertionError

    hit = await cache.get_or_load("k", load, fingerprint="f", shared=shared)
    assert (hit.value, hit.cached, hit.tier) == ("old", True, "shared")
    assert hit.age_s >= 70
    assert cache.peek("k", "f") is None


async def test_results_are_gone_from_redis_after_their_life(instances: Instances) -> None:
    first = instances.make(life_s=100.0)
    await stored(first)
    left = await instances.ask("PTTL", await instances.key())
    assert isinstance(left, int)
    assert 90_000 < left <= 100_000


async def test_what_is_not_for_sharing_is_waited_for_by_nobody(instances: Instances) -> None:
    first, other = instances.make(), instances.make()
    permit = await permit_of(first)
    first.forgo(permit, private=True)
    await settled(first)
    assert await looked(other) == Look()
    assert await looked(other, Wanted(digest="c" * 64, fingerprint="f")) != Look()


async def test_a_load_that_failed_lets_the_next_one_try(instances: Instances) -> None:
    first, other = instances.make(), instances.make()
    permit = await permit_of(first)
    waiting = asyncio.create_task(looked(other))
    first.forgo(permit)
    with anyio.fail_after(5):
        assert (await waiting).permit is not None


async def test_closing_gives_leases_back(instances: Instances) -> None:
    first = instances.make()
    first.forgo(await permit_of(first))
    await first.aclose()
    assert (await looked(instances.make(patience_s=1.0))).permit is not None


@pytest.mark.parametrize("number", [0, 3])
async def test_when_redis_has_lost_what_was_outdated_nothing_older_is_served(instances: Instances, number: int) -> None:
    first, other = instances.make(), instances.make()
    for _ in range(number):
        first.outdate(ResultsOutdated(tags=("other",)))
    await stored(first, "value", "t")
    assert await value_of(other) == "value"
    await instances.ask("DEL", Keys().result("outdated"))
    assert await value_of(other) is None
    for _ in range(number):
        other.outdate(ResultsOutdated(tags=("other",)))
    await settled(other)
    assert await value_of(first) is None
    await stored(other, "again", "t")
    assert await value_of(first) == "again"


async def test_a_result_that_was_cut_or_flipped_is_dropped_and_loaded_anew(instances: Instances) -> None:
    first, other = instances.make(), instances.make()
    await stored(first)
    await instances.ask("HSET", await instances.key(), "v", "UDSR and then rubbish")
    look = await looked(other)
    assert look.permit is not None
    assert other.statistics().unreadable == 1
    other.keep(look.permit, fresh("anew"))
    await settled(other)
    assert await value_of(first) == "anew"


class Gone:
    """A wire to a Redis that is away, or refuses."""

    def __init__(self, fault: Exception, *, up: bool) -> None:
        self.fault = fault
        self.up = up
        self.asked = 0
        self.watchers: list[Callable[[bool, str], None]] = []

    async def run(self, *_arguments: object, **_options: object) -> object:
        self.asked += 1
        raise self.fault

    def watch(self, told: Callable[[bool, str], None]) -> None:
        self.watchers.append(told)


@pytest.mark.parametrize(
    ("wire", "asked", "errors"),
    [
        (Gone(Away("refused", sent=False), up=False), False, 0),
        (Gone(Away("no answer in time", sent=True), up=True), True, 3),
        (Gone(Refused("NOPERM this user has no permissions"), up=True), True, 3),
    ],
)
async def test_while_redis_is_away_or_refuses_every_look_is_a_miss_at_once(
    wire: Gone, errors: int, *, asked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tier = RedisResults(cast("Wire", wire))
    for _ in range(3):
        assert await looked(tier) == Look()
    assert bool(wire.asked) == asked
    assert (tier.statistics().misses, tier.statistics().errors) == (3, errors)
    assert len([line for line in caplog.messages if "NOPERM" in line]) == ("NOPERM" in str(wire.fault))
    await tier.aclose()


async def test_what_was_outdated_while_redis_was_away_is_told_when_it_is_back(instances: Instances) -> None:
    await stored(instances.make(), "value", "t")
    wire = instances.made[0][1]
    flaky = Flaky(wire)
    tier = RedisResults(cast("Wire", flaky))
    flaky.up = False
    tier.outdate(ResultsOutdated(tags=("t",)))
    await settled(tier)
    assert await value_of(tier) is None
    assert await value_of(instances.make()) == "value"
    flaky.turn(up=True)
    await settled(tier)
    assert await value_of(instances.make()) is None
    await tier.aclose()


class Flaky:
    """A wire that can be told to be down."""

    def __init__(self, inner: Wire) -> None:
        self._inner = inner
        self._watchers: list[Callable[[bool, str], None]] = []
        self.up = True

    async def run(self, *arguments: Any, again: bool) -> Any:
        if not self.up:
            raise Away("told so", sent=False)
        return await self._inner.run(*arguments, again=again)

    def watch(self, told: Callable[[bool, str], None]) -> None:
        self._watchers.append(told)

    def turn(self, *, up: bool) -> None:
        self.up = up
        for told in self._watchers:
            told(up, "told so")

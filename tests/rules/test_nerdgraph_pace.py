"""The limits of New Relic are kept whatever is asked, in the order in which it is asked."""

import asyncio
import random
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from sources.newrelic.pace import Key
from sources.newrelic.pace import Limits
from sources.newrelic.pace import Pace
from tests.nerdgraph_wire import ManualTime

pytestmark = pytest.mark.anyio

_SMALL = Limits(at_once=3, per_account=12, per_text=5, span_s=60)


def _pace(time: ManualTime, limits: Limits = _SMALL) -> Pace:
    return Pace(clock=time, sleep=time.sleep, limits=limits)


async def _gone(pace: Pace, time: ManualTime, requests: list[list[Key]], takes: int) -> list[tuple[float, list[Key]]]:
    """Every request with the instant at which it went; each is under way for some turns of the loop."""
    went: list[tuple[float, list[Key]]] = []

    async def go(keys: list[Key]) -> None:
        async with pace.going(keys) as at_s:
            assert pace.under_way <= _SMALL.at_once
            went.append((at_s, keys))
            for _ in range(takes):
                await asyncio.sleep(0)
                time.now_s += random.Random(len(went)).random()  # noqa: S311 - a request takes some time

    await asyncio.wait_for(asyncio.gather(*(go(keys) for keys in requests)), 30)
    pace.close()
    return went


_KEYS = st.tuples(st.integers(1, 2), st.sampled_from(["a", "b", "c", "d"]))


def _most_in_a_span(instants_s: list[float]) -> int:
    ordered = sorted(instants_s)
    return max(
        (bisect_right(ordered, at_s) - bisect_right(ordered, at_s - _SMALL.span_s) for at_s in ordered), default=0
    )


@settings(max_examples=60)
@given(
    requests=st.lists(st.lists(_KEYS, min_size=1, max_size=4).map(lambda keys: keys[:4]), max_size=40),
    takes=st.integers(0, 3),
)
def test_no_span_of_a_minute_holds_more_than_is_allowed(requests: list[list[Key]], takes: int) -> None:
    async def run() -> list[tuple[float, list[Key]]]:
        time = ManualTime()
        return await _gone(_pace(time), time, requests, takes)

    went = asyncio.run(run())
    assert len(went) == len(requests)
    for account in (1, 2):
        assert _most_in_a_span([at_s for at_s, keys in went for key in keys if key[0] == account]) <= 12
        for text in "abcd":
            assert _most_in_a_span([at_s for at_s, keys in went for key in keys if key == (account, text)]) <= 5


async def test_3000_statements_of_an_account_go_in_a_minute_and_no_more() -> None:
    time = ManualTime()
    pace = _pace(time, Limits())
    began_s = time()
    requests: list[list[Key]] = [[(1, f"{batch}.{number}") for number in range(25)] for batch in range(125)]
    went: list[float] = []

    async def go(keys: list[Key]) -> None:
        async with pace.going(keys):
            went.append(time())

    await asyncio.gather(*(go(keys) for keys in requests))
    assert sum(at_s == began_s for at_s in went) * 25 == 3_000
    assert set(went) == {began_s, began_s + 60}


async def test_who_must_wait_is_not_overtaken_by_who_competes_and_keeps_nobody_else() -> None:
    time = ManualTime()
    pace = _pace(time)
    # 11 of the 12 statements of this minute: there is room for the one that comes last, and it must not take it.
    requests: list[list[Key]] = [[(1, f"{n}.{k}") for k in range(4 if n < 2 else 3)] for n in range(3)]
    late: list[Key] = [(1, f"late {k}") for k in range(2)]
    went = await _gone(pace, time, [*requests, late, [(2, "other")], [(1, "later")]], 0)
    assert [keys[0][1] for _, keys in went] == ["0.0", "1.0", "2.0", "other", "late 0", "later"]


async def test_a_place_that_is_given_up_is_free_again() -> None:
    time = ManualTime()
    pace = _pace(time, Limits(at_once=1))
    holding = asyncio.Event()
    went: list[str] = []

    async def go(name: str, until: asyncio.Event | None = None) -> None:
        async with pace.going([(1, name)]):
            went.append(name)
            if until is not None:
                await until.wait()

    first = asyncio.create_task(go("first", holding))
    await asyncio.sleep(0)
    second, third = asyncio.create_task(go("second")), asyncio.create_task(go("third"))
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    await asyncio.wait_for(third, 5)
    assert went == ["first", "third"]
    assert pace.under_way == 0


async def test_a_place_that_is_given_up_in_the_moment_it_is_granted_is_free_again() -> None:
    time = ManualTime()
    pace = _pace(time, Limits(at_once=1))
    holding = asyncio.Event()

    async def go(until: asyncio.Event) -> None:
        async with pace.going([(1, "x")]):
            await until.wait()

    first = asyncio.create_task(go(holding))
    await asyncio.sleep(0)
    second = asyncio.create_task(go(holding))
    await asyncio.sleep(0)
    holding.set()
    await asyncio.sleep(0)  # the first leaves, and the second is granted its place
    second.cancel()
    await asyncio.wait({first, second})
    assert pace.under_way == 0


async def test_the_wait_is_known_before_it_begins() -> None:
    time = ManualTime()
    pace = _pace(time)
    assert pace.wait_s((1, "x")) == 0
    for number in range(12):
        async with pace.going([(1, f"{number}")]):
            time.now_s += 1
    assert pace.wait_s((1, "x")) == 48
    assert pace.wait_s((1, "x"), ahead=[(1, "y"), (1, "z")]) == 50
    assert pace.wait_s((1, "x"), ahead=[(1, f"{n}") for n in range(12)]) == 108
    assert pace.wait_s((2, "x")) == 0


async def test_texts_that_were_asked_once_are_not_counted_for_ever() -> None:
    time = ManualTime()
    pace = _pace(time, Limits(per_account=100_000))
    for number in range(6_000):
        async with pace.going([(1, str(number))]):
            time.now_s += 0.1
    assert pace.counters < 5_500

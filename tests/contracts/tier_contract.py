"""What every tier of results promises, seen by two processes that share one."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from state.changes import ResultsOutdated
from state.tier import Fresh
from state.tier import Look
from state.tier import Permit
from state.tier import ResultTier
from state.tier import Wanted

Pair = tuple[ResultTier, ResultTier]
HERE = Wanted(digest="a" * 64, fingerprint="f1")
THERE = Wanted(digest="b" * 64, fingerprint="f1")


def text(body: bytes) -> str:
    return body.decode()


async def looked(tier: ResultTier, wanted: Wanted = HERE) -> Look[str]:
    with anyio.fail_after(10):
        return await tier.look(wanted, text)


async def permit_of(tier: ResultTier, wanted: Wanted = HERE) -> Permit:
    look = await looked(tier, wanted)
    assert look.kept is None
    assert look.permit is not None
    return look.permit


def fresh(value: str = "value", *tags: str, age_s: float = 0.0) -> Fresh:
    return Fresh(encode=value.encode, age_s=age_s, size_bytes=7, tags=tags)


async def stored(tier: ResultTier, value: str = "value", *tags: str, wanted: Wanted = HERE) -> None:
    tier.keep(await permit_of(tier, wanted), fresh(value, *tags))
    await settled(tier)


async def settled(tier: ResultTier) -> None:
    with anyio.fail_after(10):
        await tier.settled()


async def value_of(tier: ResultTier, wanted: Wanted = HERE) -> str | None:
    """A permit is given back, so that looking changes nothing."""
    look = await looked(tier, wanted)
    if look.permit is not None:
        tier.forgo(look.permit)
        await settled(tier)
    return None if look.kept is None else look.kept.value


class TierContract:
    """Subclasses give the fixture `pair`."""

    async def test_where_nothing_is_kept_there_is_leave_to_load(self, pair: Pair) -> None:
        await permit_of(pair[0])
        assert pair[0].statistics().misses == 1

    async def test_what_one_process_stored_another_one_finds_as_it_was(self, pair: Pair) -> None:
        await stored(pair[0], "välue", "source:s", "schema:s/flights")
        look = await looked(pair[1])
        assert look.permit is None
        assert look.kept is not None
        assert (look.kept.value, look.kept.size_bytes, look.kept.stale) == ("välue", 7, False)
        assert look.kept.tags == ("source:s", "schema:s/flights")
        assert 0 <= look.kept.age_s < 5
        assert pair[0].statistics().stored == 1
        assert pair[1].statistics().hits == 1

    async def test_the_age_counts_from_when_the_load_began(self, pair: Pair) -> None:
        pair[0].keep(await permit_of(pair[0]), fresh(age_s=70.0))
        await settled(pair[0])
        look = await looked(pair[1])
        assert look.kept is not None
        assert 70 <= look.kept.age_s < 75

    async def test_what_was_made_of_another_fingerprint_is_not_found(self, pair: Pair) -> None:
        await stored(pair[0], "old")
        now = replace(HERE, fingerprint="f2")
        assert await value_of(pair[1], now) is None
        await stored(pair[1], "new", wanted=now)
        assert await value_of(pair[0], now) == "new"
        assert await value_of(pair[0]) in (None, "old")

    async def test_another_question_has_another_answer(self, pair: Pair) -> None:
        await stored(pair[0], "here")
        assert await value_of(pair[1], THERE) is None

    @pytest.mark.parametrize(
        ("change", "gone"),
        [
            (ResultsOutdated(tags=("source:s",)), True),
            (ResultsOutdated(tags=("source:other", "schema:s/[flights]*")), True),
            (ResultsOutdated(tags=("source:other",)), False),
            (ResultsOutdated(tags=()), False),
            (ResultsOutdated(pattern="schema:*/?flights?*"), True),
            (ResultsOutdated(pattern="schema:s"), False),
            (ResultsOutdated(tags=("x",), pattern="source:?"), True),
            (ResultsOutdated(), True),
        ],
    )
    async def test_what_was_declared_outdated_is_found_by_nobody_any_more(
        self, pair: Pair, change: ResultsOutdated, *, gone: bool
    ) -> None:
        await stored(pair[0], "value", "source:s", "schema:s/[flights]*")
        assert await value_of(pair[1]) == "value"
        pair[1].outdate(change)
        assert await value_of(pair[1]) == (None if gone else "value")
        await settled(pair[1])
        assert await value_of(pair[0]) == (None if gone else "value")

    async def test_what_is_stored_again_after_that_is_found_again(self, pair: Pair) -> None:
        await stored(pair[0], "before", "t")
        pair[0].outdate(ResultsOutdated(tags=("t",)))
        await stored(pair[0], "after", "t")
        assert await value_of(pair[1]) == "after"
        assert await value_of(pair[0]) == "after"

    @pytest.mark.parametrize("by_another", [True, False])
    async def test_a_load_that_was_under_way_when_its_result_was_outdated_stores_nothing(
        self, pair: Pair, *, by_another: bool
    ) -> None:
        permit = await permit_of(pair[0])
        declaring = pair[by_another]
        declaring.outdate(ResultsOutdated(pattern="schema:*"))
        await settled(declaring)
        pair[0].keep(permit, fresh("late", "schema:s/flights"))
        await settled(pair[0])
        assert await value_of(pair[1]) is None
        assert await value_of(pair[0]) is None
        assert (pair[0].statistics().stored, pair[0].statistics().refused) == (0, 1)

    async def test_a_load_that_was_under_way_when_something_else_was_outdated_is_stored(self, pair: Pair) -> None:
        permit = await permit_of(pair[0])
        pair[1].outdate(ResultsOutdated(tags=("other",)))
        await settled(pair[1])
        pair[0].keep(permit, fresh("value", "t"))
        await settled(pair[0])
        assert await value_of(pair[1]) == "value"

    async def test_nothing_is_found_that_was_loaded_before_more_was_outdated_than_anybody_remembers(
        self, pair: Pair
    ) -> None:
        permit = await permit_of(pair[0])
        for _ in range(600):
            pair[1].outdate(ResultsOutdated(tags=("other",)))
        await settled(pair[1])
        pair[0].keep(permit, fresh("old", "t"))
        await settled(pair[0])
        assert await value_of(pair[1]) is None

    async def test_what_cannot_be_read_is_dropped_and_loaded_anew(self, pair: Pair) -> None:
        await stored(pair[0], "no number")

        def number(body: bytes) -> int:
            return int(body)

        look = await pair[1].look(HERE, number)
        assert look.kept is None
        assert look.permit is not None
        assert pair[1].statistics().unreadable == 1
        pair[1].keep(look.permit, fresh("12"))
        await settled(pair[1])
        found = await pair[0].look(HERE, number)
        assert found.kept is not None
        assert found.kept.value == 12

    async def test_none_is_a_value_like_any_other(self, pair: Pair) -> None:
        await stored(pair[0], "nothing")

        def nothing(_body: bytes) -> None:
            return None

        look = await pair[1].look(HERE, nothing)
        assert look.kept is not None
        assert look.kept.value is None

    async def test_who_loads_in_vain_makes_nobody_wait(self, pair: Pair) -> None:
        for private in (False, True):
            permit = await permit_of(pair[0])
            pair[0].forgo(permit, private=private)
            await settled(pair[0])
            assert await value_of(pair[1]) is None

    @pytest.mark.parametrize("make", [lambda: "x" * 300_000, lambda: secrets.token_hex(60_000), lambda: ""])
    async def test_values_of_any_size_come_back_whole(self, pair: Pair, make: Callable[[], str]) -> None:
        value = make()
        await stored(pair[0], value)
        assert await value_of(pair[1]) == value

    async def test_a_value_that_cannot_be_written_as_bytes_hurts_nobody(self, pair: Pair) -> None:
        def broken() -> bytes:
            return "\ud800".encode()

        pair[0].keep(await permit_of(pair[0]), Fresh(encode=broken, age_s=0.0, size_bytes=1, tags=()))
        await settled(pair[0])
        assert pair[0].statistics().dropped == 1
        await stored(pair[1], "value")
        assert await value_of(pair[0]) == "value"

    async def test_both_store_many_at_once_and_find_all(self, pair: Pair) -> None:
        places = [Wanted(digest=f"{number:064x}", fingerprint="f") for number in range(60)]

        async def store(number: int) -> None:
            tier = pair[number % 2]
            tier.keep(await permit_of(tier, places[number]), fresh(str(number), f"t{number}"))

        await asyncio.gather(*(store(number) for number in range(60)))
        for tier in pair:
            await settled(tier)
        for number, wanted in enumerate(places):
            assert await value_of(pair[(number + 1) % 2], wanted) == str(number)

    async def test_more_than_a_few_that_wait_are_dropped_and_counted(self, pair: Pair) -> None:
        permits = [await permit_of(pair[0], Wanted(digest=f"{number:064x}", fingerprint="f")) for number in range(100)]
        for permit in permits:
            pair[0].keep(permit, fresh())
        await settled(pair[0])
        seen = pair[0].statistics()
        assert seen.dropped > 0
        assert seen.stored + seen.dropped == 100

    async def test_after_closing_every_look_is_a_miss_without_leave(self, pair: Pair) -> None:
        permit = await permit_of(pair[0])
        with anyio.fail_after(5):
            await pair[0].aclose()
        pair[0].keep(permit, fresh())
        pair[0].outdate(ResultsOutdated())
        assert await looked(pair[0]) == Look()

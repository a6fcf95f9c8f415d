"""What is asked once for many: who waits, who leaves, what is kept, and what never is."""

import asyncio

import pytest

from sources.errors import SourceUnreachable
from sources.newrelic.kept import Kept
from sources.newrelic.together import both
from sources.newrelic.together import together
from sources.newrelic.together import tolerated
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio


class Place:
    """Something far away that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended = 0
        self.go = asyncio.Event()
        self.fault: Exception | None = None

    async def load(self) -> int:
        self.asked += 1
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        if self.fault is not None:
            raise self.fault
        return self.asked


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_value_is_asked_for_once_by_many_and_again_when_it_is_old(clock: ManualClock) -> None:
    place, kept = Place(), Kept[str, int](for_s=60.0, clock=clock)
    callers = [asyncio.create_task(kept.get("a", place.load)) for _ in range(5)]
    await turns()
    place.go.set()
    assert await asyncio.gather(*callers) == [1] * 5
    clock.advance(59.9)
    assert (await kept.get("a", place.load), kept.found("a")) == (1, 1)
    clock.advance(0.2)
    assert kept.found("a") is None
    assert await kept.get("a", place.load) == 2
    clock.advance(-3_600)
    assert await kept.get("a", place.load) == 3, "a clock that was set back keeps nothing for hours"


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(clock: ManualClock) -> None:
    place, kept = Place(), Kept[str, int](for_s=60.0, clock=clock)
    place.fault = SourceUnreachable("away")
    callers = [asyncio.create_task(kept.get("a", place.load)) for _ in range(3)]
    await turns()
    place.go.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(each) for each in answers] == [SourceUnreachable] * 3
    place.fault = None
    assert await kept.get("a", place.load) == 2


@pytest.mark.parametrize("finishing", [False, True])
async def test_a_caller_who_leaves_takes_nobody_along_and_the_last_one_ends_the_asking(finishing: bool) -> None:  # noqa: FBT001 - a parameter of a test
    place, kept = Place(), Kept[str, int](for_s=60.0, clock=ManualClock(), finishing=finishing)
    first, second = (asyncio.create_task(kept.get("a", place.load)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (place.asked, place.ended) == (1, 0)
    second.cancel()
    await turns()
    assert place.ended == (0 if finishing else 1)
    place.go.set()
    assert await kept.get("a", place.load) == (1 if finishing else 2)
    await kept.aclose()


async def test_what_is_asked_for_nobody_ends_with_the_place(clock: ManualClock) -> None:
    place, kept = Place(), Kept[str, int](for_s=60.0, clock=clock, finishing=True)
    caller = asyncio.create_task(kept.get("a", place.load))
    await turns()
    await kept.aclose()
    assert (await asyncio.gather(caller, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert place.ended == 1


async def test_questions_asked_together_are_given_up_together() -> None:
    slow, quick = Place(), Place()
    quick.fault = SourceUnreachable("away")
    quick.go.set()
    with pytest.raises(SourceUnreachable):
        await together(each.load() for each in (slow, quick))
    with pytest.raises(SourceUnreachable):
        await both(slow.load(), quick.load())
    assert (slow.asked, slow.ended) == (2, 2)
    assert isinstance(await tolerated(quick.load()), SourceUnreachable)
    slow.go.set()
    assert await together(slow.load() for _ in range(3)) == (3, 4, 5)

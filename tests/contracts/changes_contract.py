"""What every carrier of changes must do: subclass `ChangesContract`, and `SharedChangesContract` if others hear too."""

import asyncio
import sys
from types import CoroutineType

import anyio
import pytest

from state.changes import Change
from state.changes import Changes
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved

WITHIN_S = 10.0
EVERY_KIND: tuple[Change, ...] = (
    SessionMoved(session_id="s", version=3),
    ResultsOutdated(),
    ResultsOutdated(tags=("source:a", "schema:a/ü \u2028 b")),
    ResultsOutdated(tags=()),
    ResultsOutdated(pattern="schema:*/fl*"),
    ResourceMoved(uri="uds://schemas/files/a%2Fb"),
    Missed(),
)


class Ear:
    """A listener that keeps what it heard."""

    def __init__(self, changes: Changes) -> None:
        self.heard: list[Change] = []
        self._more = asyncio.Event()
        self.leave = changes.listen(self._hear)

    def _hear(self, change: Change) -> None:
        self.heard.append(change)
        self._more.set()

    async def until(self, change: Change) -> None:
        """Wait until it has heard of this change."""
        with anyio.fail_after(WITHIN_S):
            while change not in self.heard:
                await self._turn()

    async def until_many(self, most: int) -> None:
        """Wait until it has heard that many."""
        with anyio.fail_after(WITHIN_S):
            while len(self.heard) < most:
                await self._turn()

    async def _turn(self) -> None:
        self._more.clear()
        await self._more.wait()


def tasks_of(changes: Changes) -> list[str]:
    """Where its own tasks stand."""
    home = sys.modules[type(changes).__module__].__file__
    coros = [task.get_coro() for task in asyncio.all_tasks()]
    return [repr(coro) for coro in coros if isinstance(coro, CoroutineType) and coro.cr_code.co_filename == home]


@pytest.mark.anyio
class ChangesContract:
    @pytest.fixture
    def changes(self) -> Changes:
        """Those under test, which nobody listens to yet."""
        pytest.fail("a contract class overrides the fixture `changes`")

    async def test_everyone_here_is_told_before_publishing_returns(self, changes: Changes) -> None:
        one, other = Ear(changes), Ear(changes)
        for change in EVERY_KIND:
            changes.publish(change)
            assert one.heard[-1] == other.heard[-1] == change
        assert one.heard == other.heard == list(EVERY_KIND)

    async def test_nobody_hears_of_what_was_before(self, changes: Changes) -> None:
        changes.publish(EVERY_KIND[0])
        ear = Ear(changes)
        changes.publish(EVERY_KIND[1])
        assert ear.heard == [EVERY_KIND[1]]

    async def test_who_stops_listening_hears_no_more_and_may_stop_again(self, changes: Changes) -> None:
        leaving, staying = Ear(changes), Ear(changes)
        leaving.leave()
        leaving.leave()
        changes.publish(EVERY_KIND[0])
        assert (leaving.heard, staying.heard) == ([], [EVERY_KIND[0]])

    async def test_a_listener_that_listens_twice_is_told_twice_until_each_has_ended(self, changes: Changes) -> None:
        heard: list[Change] = []
        leave, _ = changes.listen(heard.append), changes.listen(heard.append)
        changes.publish(EVERY_KIND[0])
        leave()
        leave()
        changes.publish(EVERY_KIND[1])
        assert heard == [EVERY_KIND[0], EVERY_KIND[0], EVERY_KIND[1]]

    async def test_a_listener_that_fails_is_logged_and_hurts_no_other(
        self, changes: Changes, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(change: Change) -> None:
            raise ValueError(change)

        changes.listen(fails)
        ear = Ear(changes)
        changes.publish(EVERY_KIND[0])
        changes.publish(EVERY_KIND[1])
        assert ear.heard == list(EVERY_KIND[:2])
        assert "ValueError" in caplog.text

    async def test_listeners_may_come_and_go_while_they_are_told(self, changes: Changes) -> None:
        came: list[Ear] = []
        first = Ear(changes)

        def goes(change: Change) -> None:
            _ = change
            leave()
            came.append(Ear(changes))

        leave = changes.listen(goes)
        last = Ear(changes)
        changes.publish(EVERY_KIND[0])
        changes.publish(EVERY_KIND[1])
        assert first.heard == last.heard == list(EVERY_KIND[:2])
        assert [ear.heard for ear in came] == [[EVERY_KIND[1]]]

    async def test_closing_leaves_no_task_and_tells_nobody_any_more(self, changes: Changes) -> None:
        ear = Ear(changes)
        await changes.aclose()
        await changes.aclose()
        changes.publish(EVERY_KIND[0])
        assert ear.heard == []
        assert tasks_of(changes) == []


@pytest.mark.anyio
class SharedChangesContract:
    """Two instances that share. `nudge` is what an instance tells the others."""

    nudge: Change = ResourceMoved(uri="uds://nudge")

    @pytest.fixture
    def changes(self) -> Changes:
        pytest.fail("a contract class overrides the fixture `changes`")

    @pytest.fixture
    def other(self) -> Changes:
        """Another instance."""
        pytest.fail("a contract class overrides the fixture `other`")

    async def test_what_is_published_here_is_heard_there_in_order_and_once(
        self, changes: Changes, other: Changes
    ) -> None:
        ear = Ear(other)
        told = [change for change in EVERY_KIND if isinstance(change, ResultsOutdated | ResourceMoved)]
        for change in told:
            changes.publish(change)
        changes.publish(self.nudge)
        await ear.until(self.nudge)
        assert ear.heard == [*told, self.nudge]

    async def test_who_publishes_hears_it_once_also_when_the_others_have_it(
        self, changes: Changes, other: Changes
    ) -> None:
        here, there = Ear(changes), Ear(other)
        changes.publish(ResultsOutdated(pattern="a"))
        await there.until(ResultsOutdated(pattern="a"))
        other.publish(self.nudge)
        await here.until(self.nudge)
        assert here.heard == [ResultsOutdated(pattern="a"), self.nudge]

    async def test_that_a_session_moved_is_told_to_others_by_the_write_and_not_by_publishing(
        self, changes: Changes, other: Changes
    ) -> None:
        here, there = Ear(changes), Ear(other)
        changes.publish(SessionMoved(session_id="s", version=1))
        changes.publish(Missed())
        changes.publish(self.nudge)
        await there.until(self.nudge)
        assert there.heard == [self.nudge]
        assert here.heard == [SessionMoved(session_id="s", version=1), Missed(), self.nudge]

    async def test_one_that_closed_keeps_nobody_from_hearing(self, changes: Changes, other: Changes) -> None:
        await other.aclose()
        ear = Ear(changes)
        changes.publish(self.nudge)
        assert ear.heard == [self.nudge]

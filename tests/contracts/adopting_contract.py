"""What every journal that adopts sessions must do, as one suite: subclass `AdoptingContract`, override its fixtures.

The journals under test go by the fixture `clock`.
"""

from typing import Protocol

import anyio
import pytest

from state.errors import OverLimit
from state.journal import Adopting
from state.journal import AlreadyOpened
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Journal
from state.journal import Origin
from state.journal import VersionMoved
from tests.conftest import ManualClock
from tests.contracts.journal_contract import LIFE_S
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written

BEHIND = Head(version=5, nonce="feedfacecafebeef")
"""Where the history ended in the journal that the session comes from."""


class AdoptingJournal(Journal, Adopting, Protocol):
    """What is tested here."""


def origin(
    clock: ManualClock,
    *,
    head: Head = BEHIND,
    key: str | None = None,
    owner: str = "ann",
    text: str = "",
) -> Origin:
    return Origin(owner=owner, key=key, checkpoint=folded(head, text), expires_at=clock() + LIFE_S)


async def opened(journal: Journal, clock: ManualClock, session_id: str, key: str) -> Head:
    """A new session with an idempotency key."""
    return await journal.append(session_id, expected=None, drafts=[draft(key=key)], expires_at=clock() + LIFE_S)


@pytest.mark.anyio
class AdoptingContract:
    @pytest.fixture
    def journal(self, clock: ManualClock) -> AdoptingJournal:
        """The journal under test, empty."""
        _ = clock
        pytest.fail("a contract class overrides the fixture `journal`")

    @pytest.fixture
    def scant(self, clock: ManualClock) -> AdoptingJournal:
        """As `journal`, and each owner has the quota `SCANT`."""
        _ = clock
        pytest.fail("a contract class overrides the fixture `scant`")

    async def test_a_journal_says_that_it_adopts(self, journal: AdoptingJournal) -> None:
        assert isinstance(journal, Adopting)

    async def test_an_adopted_session_reads_as_one_that_was_compacted_up_to_its_checkpoint(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        clock.advance(3)
        assert await journal.adopt("s", origin(clock))
        for after in (0, 2, BEHIND.version, 99):
            chapter = await found(journal, "s", after=after)
            assert (chapter.head, chapter.events, chapter.size_bytes) == (BEHIND, (), 0)
            assert (chapter.accessed_at, chapter.expires_at) == (clock(), clock() + LIFE_S)
        assert await journal.sessions("ann") == ("s",)
        assert (journal.statistics().sessions, journal.statistics().events) == (1, 0)

    async def test_the_checkpoint_it_began_with_is_given_back(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        state = bytes(range(256)) * 400
        checkpoint = Checkpoint(version=BEHIND.version, nonce=BEHIND.nonce, state=state)
        ends = clock() + LIFE_S
        assert await journal.adopt("s", Origin(owner="ann", key=None, checkpoint=checkpoint, expires_at=ends))
        assert await journal.checkpoint("s") == checkpoint
        assert await journal.checkpoint("s", most=BEHIND.version) == checkpoint
        assert await journal.checkpoint("s", most=BEHIND.version - 1) is None

    async def test_it_is_written_on_from_its_head_and_verifies(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        await journal.adopt("s", origin(clock))
        head = BEHIND
        for _ in range(2):
            seen = await journal.verify("s")
            assert seen is not None
            assert (seen.ok, seen.fault) == (True, None)
            head = await went_on(journal, clock, "s", head, {"n": 1}, {"n": 2})
        chapter = await found(journal, "s")
        assert (head.version, chapter.head) == (9, head)
        assert [event.version for event in chapter.events] == [6, 7, 8, 9]
        assert [event.version for event in (await found(journal, "s", after=8)).events] == [9]
        seen = await journal.verify("s")
        assert seen is not None
        assert (seen.ok, seen.events) == (True, 4)

    async def test_who_believes_in_another_head_than_the_adopted_one_is_refused(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        await journal.adopt("s", origin(clock))
        for wrong in (None, Head(version=5, nonce="another"), Head(version=4, nonce=BEHIND.nonce)):
            with pytest.raises(VersionMoved) as refused:
                await journal.append("s", expected=wrong, drafts=[draft()], expires_at=clock() + LIFE_S)
            assert refused.value.head == BEHIND

    async def test_it_keeps_checkpoints_and_is_compacted_as_any_other(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        await journal.adopt("s", origin(clock))
        head = await went_on(journal, clock, "s", BEHIND)
        journal.keep_checkpoint("s", folded(head))
        last = await went_on(journal, clock, "s", head)
        assert await journal.checkpoint("s") == folded(head)
        assert await journal.checkpoint("s", most=BEHIND.version) == folded(BEHIND)
        end = await journal.compact("s", expected=last, checkpoint=folded(head), draft=draft({"through": 6}))
        assert [event.version for event in (await found(journal, "s")).events] == [7, 8]
        assert (end.version, await journal.checkpoint("s", most=6)) == (8, folded(head))
        assert await journal.checkpoint("s", most=5) is None
        seen = await journal.verify("s")
        assert seen is not None
        assert (seen.ok, seen.events) == (True, 2)

    async def test_it_ends_when_its_time_has_come_or_is_touched_and_lives_on(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        await journal.adopt("s", origin(clock))
        await journal.adopt("t", origin(clock))
        clock.advance(LIFE_S - 1)
        await journal.touch("t", expires_at=clock() + LIFE_S)
        clock.advance(1)
        assert (await journal.read("s"), await journal.sessions("ann")) == (None, ("t",))
        assert await journal.checkpoint("s") is None

    async def test_one_whose_time_is_over_is_gone_at_once(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        over = Origin(owner="ann", key="once", checkpoint=folded(BEHIND), expires_at=clock())
        await journal.adopt("s", over)
        assert (await journal.read("s"), await journal.sessions("ann")) == (None, ())
        await opened(journal, clock, "t", "once")

    async def test_a_live_session_is_not_disturbed(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s", {"n": 1})
        assert not await journal.adopt("s", origin(clock, owner="eve"))
        await journal.adopt("t", origin(clock))
        assert not await journal.adopt("t", origin(clock, head=Head(version=9, nonce="another")))
        chapter = await found(journal, "s")
        assert (chapter.head, [event.body for event in chapter.events]) == (head, [{"n": 1}])
        assert await journal.checkpoint("s") is None
        assert ((await found(journal, "t")).head, await journal.sessions("eve")) == (BEHIND, ())

    async def test_an_ended_one_gives_way_whole(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s", *[{"n": n} for n in range(9)])
        journal.keep_checkpoint("s", folded(head))
        await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
        await written(journal, clock, "t")
        clock.advance(LIFE_S)
        for session_id in ("s", "t"):
            assert await journal.adopt(session_id, origin(clock))
            chapter = await found(journal, session_id)
            assert (chapter.head, chapter.events) == (BEHIND, ())
            assert await journal.checkpoint(session_id) == folded(BEHIND)
        assert sorted(await journal.held()) == ["s", "t"]

    async def test_a_touch_of_what_was_here_before_is_none_of_the_new_session(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        await journal.touch("s", expires_at=clock() + 9 * LIFE_S)
        await journal.discard("s", expected=head)
        await journal.adopt("s", origin(clock))
        assert (await found(journal, "s")).expires_at == clock() + LIFE_S

    async def test_its_key_is_claimed_if_it_is_free(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        await journal.adopt("s", origin(clock, key="once"))
        with pytest.raises(AlreadyOpened) as refused:
            await opened(journal, clock, "t", "once")
        assert refused.value.session_id == "s"
        clock.advance(LIFE_S)
        await opened(journal, clock, "t", "once")

    async def test_a_key_that_another_live_session_has_stays_its_own(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        head = await opened(journal, clock, "first", "once")
        assert await journal.adopt("s", origin(clock, key="once"))
        assert await journal.adopt("of eve", origin(clock, key="once", owner="eve"))
        with pytest.raises(AlreadyOpened) as refused:
            await opened(journal, clock, "t", "once")
        assert refused.value.session_id == "first"
        await journal.discard("s", expected=BEHIND)
        with pytest.raises(AlreadyOpened):
            await opened(journal, clock, "t", "once")
        await journal.discard("first", expected=head)
        await opened(journal, clock, "t", "once")

    async def test_a_key_of_a_session_that_expired_is_free(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        await opened(journal, clock, "old", "once")
        clock.advance(LIFE_S)
        await journal.adopt("s", origin(clock, key="once"))
        with pytest.raises(AlreadyOpened) as refused:
            await opened(journal, clock, "t", "once")
        assert refused.value.session_id == "s"

    async def test_adopting_is_never_refused_by_a_quota_and_what_is_adopted_counts(
        self, scant: AdoptingJournal, clock: ManualClock
    ) -> None:
        head = await written(scant, clock, "a")
        for session_id in ("b", "c", "d"):
            assert await scant.adopt(session_id, origin(clock))
        with pytest.raises(OverLimit, match="3 open sessions"):
            await written(scant, clock, "e")
        await scant.discard("a", expected=head)
        for session_id in ("b", "c"):
            await scant.discard(session_id, expected=BEHIND)
        await written(scant, clock, "e")
        await went_on(scant, clock, "d", BEHIND)
        assert set(await scant.sessions("ann")) == {"d", "e"}

    async def test_what_is_discarded_never_was(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        await written(journal, clock, "other", {"n": 0})
        counted = journal.statistics()
        await journal.adopt("s", origin(clock, key="once"))
        head = await went_on(journal, clock, "s", BEHIND, {"n": 1}, {"n": 2})
        journal.keep_checkpoint("s", folded(head))
        await journal.touch("s", expires_at=clock() + 2 * LIFE_S)
        await journal.discard("s", expected=head)
        assert await journal.read("s") is None
        assert await journal.checkpoint("s") is None
        assert await journal.verify("s") is None
        assert (await journal.sessions("ann"), await journal.held()) == (("other",), ("other",))
        assert journal.statistics() == counted
        assert (await opened(journal, clock, "s", "once")).version == 1
        assert [event.key for event in (await found(journal, "s")).events] == ["once"]

    async def test_a_session_that_has_moved_on_is_not_discarded(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        await journal.adopt("s", origin(clock))
        head = await went_on(journal, clock, "s", BEHIND)
        for wrong in (BEHIND, Head(version=head.version, nonce="another")):
            with pytest.raises(VersionMoved) as refused:
                await journal.discard("s", expected=wrong)
            assert refused.value.head == head
        assert (await found(journal, "s")).head == head

    async def test_discarding_what_is_not_there_does_nothing(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        await journal.discard("nobody", expected=BEHIND)
        await journal.discard("s", expected=head)
        await journal.discard("s", expected=head)
        assert await journal.held() == ()

    async def test_an_ended_session_is_discarded_as_well(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        last = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
        expired = await written(journal, clock, "t")
        clock.advance(LIFE_S)
        await journal.discard("s", expected=last)
        await journal.discard("t", expected=expired)
        assert await journal.held() == ()
        assert journal.statistics().sessions == 0

    async def test_all_sessions_of_all_owners_are_held(self, journal: AdoptingJournal, clock: ManualClock) -> None:
        assert await journal.held() == ()
        await written(journal, clock, "s")
        await journal.adopt("t", origin(clock, owner="bob"))
        assert sorted(await journal.held()) == ["s", "t"]

    async def test_of_those_who_adopt_one_session_at_once_exactly_one_does(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        done: list[bool] = []

        async def adopt(number: int) -> None:
            head = Head(version=5, nonce=f"{number:016x}")
            done.append(await journal.adopt("s", origin(clock, head=head)))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(adopt, number)
        assert sorted(done) == [False] * 7 + [True]

    async def test_a_write_and_a_discard_that_meet_do_not_both_happen(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        outcomes: dict[str, list[bool]] = {"write": [], "discard": []}

        async def attempt(name: str, session_id: str) -> None:
            try:
                if name == "write":
                    await went_on(journal, clock, session_id, BEHIND)
                else:
                    await journal.discard(session_id, expected=BEHIND)
            except VersionMoved:
                outcomes[name].append(False)
            else:
                outcomes[name].append(True)

        sessions = [f"s{number}" for number in range(10)]
        for session_id in sessions:
            await journal.adopt(session_id, origin(clock))
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for number, session_id in enumerate(sessions):
                    for name in ("write", "discard") if number % 2 else ("discard", "write"):
                        tasks.start_soon(attempt, name, session_id)
        assert sum(outcomes["write"]) + sum(outcomes["discard"]) == len(sessions)
        assert len(await journal.held()) == sum(outcomes["write"])

    async def test_a_session_that_begins_at_nothing_is_not_adopted(
        self, journal: AdoptingJournal, clock: ManualClock
    ) -> None:
        with pytest.raises(ValueError, match="at least one event"):
            await journal.adopt("s", origin(clock, head=Head(version=0, nonce="")))
        assert await journal.held() == ()

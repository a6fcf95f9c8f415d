"""What every journal must do, as one suite: subclass `JournalContract` and override `journal` and `scant`.

The journals under test go by the fixture `clock`.
"""

from typing import Any

import anyio
import pytest

from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import Journal
from state.journal import Quota
from state.journal import VersionMoved
from tests.conftest import ManualClock

LIFE_S = 100.0
SCANT = Quota(sessions=3, events=10, size_bytes=2_000)
NOTHING: dict[str, Any] = {}
_WRITERS = 16


def draft(body: dict[str, Any] | None = None, *, actor: str = "ann", key: str | None = None) -> Draft:
    return Draft(at=7.25, kind="noted", actor=actor, body=body or {}, key=key)


async def written(journal: Journal, clock: ManualClock, session_id: str, *bodies: dict[str, Any]) -> Head:
    """A new session with one event per body."""
    drafts = [draft(body) for body in bodies or ({},)]
    return await journal.append(session_id, expected=None, drafts=drafts, expires_at=clock() + LIFE_S)


async def went_on(journal: Journal, clock: ManualClock, session_id: str, head: Head, *bodies: dict[str, Any]) -> Head:
    """The session with one more event per body."""
    drafts = [draft(body) for body in bodies or ({},)]
    return await journal.append(session_id, expected=head, drafts=drafts, expires_at=clock() + LIFE_S)


def folded(head: Head, text: str = "") -> Checkpoint:
    return Checkpoint(version=head.version, nonce=head.nonce, state=f"as of {head.etag}{text}".encode())


async def found(journal: Journal, session_id: str, *, after: int = 0) -> Chapter:
    chapter = await journal.read(session_id, after=after)
    assert chapter is not None
    return chapter


@pytest.mark.anyio
class JournalContract:
    @pytest.fixture
    def journal(self, clock: ManualClock) -> Journal:
        """The journal under test, empty."""
        _ = clock
        pytest.fail("a contract class overrides the fixture `journal`")

    @pytest.fixture
    def scant(self, clock: ManualClock) -> Journal:
        """As `journal`, and each owner has the quota `SCANT`."""
        _ = clock
        pytest.fail("a contract class overrides the fixture `scant`")

    async def test_what_was_appended_is_read_back_in_order(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s", {"n": 1}, {"n": 2})
        chapter = await found(journal, "s")
        assert chapter.head == head
        assert [event.body for event in chapter.events] == [{"n": 1}, {"n": 2}]
        assert (chapter.events[0].at, chapter.events[0].kind, chapter.events[0].actor) == (7.25, "noted", "ann")
        assert (chapter.accessed_at, chapter.expires_at) == (clock(), clock() + LIFE_S)

    async def test_an_unknown_session_reads_as_none(self, journal: Journal) -> None:
        assert await journal.read("nobody") is None
        await journal.touch("nobody", expires_at=1e12)
        assert await journal.read("nobody") is None

    async def test_an_append_without_drafts_is_refused(self, journal: Journal) -> None:
        with pytest.raises(ValueError, match="at least one"):
            await journal.append("s", expected=None, drafts=[], expires_at=1e12)

    async def test_versions_have_no_gaps_over_appends_of_any_length(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        for length in (1, 3, 2):
            head = await journal.append("s", expected=head, drafts=[draft()] * length, expires_at=clock() + LIFE_S)
        assert [event.version for event in (await found(journal, "s")).events] == [1, 2, 3, 4, 5, 6, 7]
        assert head.version == 7

    async def test_each_append_has_a_nonce_of_its_own_that_its_events_keep(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        first = await written(journal, clock, "s", {}, {})
        second = await journal.append("s", expected=first, drafts=[draft()], expires_at=clock() + LIFE_S)
        other = await written(journal, clock, "t", {}, {})
        assert len({first.nonce, second.nonce, other.nonce}) == 3
        nonces = [event.nonce for event in (await found(journal, "s")).events]
        assert nonces == [first.nonce, first.nonce, second.nonce]

    @pytest.mark.parametrize("nonce", ["0123456789abcdef", "of any form: 漢"])
    async def test_a_nonce_that_is_given_is_that_of_every_event_of_the_append(
        self, journal: Journal, clock: ManualClock, nonce: str
    ) -> None:
        first = await written(journal, clock, "s")
        ends = clock() + LIFE_S
        second = await journal.append("s", expected=first, drafts=[draft(), draft()], expires_at=ends, nonce=nonce)
        assert second == Head(version=3, nonce=nonce)
        third = await went_on(journal, clock, "s", second)
        chapter = await found(journal, "s")
        assert [event.nonce for event in chapter.events] == [first.nonce, nonce, nonce, third.nonce]
        seen = await journal.verify("s")
        assert seen is not None
        assert seen.ok
        opened = await journal.append("t", expected=None, drafts=[draft()], expires_at=ends, nonce=nonce)
        assert opened == Head(version=1, nonce=nonce)

    async def test_what_a_journal_tells_of_the_version_that_was_read_after_is_true(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        first = await written(journal, clock, "s", {"n": 1}, {"n": 2})
        second = await went_on(journal, clock, "s", first, {"n": 3})
        for after, nonce in ((1, first.nonce), (2, first.nonce), (3, second.nonce), (9, None)):
            assert (await found(journal, "s", after=after)).before in {None, nonce}
        chapter = await found(journal, "s")
        assert (chapter.before, chapter.local, chapter.head.local) == (None, False, False)

    async def test_reading_after_a_version_gives_only_what_is_missing(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s", {"n": 1}, {"n": 2}, {"n": 3})
        tail = await found(journal, "s", after=2)
        assert [(event.version, event.body) for event in tail.events] == [(3, {"n": 3})]
        assert tail.size_bytes == (await found(journal, "s")).size_bytes
        for after in (3, 4):
            nothing = await found(journal, "s", after=after)
            assert (nothing.events, nothing.head) == ((), head)

    async def test_a_writer_that_believes_in_an_old_head_is_refused_and_told_the_current_one(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        old = await written(journal, clock, "s")
        current = await journal.append("s", expected=old, drafts=[draft()], expires_at=clock() + LIFE_S)
        with pytest.raises(VersionMoved) as refused:
            await journal.append("s", expected=old, drafts=[draft({"n": 2})], expires_at=clock() + LIFE_S)
        assert refused.value.head == current
        assert (await found(journal, "s")).head == current

    async def test_the_right_version_of_another_history_is_refused(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        foreign = Head(version=head.version, nonce="another")
        with pytest.raises(VersionMoved):
            await journal.append("s", expected=foreign, drafts=[draft()], expires_at=clock() + LIFE_S)

    async def test_appending_to_a_session_that_is_not_there_is_refused(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        with pytest.raises(VersionMoved) as refused:
            await journal.append(
                "s", expected=Head(version=1, nonce="x"), drafts=[draft()], expires_at=clock() + LIFE_S
            )
        assert refused.value.head is None

    async def test_of_writers_that_read_the_same_head_exactly_one_wins(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        await written(journal, clock, "s")
        won, lost = await self._race(journal, clock, "s", expect_existing=True)
        chapter = await found(journal, "s")
        assert (len(won), len(lost)) == (1, _WRITERS - 1)
        assert [event.body for event in chapter.events[1:]] == [{"writer": won[0]}]
        assert {refusal.head for refusal in lost} == {chapter.head}

    async def test_of_writers_that_create_the_same_session_exactly_one_wins(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        won, lost = await self._race(journal, clock, "s", expect_existing=False)
        assert (len(won), len(lost)) == (1, _WRITERS - 1)
        assert [event.body for event in (await found(journal, "s")).events] == [{"writer": won[0]}]

    async def test_writers_that_decide_again_all_get_their_event_in_once(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        await written(journal, clock, "s")
        refusals: list[int] = []

        async def write(writer: int) -> None:
            while True:
                head = (await found(journal, "s")).head
                await anyio.lowlevel.checkpoint()
                try:
                    await journal.append(
                        "s", expected=head, drafts=[draft({"writer": writer})], expires_at=clock() + LIFE_S
                    )
                except VersionMoved:
                    refusals.append(writer)
                else:
                    return

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for writer in range(_WRITERS):
                    tasks.start_soon(write, writer)
        events = (await found(journal, "s")).events
        assert sorted(event.body["writer"] for event in events[1:]) == list(range(_WRITERS))
        assert refusals, "the writers never met: this proved nothing"

    async def test_a_refused_append_of_many_leaves_none_of_them(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        with pytest.raises(VersionMoved):
            await journal.append("s", expected=None, drafts=[draft(), draft()], expires_at=clock() + LIFE_S)
        assert (await found(journal, "s")).head == head
        assert len((await found(journal, "s")).events) == 1

    async def test_a_session_ends_at_the_very_instant_it_expires(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        clock.advance(LIFE_S - 0.001)
        assert await journal.read("s") is not None
        clock.advance(0.001)
        assert await journal.read("s") is None
        assert await journal.sessions("ann") == ()
        with pytest.raises(VersionMoved) as refused:
            await journal.append("s", expected=head, drafts=[draft()], expires_at=clock() + LIFE_S)
        assert refused.value.head is None

    async def test_an_expired_id_can_be_created_anew_with_nothing_left_of_before(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        await written(journal, clock, "s", {"old": True}, {"old": True})
        clock.advance(LIFE_S)
        head = await written(journal, clock, "s", {"new": True})
        assert head.version == 1
        assert [event.body for event in (await found(journal, "s")).events] == [{"new": True}]
        clock.advance(LIFE_S - 1)
        assert await journal.read("s") is not None

    async def test_a_touch_moves_the_end_and_writes_nothing(self, journal: Journal, clock: ManualClock) -> None:
        await written(journal, clock, "s")
        before = await found(journal, "s")
        clock.advance(60)
        await journal.touch("s", expires_at=clock() + LIFE_S)
        after = await found(journal, "s")
        assert (after.head, after.events, after.size_bytes) == (before.head, before.events, before.size_bytes)
        assert (after.accessed_at, after.expires_at) == (clock(), clock() + LIFE_S)
        clock.advance(LIFE_S - 1)
        assert await journal.read("s") is not None

    async def test_a_touch_may_bring_the_end_closer(self, journal: Journal, clock: ManualClock) -> None:
        await written(journal, clock, "s")
        await journal.touch("s", expires_at=clock() + 1)
        clock.advance(1)
        assert await journal.read("s") is None

    async def test_of_a_touch_and_an_append_in_one_instant_the_later_decides_the_end(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        await journal.touch("s", expires_at=clock() + 3 * LIFE_S)
        head = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock() + 2 * LIFE_S)
        assert (await found(journal, "s")).expires_at == clock() + 2 * LIFE_S
        await journal.touch("s", expires_at=clock() + LIFE_S)
        assert (await found(journal, "s")).expires_at == clock() + LIFE_S

    async def test_a_touch_does_not_raise_the_dead(self, journal: Journal, clock: ManualClock) -> None:
        await written(journal, clock, "s")
        clock.advance(LIFE_S)
        await journal.touch("s", expires_at=clock() + LIFE_S)
        assert await journal.read("s") is None

    async def test_an_append_with_an_end_in_the_past_ends_the_session(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        last = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
        assert last.version == 2
        assert await journal.read("s") is None
        assert await journal.sessions("ann") == ()
        assert journal.statistics().sessions == 0

    async def test_an_owner_sees_its_own_sessions_newest_access_first(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        heads: dict[str, Head] = {}
        for name in ("a", "b", "c"):
            heads[name] = await written(journal, clock, name)
            clock.advance(1)
        await journal.append("x", expected=None, drafts=[draft(actor="bob")], expires_at=clock() + LIFE_S)
        clock.advance(1)
        await journal.touch("a", expires_at=clock() + LIFE_S)
        clock.advance(1)
        await journal.append("b", expected=heads["b"], drafts=[draft(actor="bob")], expires_at=clock() + LIFE_S)
        assert await journal.sessions("ann") == ("b", "a", "c")
        assert await journal.sessions("bob") == ("x",)
        assert await journal.sessions("eve") == ()

    async def test_reading_is_not_an_access(self, journal: Journal, clock: ManualClock) -> None:
        await written(journal, clock, "a")
        clock.advance(1)
        await written(journal, clock, "b")
        clock.advance(1)
        await found(journal, "a")
        assert await journal.sessions("ann") == ("b", "a")

    async def test_one_idempotency_key_opens_one_live_session_of_an_owner(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        async def opened(session_id: str, actor: str) -> None:
            drafts = [draft(actor=actor, key="once")]
            await journal.append(session_id, expected=None, drafts=drafts, expires_at=clock() + LIFE_S)

        await opened("s", "ann")
        with pytest.raises(AlreadyOpened) as refused:
            await opened("t", "ann")
        assert refused.value.session_id == "s"
        assert await journal.read("t") is None
        await opened("u", "bob")
        clock.advance(LIFE_S)
        await opened("v", "ann")
        assert await journal.sessions("ann") == ("v",)

    async def test_a_key_is_free_again_once_its_session_is_gone_whatever_became_of_the_id(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        await journal.append("s", expected=None, drafts=[draft(key="once")], expires_at=clock() + LIFE_S)
        clock.advance(LIFE_S)
        await written(journal, clock, "s")
        await journal.append("t", expected=None, drafts=[draft(key="once")], expires_at=clock() + LIFE_S)
        assert set(await journal.sessions("ann")) == {"s", "t"}

    async def test_idempotency_keys_are_kept_with_their_events(self, journal: Journal, clock: ManualClock) -> None:
        drafts = [draft(key="k"), draft()]
        await journal.append("s", expected=None, drafts=drafts, expires_at=clock() + LIFE_S)
        assert [event.key for event in (await found(journal, "s")).events] == ["k", None]

    async def test_changing_what_went_in_or_came_out_changes_nothing_inside(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        body: dict[str, Any] = {"list": [1]}
        await written(journal, clock, "s", body)
        body["list"].append(2)
        (await found(journal, "s")).events[0].body["list"].append(3)
        assert (await found(journal, "s")).events[0].body == {"list": [1]}

    @pytest.mark.parametrize(
        "value",
        [
            "ünïcödé 漢字 🦉 \u0000\u2028 \\ \" '",
            ["x" * 1_000_000],
            {"": None, "a": {"b": [True, False, None, 0, -1, 0.1, 1e300, 2**63]}},
        ],
        ids=["unicode", "large", "nested"],
    )
    async def test_any_json_survives(self, journal: Journal, clock: ManualClock, value: Any) -> None:
        await written(journal, clock, "s", {"value": value})
        assert (await found(journal, "s")).events[0].body == {"value": value}

    async def test_strange_ids_and_owners_survive(self, journal: Journal, clock: ManualClock) -> None:
        strange = 'a:b {c}*"\n漢'
        drafts = [draft(actor=strange)]
        await journal.append(strange, expected=None, drafts=drafts, expires_at=clock() + LIFE_S)
        assert await journal.sessions(strange) == (strange,)
        assert (await found(journal, strange)).events[0].actor == strange

    async def test_statistics_count_sessions_and_events(self, journal: Journal, clock: ManualClock) -> None:
        await written(journal, clock, "s", {}, {})
        await written(journal, clock, "t")
        seen = journal.statistics()
        assert (seen.sessions, seen.events) == (2, 3)
        assert seen.size_bytes == (await found(journal, "s")).size_bytes + (await found(journal, "t")).size_bytes

    async def test_a_good_history_verifies_whatever_it_went_through(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s", {"n": 1}, {"n": 2})
        await written(journal, clock, "t", {"n": 3})
        head = await went_on(journal, clock, "s", head, {"n": 4}, {"text": "漢" * 1_000})
        with pytest.raises(VersionMoved):
            await journal.append("s", expected=None, drafts=[draft()], expires_at=clock() + LIFE_S)
        seen = await journal.verify("s")
        assert seen is not None
        assert (seen.ok, seen.events, seen.version, seen.fault) == (True, 4, None, None)
        assert head.version == 4

    async def test_there_is_nothing_to_verify_of_a_session_that_is_unknown_or_expired(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        await written(journal, clock, "s")
        clock.advance(LIFE_S)
        assert await journal.verify("s") is None
        assert await journal.verify("nobody") is None

    async def test_the_newest_checkpoint_up_to_a_version_is_found(self, journal: Journal, clock: ManualClock) -> None:
        heads = [await written(journal, clock, "s")]
        assert await journal.checkpoint("s") is None
        for _ in range(2):
            journal.keep_checkpoint("s", folded(heads[-1]))
            heads.append(await went_on(journal, clock, "s", heads[-1]))
        one, two = folded(heads[0]), folded(heads[1])
        assert await journal.checkpoint("s") == two
        assert [await journal.checkpoint("s", most=most) for most in (0, 1, 2, 3)] == [None, one, two, two]

    async def test_a_checkpoint_that_is_not_of_this_history_is_not_kept(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        await written(journal, clock, "t")
        journal.keep_checkpoint("nobody", folded(head))
        journal.keep_checkpoint("t", folded(head))
        journal.keep_checkpoint("s", Checkpoint(version=head.version, nonce="another", state=b""))
        journal.keep_checkpoint("s", Checkpoint(version=head.version + 1, nonce=head.nonce, state=b""))
        journal.keep_checkpoint("s", Checkpoint(version=0, nonce=head.nonce, state=b""))
        await went_on(journal, clock, "s", head)
        assert [await journal.checkpoint(each) for each in ("s", "t", "nobody")] == [None, None, None]

    async def test_checkpoints_are_gone_with_their_session(self, journal: Journal, clock: ManualClock) -> None:
        head = await written(journal, clock, "s")
        journal.keep_checkpoint("s", folded(head))
        await went_on(journal, clock, "s", head)
        clock.advance(LIFE_S)
        assert await journal.checkpoint("s") is None
        await written(journal, clock, "s", {}, {})
        assert await journal.checkpoint("s") is None

    async def test_compacting_drops_what_the_checkpoint_stands_for_and_nothing_else(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        third = await written(journal, clock, "s", {"n": 1}, {"n": 2}, {"n": 3})
        fifth = await went_on(journal, clock, "s", third, {"n": 4}, {"n": 5})
        before = await found(journal, "s")
        head = await journal.compact("s", expected=fifth, checkpoint=folded(third), draft=draft({"n": 6}))
        after = await found(journal, "s")
        assert (head.version, after.head) == (6, head)
        assert [(event.version, event.body) for event in after.events] == [(n, {"n": n}) for n in (4, 5, 6)]
        assert [event.version for event in (await found(journal, "s", after=4)).events] == [5, 6]
        assert [event.version for event in (await found(journal, "s", after=2)).events] == [4, 5, 6]
        assert after.size_bytes * 5 == before.size_bytes * 3, "the events are of one size"
        assert (journal.statistics().events, journal.statistics().size_bytes) == (3, after.size_bytes)
        assert await journal.checkpoint("s") == folded(third)

    async def test_a_compacted_session_verifies_and_is_written_on_and_compacted_again(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s", {}, {})
        for _ in range(3):
            newest = folded(head)
            head = await journal.compact("s", expected=head, checkpoint=newest, draft=draft())
            assert await journal.checkpoint("s") == newest
            assert [event.version for event in (await found(journal, "s")).events] == [head.version]
            head = await went_on(journal, clock, "s", head, {}, {})
        seen = await journal.verify("s")
        assert seen is not None
        assert (seen.ok, seen.events, head.version) == (True, 3, 11)
        assert [event.version for event in (await found(journal, "s")).events] == [9, 10, 11]

    async def test_the_checkpoint_of_a_compaction_outlives_later_checkpoints(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        base = await written(journal, clock, "s")
        head = await journal.compact("s", expected=base, checkpoint=folded(base), draft=draft())
        for _ in range(5):
            journal.keep_checkpoint("s", folded(head))
            head = await went_on(journal, clock, "s", head)
        assert await journal.checkpoint("s", most=base.version) == folded(base)

    async def test_a_compaction_may_stop_short_of_the_newest_checkpoints(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        base = head = await written(journal, clock, "s")
        for _ in range(4):
            head = await went_on(journal, clock, "s", head)
            journal.keep_checkpoint("s", folded(head))
        await journal.compact("s", expected=head, checkpoint=folded(base), draft=draft())
        assert [event.version for event in (await found(journal, "s")).events] == [2, 3, 4, 5, 6]
        assert await journal.checkpoint("s", most=1) == folded(base)
        assert await journal.checkpoint("s") == folded(head)

    async def test_a_compaction_that_is_refused_drops_nothing(self, journal: Journal, clock: ManualClock) -> None:
        first = await written(journal, clock, "s")
        head = await went_on(journal, clock, "s", first)
        with pytest.raises(VersionMoved) as refused:
            await journal.compact("s", expected=first, checkpoint=folded(first), draft=draft())
        assert refused.value.head == head
        with pytest.raises(VersionMoved) as unknown:
            await journal.compact("nobody", expected=head, checkpoint=folded(first), draft=draft())
        assert unknown.value.head is None
        for wrong in (folded(Head(version=1, nonce="another")), folded(Head(version=9, nonce=head.nonce))):
            with pytest.raises(ValueError, match="history"):
                await journal.compact("s", expected=head, checkpoint=wrong, draft=draft())
        assert [event.version for event in (await found(journal, "s")).events] == [1, 2]

    async def test_compacting_is_an_access_and_leaves_the_end_of_life_alone(
        self, journal: Journal, clock: ManualClock
    ) -> None:
        head = await written(journal, clock, "s")
        clock.advance(10)
        await journal.touch("s", expires_at=clock() + 2 * LIFE_S)
        end = clock() + 2 * LIFE_S
        clock.advance(10)
        await journal.compact("s", expected=head, checkpoint=folded(head), draft=draft())
        chapter = await found(journal, "s")
        assert (chapter.accessed_at, chapter.expires_at) == (clock(), end)

    async def test_an_owner_holds_no_more_sessions_than_the_quota_and_others_are_not_affected(
        self, scant: Journal, clock: ManualClock
    ) -> None:
        heads = [await written(scant, clock, name) for name in ("a", "b", "c")]
        with pytest.raises(OverLimit, match="3 open sessions"):
            await written(scant, clock, "d")
        assert await scant.read("d") is None
        await scant.append("x", expected=None, drafts=[draft(actor="bob")], expires_at=clock() + LIFE_S)
        await scant.append("a", expected=heads[0], drafts=[draft()], expires_at=clock())
        await written(scant, clock, "d")
        assert set(await scant.sessions("ann")) == {"b", "c", "d"}

    async def test_an_owner_holds_no_more_events_than_the_quota(self, scant: Journal, clock: ManualClock) -> None:
        head = await written(scant, clock, "a", *[NOTHING] * 6)
        await written(scant, clock, "b", *[NOTHING] * 3)
        with pytest.raises(OverLimit, match="10 events"):
            await went_on(scant, clock, "a", head, {}, {})
        assert (await found(scant, "a")).head == head
        head = await went_on(scant, clock, "a", head)
        head = await scant.compact("a", expected=head, checkpoint=folded(head), draft=draft())
        await went_on(scant, clock, "a", head, *[NOTHING] * 6)

    async def test_an_owner_holds_no_more_bytes_than_the_quota(self, scant: Journal, clock: ManualClock) -> None:
        head = await written(scant, clock, "a", {"text": "x" * 1_500})
        with pytest.raises(OverLimit, match="2000 bytes"):
            await written(scant, clock, "b", {"text": "ü" * 300})
        assert await scant.sessions("ann") == ("a",)
        last = await scant.append("a", expected=head, drafts=[draft({"text": "x" * 1_500})], expires_at=clock())
        assert last.version == 2, "a session that ends is never refused for want of room"
        await written(scant, clock, "b", {"text": "ü" * 300})

    async def test_expired_sessions_are_not_held_against_their_owner(self, scant: Journal, clock: ManualClock) -> None:
        for name in ("a", "b", "c"):
            await written(scant, clock, name, {}, {}, {})
        clock.advance(LIFE_S)
        for name in ("d", "e", "f"):
            await written(scant, clock, name, {}, {}, {})
        assert set(await scant.sessions("ann")) == {"d", "e", "f"}

    async def test_who_asks_again_with_a_key_is_told_so_before_any_quota(
        self, scant: Journal, clock: ManualClock
    ) -> None:
        head = await scant.append("a", expected=None, drafts=[draft(key="once")], expires_at=clock() + LIFE_S)
        await written(scant, clock, "b")
        await written(scant, clock, "c")
        with pytest.raises(AlreadyOpened) as refused:
            await scant.append("d", expected=None, drafts=[draft(key="once")] * 20, expires_at=clock() + LIFE_S)
        assert refused.value.session_id == "a"
        with pytest.raises(VersionMoved):
            await scant.append("a", expected=None, drafts=[draft()] * 20, expires_at=clock() + LIFE_S)
        assert (await found(scant, "a")).head == head

    async def _race(
        self, journal: Journal, clock: ManualClock, session_id: str, *, expect_existing: bool
    ) -> tuple[list[int], list[VersionMoved]]:
        """All writers read before any of them writes."""
        won: list[int] = []
        lost: list[VersionMoved] = []
        looked: list[int] = []
        go = anyio.Event()

        async def write(writer: int) -> None:
            chapter = await journal.read(session_id)
            assert (chapter is not None) == expect_existing
            looked.append(writer)
            await go.wait()
            drafts = [draft({"writer": writer})]
            head = None if chapter is None else chapter.head
            try:
                await journal.append(session_id, expected=head, drafts=drafts, expires_at=clock() + LIFE_S)
            except VersionMoved as refusal:
                lost.append(refusal)
            else:
                won.append(writer)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for writer in range(_WRITERS):
                    tasks.start_soon(write, writer)
                while len(looked) < _WRITERS:
                    await anyio.lowlevel.checkpoint()
                go.set()
        return won, lost

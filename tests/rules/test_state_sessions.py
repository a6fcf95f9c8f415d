"""The session service on a journal in memory: handles, lives, keys, guards, bounds."""

from collections.abc import Awaitable
from collections.abc import Callable
from typing import Any
from typing import cast

import pytest

from state.errors import Conflict
from state.errors import InvalidValue
from state.errors import OverLimit
from state.errors import UnknownSession
from state.journal import Quota
from state.limits import Limits
from state.memory import MemoryJournal
from state.session import Session
from state.sessions import Sessions
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio
_LIMITS = Limits(events=8, session_bytes=4_000, value_bytes=1_500, findings=2, context=2, explored=2)


@pytest.fixture
def sessions(clock: ManualClock) -> Sessions:
    return Sessions(MemoryJournal(clock), clock=clock, ttl_s=100.0, max_ttl_s=1_000.0)


@pytest.fixture
def bounded(clock: ManualClock) -> Sessions:
    return Sessions(MemoryJournal(clock, quota=Quota(sessions=3)), clock=clock, limits=_LIMITS)


async def _context(sessions: Sessions, session: Session, key: str, value: object, expect: str | None = None) -> Session:
    return await sessions.remember(session.handle, principal="ann", kind="context", key=key, value=value, expect=expect)


async def _refusal(sessions: Sessions, handle: str, principal: str) -> str:
    with pytest.raises(UnknownSession) as refused:
        await sessions.get(handle, principal=principal)
    return str(refused.value)


async def test_handles_hold_128_random_bits_and_never_repeat(sessions: Sessions) -> None:
    handles = {(await sessions.open(principal=f"p{number % 10}")).handle for number in range(500)}
    assert len(handles) == 500
    assert all(len(handle) == 22 for handle in handles)


async def test_an_opened_session_is_what_was_asked_for(sessions: Sessions, clock: ManualClock) -> None:
    opened = await sessions.open(principal="ann", goal=" why late ", label="", ttl_s=50)
    assert (opened.owner, opened.label, opened.version) == ("ann", None, 1)
    assert [(goal.text, goal.status) for goal in opened.goals] == [("why late", "active")]
    assert (opened.created_at, opened.expires_at) == (clock(), clock() + 50)
    assert await sessions.get(opened.handle, principal="ann") == opened


async def test_unknown_foreign_expired_and_closed_handles_get_the_same_text(
    sessions: Sessions, clock: ManualClock
) -> None:
    expired = await sessions.open(principal="ann", ttl_s=1)
    closed = await sessions.open(principal="ann")
    mine = await sessions.open(principal="ann")
    await sessions.close(closed.handle, principal="ann")
    clock.advance(1)
    texts = {
        await _refusal(sessions, "no such handle", "ann"),
        await _refusal(sessions, mine.handle, "bob"),
        await _refusal(sessions, expired.handle, "ann"),
        await _refusal(sessions, closed.handle, "ann"),
    }
    assert len(texts) == 1
    assert "open_session" in texts.pop()


_Attempt = Callable[[Sessions, str], Awaitable[object]]

_FOREIGN: list[_Attempt] = [
    lambda sessions, handle: sessions.remember(handle, principal="bob", kind="finding", key=None, value=1),
    lambda sessions, handle: sessions.set_goal(handle, principal="bob", goal="mine now"),
    lambda sessions, handle: sessions.note_explored(handle, principal="bob", source="s", schema="t"),
    lambda sessions, handle: sessions.note_explored(handle, principal="bob", source="s", schema=None),
    lambda sessions, handle: sessions.close(handle, principal="bob"),
    lambda sessions, handle: sessions.open(principal="bob", parent=handle),
    lambda sessions, handle: sessions.open(principal="bob", branch_of=handle),
    lambda sessions, handle: sessions.histories.events(handle, principal="bob"),
    lambda sessions, handle: sessions.histories.as_of(handle, principal="bob", version=1),
    lambda sessions, handle: sessions.histories.version_at(handle, principal="bob", at=1e9),
    lambda sessions, handle: sessions.histories.verify(handle, principal="bob"),
    lambda sessions, handle: sessions.histories.restore(handle, principal="bob", to=1),
]


@pytest.mark.parametrize("number", range(len(_FOREIGN)))
async def test_no_call_reaches_another_principals_session(sessions: Sessions, number: int) -> None:
    mine = await sessions.open(principal="ann")
    with pytest.raises(UnknownSession):
        await _FOREIGN[number](sessions, mine.handle)
    assert await sessions.get(mine.handle, principal="ann") == mine
    assert await sessions.of(principal="bob", limit=10) == ()


async def test_every_use_moves_the_end_on_and_only_writes_make_events(sessions: Sessions, clock: ManualClock) -> None:
    opened = await sessions.open(principal="ann")
    for _ in range(5):
        clock.advance(60)
        seen = await sessions.get(opened.handle, principal="ann")
        assert (seen.last_access_at, seen.expires_at, seen.version) == (clock(), clock() + 100, 1)
    clock.advance(60)
    await sessions.note_explored(opened.handle, principal="ann", source="s", schema=None)
    clock.advance(60)
    assert (await _context(sessions, opened, "a", 1)).expires_at == clock() + 100
    clock.advance(100)
    await _refusal(sessions, opened.handle, "ann")


async def test_listing_shows_newest_access_first_and_keeps_nothing_alive(
    sessions: Sessions, clock: ManualClock
) -> None:
    first, second, third = [await sessions.open(principal="ann") for _ in range(3)]
    await sessions.open(principal="bob")
    clock.advance(60)
    await sessions.get(first.handle, principal="ann")
    await sessions.close(second.handle, principal="ann")
    listed = await sessions.of(principal="ann", limit=10)
    assert [each.handle for each in listed] == [first.handle, third.handle]
    assert listed[0].last_access_at == clock()
    assert [each.handle for each in await sessions.of(principal="ann", limit=1)] == [first.handle]
    clock.advance(40)
    assert [each.handle for each in await sessions.of(principal="ann", limit=10)] == [first.handle]


async def test_what_is_remembered_is_recalled(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann")
    await _context(sessions, opened, "region", {"name": "eu"})
    await sessions.remember(opened.handle, principal="ann", kind="preference", key="unit", value="ms")
    await sessions.remember(opened.handle, principal="ann", kind="finding", key=None, value="late", evidence="q1")
    seen = await sessions.get(opened.handle, principal="ann")
    assert seen.context["region"].value == {"name": "eu"}
    assert seen.preferences["unit"].value == "ms"
    assert [(each.value, each.evidence, each.version) for each in seen.findings] == [("late", "q1", 4)]


async def test_an_idempotency_key_of_a_write_gives_the_first_result_and_writes_nothing(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann", idempotency_key="k")

    async def finding(value: str, key: str) -> Session:
        return await sessions.remember(
            opened.handle, principal="ann", kind="finding", key=None, value=value, idempotency_key=key
        )

    first = await finding("one", "k")
    await finding("two", "other")
    again = await finding("three", "k")
    assert (again.version, again.etag, again.findings) == (first.version, first.etag, first.findings)
    seen = await sessions.get(opened.handle, principal="ann")
    assert [each.value for each in seen.findings] == ["one", "two"]


async def test_an_idempotency_key_opens_one_session_per_principal_while_it_lives(
    sessions: Sessions, clock: ManualClock
) -> None:
    first = await sessions.open(principal="ann", goal="a", idempotency_key="k")
    await sessions.set_goal(first.handle, principal="ann", status="done")
    again = await sessions.open(principal="ann", goal="b", idempotency_key="k")
    assert (again.handle, again.etag, again.goals) == (first.handle, first.etag, first.goals)
    assert (await sessions.open(principal="bob", idempotency_key="k")).handle != first.handle
    await sessions.close(first.handle, principal="ann")
    second = await sessions.open(principal="ann", idempotency_key="k")
    assert second.handle != first.handle
    clock.advance(100)
    assert (await sessions.open(principal="ann", idempotency_key="k")).handle != second.handle


async def test_an_etag_conflicts_only_if_the_written_field_moved(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann")
    base = await _context(sessions, opened, "a", 1)
    moved = await _context(sessions, opened, "b", 1, expect=base.etag)
    assert (await _context(sessions, opened, "a", 2, expect=base.etag)).context["a"].value == 2
    with pytest.raises(Conflict) as refused:
        await _context(sessions, opened, "b", 2, expect=base.etag)
    now = await sessions.get(opened.handle, principal="ann")
    assert refused.value.fields == ("context.b",)
    assert refused.value.etag == now.etag
    assert now.context["b"].value == 1
    await sessions.remember(opened.handle, principal="ann", kind="preference", key="b", value=1, expect=moved.etag)
    await sessions.remember(opened.handle, principal="ann", kind="finding", key=None, value=1, expect=base.etag)


async def test_an_etag_guards_goals_and_keyed_findings(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann", goal="a")

    async def finding(expect: str) -> Session:
        return await sessions.remember(opened.handle, principal="ann", kind="finding", key="f", value=1, expect=expect)

    await finding(opened.etag)
    with pytest.raises(Conflict) as refused:
        await finding(opened.etag)
    assert refused.value.fields == ("finding.f",)
    await sessions.set_goal(opened.handle, principal="ann", goal="b", expect=opened.etag)
    with pytest.raises(Conflict) as refused:
        await sessions.set_goal(opened.handle, principal="ann", status="done", expect=opened.etag)
    assert refused.value.fields == ("goal",)


@pytest.mark.parametrize(
    "shape", ["{v}-forged", "9-{n}", "0-{n}", "-{n}", "{n}", "", "x", "¹-{n}", "9" * 5_000, "-1-{n}"]
)
async def test_an_etag_that_was_never_handed_out_is_a_conflict_that_says_so(sessions: Sessions, shape: str) -> None:
    opened = await sessions.open(principal="ann")
    now = await _context(sessions, opened, "a", 1)
    version, nonce = opened.etag.split("-")
    with pytest.raises(Conflict, match="never") as refused:
        await _context(sessions, opened, "new", 1, expect=shape.format(v=version, n=nonce))
    assert (refused.value.etag, refused.value.fields) == (now.etag, ())


async def test_an_etag_of_another_session_is_a_conflict(sessions: Sessions) -> None:
    one, other = await sessions.open(principal="ann"), await sessions.open(principal="ann")
    with pytest.raises(Conflict, match="never"):
        await _context(sessions, one, "a", 1, expect=other.etag)


async def test_setting_a_goal_that_holds_already_writes_nothing(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann", goal="a")
    assert (await sessions.set_goal(opened.handle, principal="ann", goal=" a ")).version == 1
    assert (await sessions.set_goal(opened.handle, principal="ann", status="active")).version == 1
    done = await sessions.set_goal(opened.handle, principal="ann", status="done")
    assert [(goal.status, goal.progress) for goal in done.goals] == [("done", 1.0)]
    reopened = await sessions.set_goal(opened.handle, principal="ann", goal="g1", status="active")
    assert (reopened.goals[0].closed_at, reopened.version) == (None, 3)


async def test_looking_again_at_what_is_known_writes_nothing(sessions: Sessions, clock: ManualClock) -> None:
    opened = await sessions.open(principal="ann")

    async def note(*attributes: str) -> Session:
        clock.advance(1)
        await sessions.note_explored(opened.handle, principal="ann", source="s", schema="t", attributes=attributes)
        return await sessions.get(opened.handle, principal="ann")

    assert (await note()).version == 2
    assert (await note()).version == 2
    seen = await note("b", "a", "b")
    assert (seen.version, seen.explored[0].attributes, seen.explored[0].last_at) == (3, ("b", "a"), clock())
    again = await note("a")
    assert (again.version, again.explored) == (3, seen.explored)
    assert again.last_access_at == clock()
    assert (await note("c", "a")).explored[0].attributes == ("b", "a", "c")


_NONSENSE: list[_Attempt] = [
    lambda sessions, handle: sessions.remember(handle, principal="ann", kind="context", key=" ", value=1),
    lambda sessions, handle: sessions.remember(handle, principal="ann", kind=cast("Any", "gossip"), key="a", value=1),
    lambda sessions, handle: sessions.set_goal(handle, principal="ann"),
    lambda sessions, handle: sessions.set_goal(handle, principal="ann", goal=" ", status="done"),
    lambda sessions, handle: sessions.set_goal(handle, principal="ann", goal="a", status=cast("Any", "paused")),
    lambda sessions, handle: sessions.note_explored(handle, principal="ann", source="s", schema="\ud800"),
    lambda sessions, handle: sessions.close(handle, principal="ann", merge="child_wins"),
    lambda sessions, _handle: sessions.open(principal="ann", ttl_s=1_001),
]


@pytest.mark.parametrize("number", range(len(_NONSENSE)))
async def test_what_makes_no_sense_is_refused_and_leaves_no_event(sessions: Sessions, number: int) -> None:
    opened = await sessions.open(principal="ann")
    with pytest.raises(InvalidValue):
        await _NONSENSE[number](sessions, opened.handle)
    assert sessions.statistics().events == 1


async def test_open_sessions_are_bounded_per_principal(bounded: Sessions) -> None:
    opened = [await bounded.open(principal="ann") for _ in range(3)]
    with pytest.raises(OverLimit, match="close_session"):
        await bounded.open(principal="ann")
    await bounded.open(principal="bob")
    await bounded.close(opened[0].handle, principal="ann")
    await bounded.open(principal="ann")


async def test_keys_and_findings_are_bounded_but_known_ones_can_be_rewritten(bounded: Sessions) -> None:
    opened = await bounded.open(principal="ann")
    for key in ("a", "b", "a"):
        await _context(bounded, opened, key, 1)
    with pytest.raises(OverLimit, match="2 context keys"):
        await _context(bounded, opened, "c", 1)
    for key in (None, "f", "f"):
        await bounded.remember(opened.handle, principal="ann", kind="finding", key=key, value=1)
    with pytest.raises(OverLimit, match="2 findings"):
        await bounded.remember(opened.handle, principal="ann", kind="finding", key=None, value=1)


async def test_old_events_are_compacted_when_there_are_many_and_nothing_that_is_known_is_lost(
    bounded: Sessions,
) -> None:
    busy = await bounded.open(principal="ann", goal="why")
    await bounded.remember(busy.handle, principal="ann", kind="finding", key=None, value="early", idempotency_key="k")
    for number in range(100):
        await _context(bounded, busy, "a", number)
    seen = await bounded.get(busy.handle, principal="ann")
    assert (seen.context["a"].value, [each.value for each in seen.findings]) == (99, ["early"])
    assert seen.compacted_version > 80
    kept = await bounded.histories.events(busy.handle, principal="ann")
    assert [each.version for each in kept] == list(range(seen.compacted_version + 1, seen.version + 1))
    assert len(kept) <= 9
    assert (await bounded.histories.verify(busy.handle, principal="ann")).ok
    again = await bounded.remember(
        busy.handle, principal="ann", kind="finding", key=None, value="again", idempotency_key="k"
    )
    assert [each.value for each in again.findings] == ["early"]
    with pytest.raises(InvalidValue, match=f"from {seen.compacted_version} to {seen.version}"):
        await bounded.histories.as_of(busy.handle, principal="ann", version=2)
    await bounded.histories.as_of(busy.handle, principal="ann", version=seen.compacted_version)


async def test_bytes_are_compacted_too_and_bounded_where_that_does_not_help(bounded: Sessions) -> None:
    large = await bounded.open(principal="ann")
    for number in range(20):
        await _context(bounded, large, "a", f"{number}" + "x" * 1_000)
    assert (await bounded.get(large.handle, principal="ann")).compacted_version > 10

    async def fill() -> None:
        for number in range(20):
            await _context(bounded, large, "ab"[number % 2], "x" * 1_400)

    with pytest.raises(OverLimit, match="parent"):
        await fill()
    await bounded.close(large.handle, principal="ann")
    assert bounded.statistics().sessions == 0


async def test_explored_schemas_are_bounded_but_known_ones_grow(bounded: Sessions) -> None:
    opened = await bounded.open(principal="ann")
    for schema in ("t", "u"):
        await bounded.note_explored(opened.handle, principal="ann", source="s", schema=schema)
    with pytest.raises(OverLimit, match="2 explored"):
        await bounded.note_explored(opened.handle, principal="ann", source="s", schema="v")
    await bounded.note_explored(opened.handle, principal="ann", source="s", schema="t", attributes=("a",))


async def test_statistics_count_open_sessions_and_their_events(sessions: Sessions, clock: ManualClock) -> None:
    opened = await sessions.open(principal="ann")
    await sessions.open(principal="bob")
    await _context(sessions, opened, "a", 1)
    assert (sessions.statistics().sessions, sessions.statistics().events) == (2, 3)
    clock.advance(102)
    assert (sessions.statistics().sessions, sessions.statistics().events) == (0, 0)


async def test_a_session_ends_at_its_greatest_age_however_much_it_is_used(clock: ManualClock) -> None:
    sessions = Sessions(MemoryJournal(clock), clock=clock, ttl_s=100.0, max_age_s=250.0)
    opened = await sessions.open(principal="ann")
    for _ in range(4):
        clock.advance(60)
        await sessions.get(opened.handle, principal="ann")
    assert (await sessions.get(opened.handle, principal="ann")).expires_at == opened.created_at + 250
    await _context(sessions, opened, "a", 1)
    clock.advance(10)
    await _refusal(sessions, opened.handle, "ann")


async def test_a_conversation_finds_its_session_again_for_the_same_principal_only(
    sessions: Sessions, clock: ManualClock
) -> None:
    first = await sessions.open(principal="ann", goal="a", conversation="c")
    again = await sessions.open(principal="ann", goal="b", conversation="c")
    assert (again.handle, [each.text for each in again.goals]) == (first.handle, ["a", "b"])
    assert (await sessions.open(principal="ann", conversation="c")).version == again.version
    others = [
        await sessions.open(principal="bob", conversation="c"),
        await sessions.open(principal="ann", conversation="d"),
        await sessions.open(principal="ann", conversation="c", label="another"),
        await sessions.open(principal="ann", conversation="c", parent=first.handle),
        await sessions.open(principal="ann", conversation="c", branch_of=first.handle),
        await sessions.open(principal="ann", conversation="c", idempotency_key="k"),
    ]
    assert len({first.handle, *(each.handle for each in others)}) == 7
    assert (await sessions.open(principal="ann", conversation="c", label="another")).handle == others[2].handle
    await sessions.close(first.handle, principal="ann")
    assert (await sessions.open(principal="ann", conversation="c")).handle not in {first.handle, others[2].handle}
    clock.advance(100)
    assert (await sessions.open(principal="ann", conversation="c", label="another")).handle != others[2].handle


async def test_an_earlier_state_is_restored_and_that_can_be_undone(sessions: Sessions) -> None:
    opened = await sessions.open(principal="ann", goal="why")
    early = await _context(sessions, opened, "a", 1)
    await _context(sessions, opened, "b", 2)
    late = await sessions.set_goal(opened.handle, principal="ann", status="done")
    back = await sessions.histories.restore(opened.handle, principal="ann", to=early.version)
    assert ({key: each.value for key, each in back.context.items()}, back.goals[0].status) == ({"a": 1}, "active")
    assert back.version == late.version + 1
    again = await sessions.histories.restore(opened.handle, principal="ann", to=early.version)
    assert again.version == back.version
    undone = await sessions.histories.restore(opened.handle, principal="ann", to=late.version)
    assert ({key: each.value for key, each in undone.context.items()}, undone.goals[0].status) == (
        {"a": 1, "b": 2},
        "done",
    )
    assert (await sessions.histories.verify(opened.handle, principal="ann")).ok


async def test_a_write_guarded_by_an_etag_from_before_a_restore_conflicts_where_the_restore_removed_something(
    sessions: Sessions,
) -> None:
    opened = await sessions.open(principal="ann")
    await _context(sessions, opened, "kept", 1)
    base = await _context(sessions, opened, "removed", 1)
    await sessions.histories.restore(opened.handle, principal="ann", to=2)
    with pytest.raises(Conflict, match=r"context\.removed"):
        await _context(sessions, opened, "removed", 2, expect=base.etag)
    await _context(sessions, opened, "kept", 2, expect=base.etag)


async def test_a_branch_begins_with_what_was_known_at_a_version_and_goes_its_own_way(sessions: Sessions) -> None:
    origin = await sessions.open(principal="ann", goal="why")
    await sessions.remember(origin.handle, principal="ann", kind="finding", key=None, value="early")
    then = await _context(sessions, origin, "a", 1)
    await _context(sessions, origin, "a", 2)
    branch = await sessions.open(
        principal="ann", goal="why", branch_of=origin.handle, branch_version=then.version, label="what if"
    )
    assert (branch.branch_of, branch.branch_version, branch.version) == (origin.handle, then.version, 1)
    assert (branch.context["a"].value, [each.text for each in branch.goals]) == (1, ["why"])
    await sessions.remember(branch.handle, principal="ann", kind="finding", key=None, value="late")
    await sessions.close(origin.handle, principal="ann")
    seen = await sessions.get(branch.handle, principal="ann")
    assert [each.value for each in seen.findings] == ["early", "late"]
    with pytest.raises(UnknownSession):
        await sessions.open(principal="bob", branch_of=branch.handle)
    with pytest.raises(InvalidValue, match="from 1 to 2"):
        await sessions.open(principal="ann", branch_of=branch.handle, branch_version=9)


async def test_the_version_at_an_instant_is_the_newest_not_later(sessions: Sessions, clock: ManualClock) -> None:
    opened = await sessions.open(principal="ann")
    clock.advance(10)
    await _context(sessions, opened, "a", 1)
    at = sessions.histories.version_at
    assert await at(opened.handle, principal="ann", at=clock() - 0.1) == 1
    assert await at(opened.handle, principal="ann", at=clock()) == 2
    assert await at(opened.handle, principal="ann", at=clock() + 1e9) == 2
    with pytest.raises(InvalidValue, match="later"):
        await at(opened.handle, principal="ann", at=clock() - 11)

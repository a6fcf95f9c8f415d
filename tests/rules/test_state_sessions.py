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
from state.limits import Limits
from state.memory import MemoryJournal
from state.session import Session
from state.sessions import Sessions
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio
_LIMITS = Limits(sessions=3, events=8, session_bytes=2_000, value_bytes=1_500, findings=2, context=2, explored=2)


@pytest.fixture
def sessions(clock: ManualClock) -> Sessions:
    return Sessions(MemoryJournal(clock), clock=clock, ttl_s=100.0, max_ttl_s=1_000.0)


@pytest.fixture
def bounded(clock: ManualClock) -> Sessions:
    return Sessions(MemoryJournal(clock), clock=clock, limits=_LIMITS)


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


async def test_events_and_bytes_are_bounded_but_closing_always_works(bounded: Sessions) -> None:
    busy, large = await bounded.open(principal="ann"), await bounded.open(principal="ann")
    for number in range(7):
        await _context(bounded, busy, "a", number)
    with pytest.raises(OverLimit, match="8 events"):
        await _context(bounded, busy, "a", 9)
    await _context(bounded, large, "a", "x" * 1_400)
    await _context(bounded, large, "a", "x" * 1_400)
    with pytest.raises(OverLimit, match="2000 bytes"):
        await _context(bounded, large, "a", "x")
    for session in (busy, large):
        await bounded.close(session.handle, principal="ann")
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

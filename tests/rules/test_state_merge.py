"""A child session and what it gives back: the laws of every strategy, and nothing that gets lost in silence."""

import json
from typing import Any
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import merge
from state.errors import InvalidValue
from state.errors import UnknownSession
from state.layers import Layers
from state.memory import MemoryJournal
from state.session import Finding
from state.session import Kept
from state.session import Session
from state.sessions import Sessions
from state.strategies import Strategy
from tests.conftest import ManualClock

_FORKED_AT = 5
_VALUES = st.recursive(
    st.sampled_from([None, True, 1, 0, False, "x"]),
    lambda inner: st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
_KEYS = st.sampled_from(["k", "l", "m"])
_INSTANTS = st.sampled_from([1.0, 2.0, 3.0])
_PARENT_KEPT = st.builds(Kept, value=_VALUES, at=_INSTANTS, version=st.integers(1, 9))
_CHILD_KEPT = st.builds(Kept, value=_VALUES, at=_INSTANTS, version=st.integers(1, 4))
_STRATEGIES = st.sampled_from(get_args(Strategy))


def _finding(number: int, key: str | None, value: Any, at: float) -> Finding:
    return Finding(id=f"f{number}", key=key, value=value, evidence=None, at=at, version=number)


_FINDINGS = st.lists(st.tuples(st.none() | _KEYS, _VALUES, _INSTANTS), max_size=4).map(
    lambda made: tuple(
        _finding(number, key, value, at)
        for number, (key, value, at) in enumerate(made, start=2)
        if key is None or key not in [later for later, _, _ in made[number - 1 :]]
    )
)


def _session(handle: str, context: dict[str, Kept], findings: tuple[Finding, ...]) -> Session:
    return Session(
        handle=handle,
        owner="ann",
        label=None,
        ttl_s=60.0,
        context=Layers(dict(context)),
        findings_by_place=Layers({each.place: each for each in findings}),
        parent_version=_FORKED_AT,
        created_at=0.0,
        moved_at=0.0,
        last_access_at=0.0,
        expires_at=60.0,
        version=9,
        etag="9-x",
    )


_PARENTS = st.builds(_session, st.just("parent"), st.dictionaries(_KEYS, _PARENT_KEPT), _FINDINGS)
_CHILDREN = st.builds(_session, st.just("child"), st.dictionaries(_KEYS, _CHILD_KEPT), _FINDINGS)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _written(parent: Session, outcome: merge.Merged) -> Session:
    """The parent after the merge, by a second way than folding."""
    context = dict(parent.context)
    findings = {each.key or each.id: each for each in parent.findings}
    for export in outcome.exports:
        body = export.body
        assert export.kind != "explored"
        if export.kind == "finding":
            made = Finding(
                id=body["id"], key=body.get("key"), value=body["value"], evidence=None, at=body["at"], version=10
            )
            findings[made.key or made.id] = made
        else:
            context[body["key"]] = Kept(value=body["value"], at=body["at"], version=10)
    return _session("parent", context, tuple(findings.values()))


@given(_PARENTS, _CHILDREN, _STRATEGIES)
def test_what_the_child_changed_is_in_the_parent_or_in_the_report(
    parent: Session, child: Session, strategy: Strategy
) -> None:
    outcome = merge.merge(parent, child, strategy)
    after = _written(parent, outcome)
    reported = {(each["key"], _text(each["child"])) for each in outcome.conflicts}
    for key, kept in child.context.items():
        there = after.context.get(key)
        arrived = there is not None and _text(there.value) == _text(kept.value)
        assert kept.version == 1 or arrived or (f"context.{key}", _text(kept.value)) in reported
    values = [_text(each.value) for each in after.findings]
    for each in child.findings:
        assert _text(each.value) in values or (f"finding.{each.key}", _text(each.value)) in reported


@given(_PARENTS, _CHILDREN, _STRATEGIES)
def test_what_the_parent_wrote_since_the_fork_is_still_there_or_in_the_report(
    parent: Session, child: Session, strategy: Strategy
) -> None:
    outcome = merge.merge(parent, child, strategy)
    after = _written(parent, outcome)
    reported = {(each["key"], _text(each["parent"])) for each in outcome.conflicts}
    for key, kept in parent.context.items():
        same = _text(after.context[key].value) == _text(kept.value)
        assert same or kept.version <= _FORKED_AT or (f"context.{key}", _text(kept.value)) in reported
    values = [_text(each.value) for each in after.findings]
    for each in parent.findings:
        assert _text(each.value) in values or (f"finding.{each.key}", _text(each.value)) in reported


@given(_PARENTS, _CHILDREN, _STRATEGIES)
def test_merging_again_exports_nothing(parent: Session, child: Session, strategy: Strategy) -> None:
    after = _written(parent, merge.merge(parent, child, strategy))
    # What the merge wrote counts as written since the fork, as it does in a real parent.
    assert merge.merge(after, child, strategy).exports == ()


@given(_PARENTS, _CHILDREN, _STRATEGIES)
def test_what_is_kept_of_a_conflict_is_in_the_parent_afterwards(
    parent: Session, child: Session, strategy: Strategy
) -> None:
    outcome = merge.merge(parent, child, strategy)
    after = _written(parent, outcome)
    findings = {each.key: each.value for each in after.findings}
    for conflict in outcome.conflicts:
        kind, key = conflict["key"].split(".")
        kept = after.context[key].value if kind == "context" else findings[key]
        assert _text(kept) == _text(conflict["kept"])
        if strategy != "merge_objects":
            assert _text(kept) in (_text(conflict["parent"]), _text(conflict["child"]))


@given(_PARENTS, _CHILDREN, _STRATEGIES)
def test_only_what_both_sides_changed_since_the_fork_collides(
    parent: Session, child: Session, strategy: Strategy
) -> None:
    outcome = merge.merge(parent, child, strategy)
    both = {
        f"context.{key}"
        for key, kept in child.context.items()
        if kept.version > 1 and key in parent.context and parent.context[key].version > _FORKED_AT
    }
    collided = [each["key"] for each in outcome.conflicts if each["key"].startswith("context.")]
    assert set(collided) <= both
    assert all(_text(each["parent"]) != _text(each["child"]) for each in outcome.conflicts)


def test_one_and_true_are_different_values() -> None:
    parent = _session("parent", {"k": Kept(value=1, at=1.0, version=9)}, ())
    child = _session("child", {"k": Kept(value=True, at=1.0, version=2)}, ())
    assert len(merge.merge(parent, child, "child_wins").conflicts) == 1


@pytest.fixture
def sessions(clock: ManualClock) -> Sessions:
    return Sessions(MemoryJournal(clock), clock=clock, ttl_s=100.0)


async def _set(sessions: Sessions, session: Session, key: str, value: Any) -> None:
    await sessions.remember(session.handle, principal="ann", kind="context", key=key, value=value)


@pytest.mark.anyio
async def test_a_child_starts_with_what_its_parent_is_at_and_works_alone(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann", goal="open")
    await sessions.set_goal(parent.handle, principal="ann", goal="closed")
    await sessions.set_goal(parent.handle, principal="ann", goal="closed", status="done")
    await _set(sessions, parent, "k", 1)
    await sessions.remember(parent.handle, principal="ann", kind="preference", key="p", value=2)
    child = await sessions.open(principal="ann", goal="own", parent=parent.handle)
    assert [goal.text for goal in child.goals] == ["open", "own"]
    assert (child.context["k"].value, child.preferences["p"].value) == (1, 2)
    assert (child.parent, child.level) == (parent.handle, 2)
    await _set(sessions, child, "k", 9)
    seen = await sessions.get(parent.handle, principal="ann")
    assert (seen.children, seen.context["k"].value) == ((child.handle,), 1)


@pytest.mark.anyio
async def test_closing_a_child_with_a_strategy_exports_findings_and_changes(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann")
    for key in ("untouched", "changed", "both"):
        await _set(sessions, parent, key, 0)
    child = await sessions.open(principal="ann", parent=parent.handle)
    await _set(sessions, child, "changed", 1)
    await _set(sessions, child, "both", {"c": 1})
    await _set(sessions, parent, "both", {"p": 1})
    await sessions.remember(child.handle, principal="ann", kind="finding", key=None, value="seen", evidence="q")
    closed = await sessions.close(child.handle, principal="ann", merge="merge_objects")
    seen = await sessions.get(parent.handle, principal="ann")
    assert closed.exported == 3
    assert list(closed.conflicts) == [
        {"key": "context.both", "parent": {"p": 1}, "child": {"c": 1}, "kept": {"p": 1, "c": 1}}
    ]
    assert {key: kept.value for key, kept in seen.context.items()} == {
        "untouched": 0,
        "changed": 1,
        "both": {"p": 1, "c": 1},
    }
    assert [(each.value, each.evidence) for each in seen.findings] == [("seen", "q")]
    with pytest.raises(UnknownSession):
        await sessions.get(child.handle, principal="ann")


@pytest.mark.anyio
async def test_closing_a_child_without_a_strategy_exports_nothing(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann")
    child = await sessions.open(principal="ann", parent=parent.handle)
    await _set(sessions, child, "k", 1)
    closed = await sessions.close(child.handle, principal="ann")
    assert (closed.exported, closed.conflicts) == (0, ())
    assert dict((await sessions.get(parent.handle, principal="ann")).context) == {}


@pytest.mark.anyio
async def test_a_child_whose_parent_is_gone_stays_open_when_asked_to_merge(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann")
    child = await sessions.open(principal="ann", parent=parent.handle)
    await sessions.close(parent.handle, principal="ann")
    with pytest.raises(InvalidValue, match="parent is not open"):
        await sessions.close(child.handle, principal="ann", merge="child_wins")
    await sessions.close(child.handle, principal="ann")


@pytest.mark.anyio
async def test_sessions_nest_three_levels_deep(sessions: Sessions) -> None:
    handle = (await sessions.open(principal="ann")).handle
    for _ in range(2):
        handle = (await sessions.open(principal="ann", parent=handle)).handle
    with pytest.raises(InvalidValue, match="3 levels"):
        await sessions.open(principal="ann", parent=handle)


@pytest.mark.anyio
async def test_a_manual_merge_leaves_both_values_to_be_seen_until_somebody_chooses(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann")
    await _set(sessions, parent, "k", 0)
    child = await sessions.open(principal="ann", parent=parent.handle)
    await _set(sessions, parent, "k", "ours")
    await _set(sessions, child, "k", "theirs")
    await _set(sessions, child, "free", 1)
    closed = await sessions.close(child.handle, principal="ann", merge="manual")
    assert (closed.exported, closed.left_open) == (1, 1)
    seen = await sessions.get(parent.handle, principal="ann")
    assert (seen.context["k"].value, seen.context["free"].value) == ("ours", 1)
    (left,) = seen.conflicts
    assert (left.kind, left.key, left.parent, left.child) == ("context", "k", "ours", "theirs")
    assert left.child_session == child.handle
    await _set(sessions, parent, "other", 1)
    assert (await sessions.get(parent.handle, principal="ann")).conflicts == (left,)
    await _set(sessions, parent, "k", "theirs")
    assert (await sessions.get(parent.handle, principal="ann")).conflicts == ()


@pytest.mark.anyio
async def test_what_a_child_explored_is_known_to_its_parent_afterwards(sessions: Sessions) -> None:
    parent = await sessions.open(principal="ann")
    await sessions.note_explored(parent.handle, principal="ann", source="s", schema="t", attributes=("a",))
    child = await sessions.open(principal="ann", parent=parent.handle)
    for schema in ("t", "u"):
        await sessions.note_explored(child.handle, principal="ann", source="s", schema=schema, attributes=("a", "b"))
    closed = await sessions.close(child.handle, principal="ann", merge="keep_latest")
    assert closed.exported == 0
    seen = await sessions.get(parent.handle, principal="ann")
    assert {each.schema: each.attributes for each in seen.explored} == {"t": ("a", "b"), "u": ("a", "b")}


@pytest.mark.anyio
async def test_what_follows_something_is_later_than_it_however_wrong_a_clock_is(clock: ManualClock) -> None:
    """Two processes over one journal: the clock of one is an hour ahead."""
    journal = MemoryJournal(clock)
    ahead = Sessions(journal, clock=lambda: clock() + 3_600, ttl_s=10_000.0)
    behind = Sessions(journal, clock=clock, ttl_s=10_000.0)
    parent = await behind.open(principal="ann")
    child = await behind.open(principal="ann", parent=parent.handle)
    await _set(ahead, child, "k", "wrong")
    clock.advance(1)
    await _set(behind, child, "k", "right")
    await _set(behind, parent, "k", "before anybody knew")
    closed = await behind.close(child.handle, principal="ann", merge="keep_latest")
    assert [each["kept"] for each in closed.conflicts] == ["right"]


@pytest.mark.anyio
async def test_using_a_child_keeps_the_sessions_above_it_alive(sessions: Sessions, clock: ManualClock) -> None:
    top = await sessions.open(principal="ann")
    middle = await sessions.open(principal="ann", parent=top.handle)
    lowest = await sessions.open(principal="ann", parent=middle.handle)
    for _ in range(4):
        clock.advance(60)
        await sessions.get(lowest.handle, principal="ann")
    await sessions.close(lowest.handle, principal="ann", merge="child_wins")
    await sessions.close(middle.handle, principal="ann", merge="child_wins")
    assert (await sessions.get(top.handle, principal="ann")).handle == top.handle

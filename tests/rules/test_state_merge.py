"""A child session and what it gives back: the laws of every strategy, and nothing that gets lost in silence."""

import json
from types import MappingProxyType
from typing import Any
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import merge
from state.errors import InvalidValue
from state.errors import UnknownSession
from state.memory import MemoryJournal
from state.merge import Strategy
from state.session import Finding
from state.session import Kept
from state.session import Session
from state.sessions import Sessions
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
        context=MappingProxyType(context),
        findings=findings,
        parent_version=_FORKED_AT,
        created_at=0.0,
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


@given(_VALUES, _VALUES, _INSTANTS, _INSTANTS)
def test_each_strategy_keeps_what_its_name_says(ours: Any, theirs: Any, our_at: float, their_at: float) -> None:
    parent, child = Kept(value=ours, at=our_at, version=1), Kept(value=theirs, at=their_at, version=1)
    assert merge.resolve("parent_wins", parent, child) == ours
    assert merge.resolve("child_wins", parent, child) == theirs
    assert merge.resolve("keep_latest", parent, child) == (ours if our_at > their_at else theirs)
    joined = merge.resolve("merge_objects", parent, child)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert set(joined) == set(ours) | set(theirs)  # pyright: ignore[reportUnknownArgumentType] - any JSON
    else:
        assert joined == (ours if our_at > their_at else theirs)


def test_objects_are_joined_at_every_depth() -> None:
    parent = Kept(value={"a": {"x": 1, "y": 1}, "b": 1}, at=1.0, version=1)
    child = Kept(value={"a": {"y": 2, "z": 2}, "c": 2}, at=2.0, version=1)
    assert merge.resolve("merge_objects", parent, child) == {"a": {"x": 1, "y": 2, "z": 2}, "b": 1, "c": 2}


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

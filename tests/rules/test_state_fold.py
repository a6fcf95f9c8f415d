"""A session is a fold of its events: the laws of that, over any history."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import checkpoint
from state import fold
from state.journal import Event
from state.session import Session

_KEYS = st.sampled_from(["a", "b", "é"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=2),
    max_leaves=4,
)
_IDS = st.sampled_from(["g1", "g2", "g9"])
_STATES: list[dict[str, Any]] = [
    {"goals": [], "context": {}, "preferences": {}, "findings": [], "explored": [], "conflicts": []},
    {
        "goals": [{"id": "g1", "text": "t", "status": "done", "opened_at": 1.0, "closed_at": 2.0, "version": 2}],
        "context": {"a": {"value": [1], "at": 1.5, "version": 2}},
        "preferences": {"b": {"value": None, "at": 1.5, "version": 3}},
        "findings": [{"id": "f2", "key": "a", "value": 1, "evidence": None, "at": 2.0, "version": 2}],
        "explored": [{"source": "a", "schema": "b", "attributes": ["x"], "last_at": 2.0}],
        "conflicts": [],
    },
]
_CHANGES = st.one_of(
    st.tuples(st.just(fold.FINDING), st.fixed_dictionaries({"value": _JSON}, optional={"key": _KEYS})),
    st.tuples(st.sampled_from([fold.CONTEXT, fold.PREFERENCE]), st.fixed_dictionaries({"key": _KEYS, "value": _JSON})),
    st.tuples(st.just(fold.GOAL_OPENED), st.fixed_dictionaries({"text": st.text(max_size=3)})),
    st.tuples(
        st.just(fold.GOAL_MOVED),
        st.fixed_dictionaries({"id": _IDS, "status": st.sampled_from(["active", "done", "dropped"])}),
    ),
    st.tuples(
        st.just(fold.EXPLORED),
        st.fixed_dictionaries({"source": _KEYS, "schema": _KEYS, "attributes": st.lists(_KEYS, max_size=3)}),
    ),
    st.tuples(st.just(fold.CHILD_OPENED), st.fixed_dictionaries({"child": _KEYS})),
    st.tuples(st.sampled_from([fold.MERGED, fold.CLOSED, "from_the_future"]), st.dictionaries(_KEYS, _JSON)),
    st.tuples(
        st.just(fold.MERGED),
        st.fixed_dictionaries(
            {
                "child": st.just("c"),
                "open": st.lists(
                    st.fixed_dictionaries(
                        {
                            "kind": st.sampled_from(["finding", "context", "preference"]),
                            "key": _KEYS,
                            "parent": _JSON,
                            "child": _JSON,
                        }
                    ),
                    max_size=2,
                    unique_by=lambda each: (each["kind"], each["key"]),
                ),
            }
        ),
    ),
    st.tuples(st.just(fold.COMPACTED), st.fixed_dictionaries({"through": st.integers(1, 5)})),
    st.tuples(st.just(fold.RESTORED), st.sampled_from([0, 1]).map(lambda place: {"to": 1, "state": _STATES[place]})),
)
_OPENING = {"handle": "h", "label": "l", "ttl_s": 60.0, "goals": ["first"], "context": {"a": 1}}


def _history(changes: Sequence[tuple[str, dict[str, Any]]]) -> list[Event]:
    whole = [(fold.OPENED, _OPENING), *changes]
    return [
        Event(
            version=version, nonce=f"n{version}", at=float(version), kind=kind, actor="ann", body=body, key=f"k{kind}"
        )
        for version, (kind, body) in enumerate(whole, start=1)
    ]


_HISTORIES = st.lists(_CHANGES, max_size=12).map(_history)
_UNRESTORED = st.lists(_CHANGES.filter(lambda change: change[0] != fold.RESTORED), max_size=12).map(_history)


@given(_HISTORIES, st.data())
def test_folding_all_is_folding_some_and_applying_the_rest_one_by_one(
    history: list[Event], chance: st.DataObject
) -> None:
    cut = chance.draw(st.integers(1, len(history)))
    session = fold.fold(history[:cut])
    for event in history[cut:]:
        session = fold.apply(session, event)
    assert session == fold.fold(history)


@given(_HISTORIES)
def test_the_version_is_the_number_of_events_and_the_etag_names_the_last(history: list[Event]) -> None:
    session = fold.fold(history)
    assert session.version == len(history)
    assert session.etag == f"{len(history)}-n{len(history)}"
    assert (session.created_at, session.last_access_at) == (1.0, float(len(history)))


@given(_HISTORIES)
def test_a_session_survives_its_events_being_written_as_json(history: list[Event]) -> None:
    texts = [json.dumps(asdict(event)) for event in history]
    assert fold.fold(Event(**json.loads(text)) for text in texts) == fold.fold(history)


@given(_HISTORIES)
def test_a_checkpoint_gives_the_session_back(history: list[Event]) -> None:
    session = fold.fold(history)
    assert checkpoint.decoded(checkpoint.encoded(session)) == session


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"format":2}', b'{"format":1}', b'{"format":1,"session":{},"state":{}}', b"\xff"]
)
def test_what_is_no_checkpoint_is_none(text: bytes) -> None:
    assert checkpoint.decoded(text) is None


def test_a_checkpoint_with_fields_of_a_later_release_is_read_without_them() -> None:
    session = _folded((fold.CONTEXT, {"key": "k", "value": 1}))
    later = json.loads(checkpoint.encoded(session))
    later["session"]["mood"] = "fine"
    later["state"]["context"]["k"]["colour"] = "red"
    del later["session"]["branch_version"]
    assert checkpoint.decoded(json.dumps(later).encode()) == session


@given(_HISTORIES)
def test_instants_and_versions_of_a_restored_state_say_when_each_field_last_moved(history: list[Event]) -> None:
    session = fold.fold(history)
    whole = [*session.goals, *session.findings, *session.context.values(), *session.preferences.values()]
    assert all(1 <= each.version <= session.version for each in whole)
    last = max((event.version for event in history if event.kind == fold.RESTORED), default=0)
    assert session.restored_version == last


def test_a_field_that_a_restore_leaves_as_it_is_has_not_moved() -> None:
    before = _folded((fold.CONTEXT, {"key": "k", "value": 1}), (fold.CONTEXT, {"key": "l", "value": 1}))
    then = fold.apply(before, Event(version=4, nonce="n", at=4.0, kind=fold.CONTEXT, actor="ann", body=_NEW_L))
    restored = {"to": 3, "state": checkpoint.state_of(before)}
    after = fold.apply(then, Event(version=5, nonce="n", at=5.0, kind=fold.RESTORED, actor="ann", body=restored))
    assert {key: (each.value, each.version) for key, each in after.context.items()} == {
        "a": (1, 1),
        "k": (1, 2),
        "l": (1, 5),
    }


_NEW_L = {"key": "l", "value": 2}


def test_a_conflict_is_open_until_its_field_is_written() -> None:
    told = {"kind": "context", "key": "k", "parent": 1, "child": 2}
    left = _folded((fold.CONTEXT, {"key": "k", "value": 1}), (fold.MERGED, {"child": "c", "open": [told]}))
    assert [(each.key, each.parent, each.child, each.version) for each in left.conflicts] == [("k", 1, 2, 3)]
    other = Event(version=4, nonce="n", at=4.0, kind=fold.PREFERENCE, actor="ann", body={"key": "k", "value": 1})
    still = fold.apply(left, other)
    assert still.conflicts == left.conflicts
    settled = Event(version=5, nonce="n", at=5.0, kind=fold.CONTEXT, actor="ann", body={"key": "k", "value": 2})
    assert fold.apply(still, settled).conflicts == ()


@given(_HISTORIES)
def test_folding_changes_no_event(history: list[Event]) -> None:
    before = [json.dumps(asdict(event)) for event in history]
    fold.fold(history)
    assert [json.dumps(asdict(event)) for event in history] == before


@given(_UNRESTORED)
def test_what_is_kept_is_the_newest_of_each_field(history: list[Event]) -> None:
    """Checked against the events read backwards, a second way to the same answer."""
    session = fold.fold(history)
    for kind, kept in ((fold.CONTEXT, session.context), (fold.PREFERENCE, session.preferences)):
        newest = {event.body["key"]: event for event in history if event.kind == kind}
        for key, event in newest.items():
            assert (kept[key].value, kept[key].version) == (event.body["value"], event.version)
    versions = [finding.version for finding in session.findings]
    assert versions == sorted(versions)
    for finding in session.findings:
        later = history[finding.version :]
        assert finding.key is None or all(
            event.body.get("key") != finding.key for event in later if event.kind == fold.FINDING
        )


@given(_UNRESTORED)
def test_explored_attributes_are_the_union_of_all_looks(history: list[Event]) -> None:
    looks = [event.body for event in history if event.kind == fold.EXPLORED]
    for each in fold.fold(history).explored:
        seen = [
            set(look["attributes"]) for look in looks if (look["source"], look["schema"]) == (each.source, each.schema)
        ]
        assert set(each.attributes) == set[str]().union(*seen)
        assert len(set(each.attributes)) == len(each.attributes)


def _folded(*changes: tuple[str, dict[str, Any]]) -> Session:
    return fold.fold(_history(changes))


def test_an_event_of_an_unknown_kind_counts_and_changes_nothing_else() -> None:
    plain, newer = _folded(), _folded(("from_the_future", {"anything": 1}))
    assert newer.version == plain.version + 1
    assert (newer.goals, newer.context, newer.findings) == (plain.goals, plain.context, plain.findings)


def test_a_finding_with_a_known_key_supersedes_and_goes_last() -> None:
    session = _folded(
        (fold.FINDING, {"key": "a", "value": 1}),
        (fold.FINDING, {"value": 2}),
        (fold.FINDING, {"key": "a", "value": 3, "evidence": "q"}),
    )
    assert [(each.id, each.key, each.value, each.evidence) for each in session.findings] == [
        ("f3", None, 2, None),
        ("f4", "a", 3, "q"),
    ]


def test_a_finding_without_a_key_never_meets_one_whose_key_is_its_id() -> None:
    session = _folded((fold.FINDING, {"value": 1}), (fold.FINDING, {"key": "f2", "value": 2}))
    assert [each.value for each in session.findings] == [1, 2]


def test_the_key_a_session_was_opened_with_is_free_for_its_writes() -> None:
    assert dict(_folded().keys) == {}
    assert dict(_folded((fold.CLOSED, {}), (fold.CLOSED, {})).keys) == {"kclosed": 2}


def test_what_is_inherited_has_the_version_of_the_opening() -> None:
    session = _folded()
    assert (session.context["a"].value, session.context["a"].version) == (1, 1)
    assert [(goal.id, goal.text, goal.status, goal.version) for goal in session.goals] == [("g1", "first", "active", 1)]


@pytest.mark.parametrize("versions", [[2], [1, 3], [1, 1], []], ids=str)
def test_a_history_with_a_missing_version_is_refused(versions: list[int]) -> None:
    whole = _history([(fold.CLOSED, {}), (fold.CLOSED, {})])
    with pytest.raises(ValueError, match=r"version|begins"):
        fold.fold(whole[version - 1] for version in versions)


def test_the_mappings_of_a_session_cannot_be_written() -> None:
    session = _folded()
    for mapping in (session.context, session.preferences, session.keys):
        assert not hasattr(mapping, "__setitem__")

"""What a session holds as one document, and the difference of two: applied to one, it gives the other."""

import json
from dataclasses import replace
from typing import Any
from typing import cast

import jsonpatch  # pyright: ignore[reportMissingTypeStubs] - ships none
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.document import document
from state.fold import fold
from state.journal import Event
from state.patch import difference
from state.session import OpenConflict
from state.session import Session

_NAMES = st.sampled_from(["a", "b", "", "a/b", "~", "~1", "~01", "0", "-", "é"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 0.0, 1.0, -1]) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(_NAMES, _JSON, max_size=5)


def same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def applied(patch: list[dict[str, Any]], before: Any) -> Any:
    apply = cast("Any", jsonpatch).apply_patch
    return apply(before, patch)


def session(*changes: tuple[str, dict[str, Any]]) -> Session:
    opening = ("opened", {"handle": "h", "label": None, "ttl_s": 60.0, "goals": ["why?"]})
    return fold(
        Event(version=version, nonce="n", at=float(version), kind=kind, actor="ann", body=body)
        for version, (kind, body) in enumerate((opening, *changes), start=1)
    )


@given(_OBJECTS, _OBJECTS)
def test_the_difference_applied_to_one_document_gives_the_other(before: Any, after: Any) -> None:
    assert same(applied(difference(before, after), before), after)


@given(_JSON, _OBJECTS)
def test_a_document_of_another_shape_is_replaced_as_a_whole(before: Any, after: Any) -> None:
    patch = difference(before, after)
    assert same(applied(patch, before), after)


@given(_JSON)
def test_equal_documents_differ_in_nothing(value: Any) -> None:
    assert difference(value, json.loads(json.dumps(value))) == []


@given(_OBJECTS, _OBJECTS)
def test_no_operation_is_idle_and_none_touches_what_another_one_touched(before: Any, after: Any) -> None:
    patch = difference(before, after)
    for left_out in range(len(patch)):
        rest = patch[:left_out] + patch[left_out + 1 :]
        assert not same(applied(rest, before), after)
    assert same(applied(patch[::-1], before), after)


PATCHES: list[tuple[Any, Any, Any]] = [
    ({"a": 1}, {"a": 1, "b": {}}, [{"op": "add", "path": "/b", "value": {}}]),
    ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, [{"op": "remove", "path": "/a/b"}]),
    ({"a": [1, 2]}, {"a": [2]}, [{"op": "replace", "path": "/a", "value": [2]}]),
    ({"a/b": {"~": 1}}, {"a/b": {"~": True}}, [{"op": "replace", "path": "/a~1b/~0", "value": True}]),
    ({"": 0}, {"": None}, [{"op": "replace", "path": "/", "value": None}]),
    ({}, [], [{"op": "replace", "path": "", "value": []}]),
]


@pytest.mark.parametrize(("before", "after", "patch"), PATCHES)
def test_operations_are_written_as_the_standards_say(before: Any, after: Any, patch: Any) -> None:
    assert difference(before, after) == patch


def test_the_document_holds_what_the_session_holds() -> None:
    held = session(
        ("goal_moved", {"id": "g1", "status": "done"}),
        ("context", {"key": "month", "value": {"year": 2013}}),
        ("preference", {"key": "units", "value": "minutes"}),
        ("finding", {"value": "EV is late", "evidence": "select 1"}),
        ("finding", {"key": "worst", "value": None}),
        ("explored", {"source": "duckdb", "schema": "flights", "attributes": ["carrier", "dep_delay"]}),
    )
    assert document(held) == {
        "goals": {"g1": {"text": "why?", "status": "done"}},
        "context": {"month": {"year": 2013}},
        "preferences": {"units": "minutes"},
        "findings": {"f5": {"value": "EV is late", "evidence": "select 1"}, "worst": {"key": "worst", "value": None}},
        "explored": {"duckdb/flights": ["carrier", "dep_delay"]},
        "conflicts": {},
    }


def test_a_finding_stays_in_its_place_when_a_later_one_supersedes_it() -> None:
    first = ("finding", {"key": "worst", "value": "EV"})
    second = ("finding", {"key": "worst", "value": "FL"})
    assert difference(document(session(first)), document(session(first, second))) == [
        {"op": "replace", "path": "/findings/worst/value", "value": "FL"}
    ]


def test_writing_the_same_again_changes_nothing() -> None:
    change = ("context", {"key": "a", "value": [1]})
    assert document(session(change)) == document(session(change, change))


def test_no_key_can_take_the_place_of_an_id_or_of_another_key() -> None:
    keys = ["f2", "key:f2", "key:key:f2", "0123abcd.f2", "f2 ", "x"]
    findings = [("finding", {"value": 0}), *(("finding", {"key": key, "value": key}) for key in keys)]
    held = document(session(*findings))["findings"]
    assert len(held) == len(findings)
    assert held["f2"] == {"value": 0}
    assert held["x"] == {"key": "x", "value": "x"}


def test_schemas_of_sources_with_a_slash_in_their_name_are_told_apart() -> None:
    places = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c")]
    bodies: list[dict[str, Any]] = [{"source": source, "schema": schema, "attributes": []} for source, schema in places]
    seen = [("explored", body) for body in bodies]
    assert len(document(session(*seen))["explored"]) == len(places)


def test_conflicts_stand_under_the_field_they_are_about() -> None:
    left_open = OpenConflict(kind="context", key="a.b", parent=1, child=2, child_session="c", at=1.0, version=2)
    held = document(replace(session(), conflicts=(left_open,)))
    assert held["conflicts"] == {"context.a.b": {"parent": 1, "child": 2, "child_session": "c"}}

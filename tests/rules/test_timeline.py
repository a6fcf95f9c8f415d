"""A summary of an event is short, printable and true, whatever kind and shape the event has."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import fold
from state.journal import Event
from state.timeline import SUMMARY_CHARS
from state.timeline import summary

KINDS = (
    *(fold.OPENED, fold.FINDING, fold.CONTEXT, fold.PREFERENCE, fold.GOAL_OPENED, fold.GOAL_MOVED),
    *(fold.EXPLORED, fold.CHILD_OPENED, fold.MERGED, fold.CLOSED),
    *(fold.RESTORED, fold.COMPACTED, "salvaged", "forgotten", "from_the_future"),
)
HANDLE = "kV9tQ0mZb3xR7yLw2cNf5A"


def event(kind: str, body: dict[str, Any]) -> Event:
    return Event(version=2, nonce="n", at=1.0, kind=kind, actor="ann", body=body)


SENTENCES: list[tuple[str, dict[str, Any], str]] = [
    ("opened", {"goals": ["first", "why late?"]}, "Opened with the goal “why late?”."),
    ("opened", {"goals": [], "label": "late"}, "Opened as “late”."),
    ("opened", {"goals": [], "label": None}, "Opened."),
    ("opened", {"goals": [], "parent": HANDLE}, f"Opened as a child of {HANDLE}."),
    (
        "opened",
        {"goals": [], "branch_of": HANDLE, "branch_version": 7},
        f"Opened as a branch of {HANDLE} at version 7.",
    ),
    ("finding", {"value": "EV is late", "evidence": "select 1"}, "Found: “EV is late”."),
    ("finding", {"key": "worst", "value": {"carrier": "EV"}}, 'Found worst: {"carrier": "EV"} (no evidence).'),
    ("context", {"key": "month", "value": 1}, "Set context month to 1."),
    ("preference", {"key": "units", "value": None}, "Set preference units to null."),
    ("goal_opened", {"text": "a\nb"}, "Opened the goal “a b”."),
    ("goal_moved", {"id": "g1", "status": "done"}, "Goal g1 is done now."),
    (
        "explored",
        {"source": "duckdb", "schema": "flights", "attributes": ["a", "b", "c", "d", "e"]},
        "Looked at duckdb/flights: a, b, c and 2 more.",
    ),
    ("explored", {"source": "duckdb", "schema": "flights", "attributes": []}, "Looked at duckdb/flights."),
    ("child_opened", {"child": HANDLE}, f"Opened the child session {HANDLE}."),
    (
        "merged",
        {"child": HANDLE, "strategy": "child_wins", "exported": 1, "conflicts": []},
        f"Took 1 value from child {HANDLE} by child_wins.",
    ),
    (
        "merged",
        {"child": HANDLE, "strategy": "manual", "exported": 3, "conflicts": [{}, {}]},
        f"Took 3 values from child {HANDLE} by manual, 2 conflicts left open.",
    ),
    ("closed", {}, "Closed."),
    ("restored", {"to": 3, "state": {}}, "Restored the state of version 3."),
    ("compacted", {"through": 40}, "Dropped the events up to version 40 for good; their outcome is kept."),
    (
        "salvaged",
        {"from": "journal.db.damaged", "lost_after": 9, "lost": 2},
        "Salvaged from a damaged file: 2 events after version 9 lost.",
    ),
    (
        "salvaged",
        {"from": "journal.db.damaged", "lost_after": 9, "lost": None},
        "Salvaged from a damaged file: an unknown number of events after version 9 lost.",
    ),
    ("forgotten", {"events": 12}, "Forgot the content of 12 events on request."),
    ("from_the_future", {"x": 1}, "An event of a kind that is not known here: from_the_future."),
]


@pytest.mark.parametrize(("kind", "body", "told"), SENTENCES)
def test_each_kind_of_event_has_its_sentence(kind: str, body: dict[str, Any], told: str) -> None:
    assert summary(event(kind, body)) == told


def test_long_values_are_cut_where_it_shows() -> None:
    told = summary(event("finding", {"value": "late " * 1_000, "evidence": "x"}))
    assert told.startswith("Found: “late late")
    assert told.endswith("…”.")
    assert len(told) <= 60


def test_many_long_names_are_cut_too() -> None:
    body = {"source": "s" * 90, "schema": "t" * 90, "attributes": ["a" * 90, "b" * 90, "c" * 90, "d"]}
    told = summary(event("explored", body))
    assert len(told) == SUMMARY_CHARS
    assert told.endswith("…")


def test_what_could_steer_a_terminal_is_left_out() -> None:
    told = summary(event("goal_opened", {"text": "\x1b[2Jred\u202e\x00 \u2028line\u200b \ud800end"}))
    assert told == "Opened the goal “[2Jred line end”."


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_MEMBERS = st.sampled_from(
    [
        *("goals", "label", "parent", "branch_of", "branch_version", "key", "value", "evidence", "text", "id"),
        *("status", "source", "schema", "attributes", "child", "strategy", "exported", "conflicts", "to", "through"),
        *("lost", "lost_after", "events"),
    ]
)


@given(st.sampled_from(KINDS) | st.text(), st.dictionaries(_MEMBERS, _JSON))
def test_whatever_the_event_holds_its_summary_is_one_short_printable_sentence(kind: str, body: dict[str, Any]) -> None:
    told = summary(event(kind, body))
    assert 0 < len(told) <= SUMMARY_CHARS
    assert told.isprintable()
    assert told.endswith((".", "…"))

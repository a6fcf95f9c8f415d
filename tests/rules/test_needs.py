"""A goal's text becomes terms, terms meet schemas, and what was seen or found verifies them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.protocol import AttributeWords
from state.goals import Goal
from state.layers import Layers
from state.session import Explored
from state.session import Finding
from state.session import Session
from tools.needs import Need
from tools.needs import needs
from tools.needs import share_verified
from tools.needs import terms
from tools.needs import verified
from tools.relevance import Document
from tools.relevance import Index
from tools.session_answers import goal_shown

FLIGHTS = Index(
    [
        Document(
            source="s",
            name="flights",
            attributes=("month", "dep_delay", "arr_delay", "carrier", "origin", "air_time", "flight_id"),
            values=(AttributeWords(attribute="origin", values=("EWR", "JFK")),),
        ),
        Document(source="s", name="airlines", attributes=("carrier", "name")),
        Document(
            source="s",
            name="stops",
            attributes=("stop_id", "stop_name"),
            values=(AttributeWords(attribute="stop_name", values=("Palm Cove Terminus", "Pier")),),
        ),
    ]
)
EMPTY = Session(
    handle="h",
    owner="me",
    label=None,
    ttl_s=60.0,
    created_at=0.0,
    moved_at=0.0,
    last_access_at=0.0,
    expires_at=60.0,
    version=1,
    etag="1-a",
)
GOAL = Goal(id="g1", text="late flights", status="active", opened_at=0.0, version=1)


def met(text: str) -> dict[str, str | None]:
    """Each term with the best of what meets it; None: nothing does."""
    return {
        need.term.text: ".".join(filter(None, (need.meetings[0].schema, need.meetings[0].attribute)))
        if need.meetings
        else None
        for need in needs(text, FLIGHTS)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Which carriers have the worst delays?", [("carriers", "name"), ("delays", "name")]),
        ("show dep_delay by carrier", [("dep_delay", "name"), ("carrier", "name")]),
        ("the customer's orders", [("customer", "name"), ("orders", "name")]),
        ('stops called "Palm Cove"', [("stops", "name"), ("called", "name"), ("Palm Cove", "value")]),
        ("buses to Palm Cove", [("buses", "name"), ("Palm Cove", "value")]),
        (
            "in January 2013, on 2013-01-05, last week",
            [("January", "condition"), ("2013", "condition"), ("2013-01-05", "condition"), ("week", "condition")],
        ),
        ("delays, Delay and DELAYED", [("delays", "name")]),
        ("How many are there on average?", []),
        ("", []),
    ],
)
def test_a_text_is_broken_into_what_it_names_and_its_conditions(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(term.text, term.kind) for term in terms(text)] == expected


@given(st.text(max_size=200))
def test_any_text_has_terms_that_come_from_it(text: str) -> None:
    found = terms(text)
    assert len(found) <= 24
    assert all(term.text in text and term.words for term in found)
    assert 0.0 <= share_verified(needs(text, FLIGHTS)) <= 1.0


def test_terms_meet_schemas_attributes_and_values() -> None:
    assert met("departure delays of flights by carrier from JFK to Palm Cove by camel") == {
        "departure delays": "flights.dep_delay",
        "flights": "flights",
        "carrier": "flights.carrier",
        "JFK": "flights.origin",
        "Palm Cove": "stops.stop_name",
        "camel": None,
    }


def test_a_condition_is_needed_only_where_something_meets_it() -> None:
    assert met("delays per month in 2013") == {"delays": "flights.dep_delay", "month": "flights.month"}


def test_an_id_is_met_only_when_nothing_else_is() -> None:
    assert met("airlines")["airlines"] == "airlines"
    assert met("flight")["flight"] == "flights"


def explored(schema: str, *attributes: str) -> Session:
    return replace(
        EMPTY,
        explored_by_schema=Layers(
            {
                ("s", schema): Explored(source="s", schema=schema, attributes=attributes, last_at=1.0),
            }
        ),
    )


def found(value: object, evidence: str | None = None) -> Session:
    finding = Finding(id="f2", key=None, value=value, evidence=evidence, at=1.0, version=2)
    return replace(EMPTY, findings_by_place=Layers({finding.place: finding}))


@pytest.mark.parametrize(
    ("session", "settled"),
    [
        (EMPTY, set[str]()),
        (explored("flights"), set[str]()),
        (explored("flights", "carrier"), {"flights", "carrier"}),
        (explored("flights", "dep_delay", "carrier"), {"departure delays", "flights", "carrier"}),
        (explored("stops", "stop_id"), set[str]()),
        (found("EV is late", "select avg(dep_delay) from x"), {"departure delays"}),
        (found({"carriers": ["EV"]}), {"carrier"}),
        (found("nothing of the kind"), set[str]()),
    ],
)
def test_what_was_measured_or_found_verifies_a_need(session: Session, settled: set[str]) -> None:
    checked = verified(needs("departure delays of flights by carrier", FLIGHTS), session)
    assert {need.term.text for need in checked if need.is_verified} == settled
    assert share_verified(checked) == pytest.approx(len(settled) / 3)


def test_progress_is_the_verified_share_and_whole_only_when_done() -> None:
    half = verified(needs("carrier and Palm Cove", FLIGHTS), explored("flights", "carrier"))
    whole = tuple(replace(need, is_verified=True) for need in half)
    assert goal_shown(GOAL).progress == 0.0
    assert goal_shown(GOAL, half).progress == 0.5
    assert goal_shown(GOAL, whole).progress == 0.95
    assert goal_shown(replace(GOAL, status="done"), half).progress == 1.0
    assert goal_shown(GOAL, ()).progress == 0.0


def test_a_goal_is_shown_with_what_it_needs_in_bounds() -> None:
    text = " and ".join(f"zebra{letter}" for letter in "abcdefghijkl") + " by origin"
    shown = goal_shown(GOAL, needs(text, FLIGHTS))
    assert shown.needs is not None
    assert [(each.term, each.met_by, each.verified) for each in shown.needs] == [("origin", "flights.origin", False)]
    assert shown.unmet is not None
    assert len(shown.unmet) == 8
    assert goal_shown(GOAL, needs(text, FLIGHTS), listed=False).needs is None
    assert goal_shown(replace(GOAL, status="dropped"), ()).unmet is None


def test_meetings_say_how_sure_they_are() -> None:
    (need,) = needs("late", FLIGHTS)
    assert isinstance(need, Need)
    assert {each.attribute for each in need.open_meetings} == {"dep_delay", "arr_delay"}
    assert all(0.3 <= each.score <= 1.0 for each in need.meetings)

"""A shape says what an answer looks like, and nothing of what is in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.newrelic.shapes import OTHER
from sources.newrelic.shapes import at
from sources.newrelic.shapes import shape
from sources.newrelic.shapes import shown_key


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "boolean"),
        (3, "number"),
        (2.5, "number"),
        (0, "zero"),
        ("text", "string"),
        ("", "empty string"),
        ([], "[]"),
        ([1, 0, 2], "[number]"),
        ([{"count": 1}, {"count": 2, "facet": "x"}], "[{count: number, facet?: string}]"),
        ({"percentile.timestamp": {"50": 1, "95": None}}, "{percentile.timestamp: {50: number, 95: null}}"),
        ({"count": 1, "customer.name": "x"}, f"{{{OTHER}: string, count: number}}"),
        ([{"facet": ["a", "b"]}, 3], "[{facet: [string]} | number]"),
    ],
)
def test_shapes_are_short_and_name_kinds(value: object, shown: str) -> None:
    assert shape(value) == shown


@pytest.mark.parametrize(
    "key", ["appName", "average.salary", "uniques.customer", "count.secret", "1234567", "Transaction"]
)
def test_keys_that_may_be_names_of_the_owner_are_not_shown(key: str) -> None:
    assert shown_key(key) == OTHER


_SECRET = st.text("QZ7#", min_size=3, max_size=8)
_JSON = st.recursive(
    _SECRET | st.integers(10**6) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_SECRET, inner, max_size=4),
    max_leaves=20,
)


@given(value=_JSON)
def test_nothing_of_an_answer_is_in_its_shape(value: Any) -> None:
    shown = shape(value)
    assert not set("QZ7#123456") & set(shown)
    assert "Q" not in json.dumps(shown)


def test_places_that_are_not_there_hold_nothing() -> None:
    assert at({"a": {"b": 1}}, "a", "b") == 1
    assert at({"a": [1]}, "a", "b") is None
    assert at(None, "a") is None

"""Names are split into words and ranked by how well they fit a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.names import nearest
from tools.names import did_you_mean
from tools.relevance import rank
from tools.relevance import words

TABLES = {
    "flights": ("flights", "dep_delay", "arr_delay", "carrier", "tailnum", "origin", "dest"),
    "weather": ("weather", "origin", "temp", "humid", "wind_speed"),
    "planes": ("planes", "tailnum", "manufacturer", "model", "seats"),
    "airlines": ("airlines", "carrier", "name"),
}


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("dep_delay", ["dep", "delay"]),
        ("OrderDetails", ["order", "detail"]),
        ("HTTPServerErrors", ["http", "server", "error"]),
        ("Order Details", ["order", "detail"]),
        ("cities", ["city"]),
        ("status", ["status"]),
        ("address2", ["address", "2"]),
        ("größe", ["grösse"]),
        ("which of the flights", ["flight"]),
        ("", []),
    ],
)
def test_identifiers_become_words(text: str, split: list[str]) -> None:
    assert list(words(text)) == split


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("Which carriers have the worst departure delays?", "flights"),
        ("wind and temperature at the origin", "weather"),
        ("how many seats does each plane model have", "planes"),
        ("name of an airline", "airlines"),
    ],
)
def test_the_table_that_answers_the_question_comes_first(question: str, best: str) -> None:
    scores = rank(question, TABLES)
    assert max(scores, key=lambda name: scores[name]) == best
    assert scores[best] == 1.0


def test_a_question_without_a_shared_word_scores_nothing() -> None:
    assert set(rank("zebra", TABLES).values()) == {0.0}


@given(question=st.text(), documents=st.dictionaries(st.text(), st.lists(st.text()), max_size=8))
def test_scores_stay_between_nothing_and_one(question: str, documents: dict[str, list[str]]) -> None:
    scores = rank(question, documents)
    assert scores.keys() == documents.keys()
    assert all(0.0 <= score <= 1.0 for score in scores.values())


def test_a_wrong_case_or_a_slip_finds_the_name() -> None:
    assert nearest("FLIGHTS", TABLES)[0] == "flights"
    assert nearest("fligths", TABLES)[0] == "flights"
    assert did_you_mean(nearest("fligths", TABLES)).startswith(' Did you mean "flights"')


def test_nothing_alike_suggests_nothing() -> None:
    assert did_you_mean(nearest("xyzzy", TABLES)) == ""

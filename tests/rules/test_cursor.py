"""Cursors are bound to the question they were made for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cursor import make_cursor
from tools.cursor import read_cursor
from tools.errors import InvalidArgument

QUESTION = ("describe", "duckdb", "flights", None, "brief")


@given(offset=st.integers(0, 10**9), fingerprint=st.text())
def test_a_cursor_leads_back_to_its_place(offset: int, fingerprint: str) -> None:
    cursor = make_cursor(offset, question=QUESTION, fingerprint=fingerprint)
    place = read_cursor(cursor, question=QUESTION, fingerprint=fingerprint)
    assert (place.offset, place.moved) == (offset, False)


def test_no_cursor_is_the_start() -> None:
    assert read_cursor(None, question=QUESTION, fingerprint="a").offset == 0


def test_a_change_between_two_pages_is_noticed() -> None:
    cursor = make_cursor(5, question=QUESTION, fingerprint="before")
    assert read_cursor(cursor, question=QUESTION, fingerprint="after").moved


def test_a_cursor_of_another_question_is_refused() -> None:
    cursor = make_cursor(5, question=QUESTION, fingerprint="a")
    with pytest.raises(InvalidArgument, match="same arguments"):
        read_cursor(cursor, question=("other",), fingerprint="a")


@given(cursor=st.one_of(st.text(max_size=60), st.from_regex(r"[A-Za-z0-9_-]{0,60}", fullmatch=True)))
def test_any_made_up_cursor_is_refused_with_a_remedy(cursor: str) -> None:
    with pytest.raises(InvalidArgument, match="same arguments"):
        read_cursor(cursor, question=QUESTION, fingerprint="a")

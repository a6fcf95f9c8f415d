"""Whatever text comes in, reading it takes steps by its length, and ends in a statement or in `NrqlError`.

Promise: a statement is untrusted; none stops the server, or holds it up.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from sources.nrql.bound import bounded
from sources.nrql.bound import window_ms
from sources.nrql.check import checked
from sources.nrql.errors import NrqlError
from sources.nrql.errors import caret
from sources.nrql.parse import parse
from sources.nrql.text import printed
from sources.nrql.tokens import LONGEST
from sources.nrql.tree import Statement
from tests.rules.nrql_trees import ODD
from tests.rules.nrql_trees import TYPICAL

NOW_MS = 1_767_225_600_000
KNOWN = {
    "Transaction": {"duration": "numeric", "name": "string", "error": "boolean"},
    "T": {"a": "string", "b": "numeric"},
}
PIECES = (
    *" ".join((*TYPICAL, *ODD)).split(),
    "(",
    ")",
    ",",
    "'",
    "`",
    "/*",
    "--",
    "\\",
    "-",
    "9" * 30,
)


def taken_through(text: str) -> None:
    """All that is done with a statement before it is sent; anything but `NrqlError` gets out."""
    statement = _read(text)
    if isinstance(statement, NrqlError):
        assert 0 <= statement.position <= len(text)
        assert statement.reason
        assert len(str(statement)) < 500
        assert caret(text, statement.position).count("\n") == 1
        return
    again = printed(statement)
    assert parse(again) == statement
    checked(statement, event_types=("Transaction", "Log"), attributes=KNOWN)
    bounded(statement, since_ms=1, until_ms=2, limit=3)
    with suppress(NrqlError):
        window_ms(statement, now_ms=NOW_MS, default_ms=1)


def _read(text: str) -> Statement | NrqlError:
    try:
        return parse(text)
    except NrqlError as fault:
        return fault


@given(st.text(max_size=200))
@example("SELECT a FROM T SINCE '0000-01-01'")
@example("SELECT a FROM T SINCE 99999999999999999999 days ago")
@example("SELECT a FROM T SINCE '2026-01-31 [../../etc/passwd]' WITH TIMEZONE '\x00'")
@example("SELECT a FROM T LIMIT ²")
@example("SELECT ٣ FROM T")
def test_any_text_is_a_statement_or_refused(text: str) -> None:
    taken_through(text)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_any_sequence_of_known_words_is_a_statement_or_refused(text: str) -> None:
    taken_through(text)
    taken_through(f"SELECT {text} FROM T")
    taken_through(f"SELECT a FROM T WHERE {text}")


@given(st.sampled_from((*TYPICAL, *ODD)), st.data())
def test_a_statement_with_something_gone_or_doubled_is_a_statement_or_refused(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.sampled_from(("", text[start:end] * 2, *PIECES))) + text[end:]
    taken_through(text)


SHAPES: dict[str, Callable[[int], str]] = {
    "sums": lambda n: "SELECT " + "a+" * n + "a FROM T",
    "conditions": lambda n: "SELECT a FROM T WHERE " + "a = 1 AND " * n + "b",
    "lists": lambda n: "SELECT a FROM T WHERE a IN (" + "1," * n + "1)",
    "columns": lambda n: "SELECT " + "count(*) AS 'x'," * n + "a FROM T",
    "open parentheses": lambda n: "SELECT a FROM T WHERE " + "(" * n,
    "closed parentheses": lambda n: "SELECT a FROM T WHERE " + ")" * n,
    "functions": lambda n: "SELECT " + "f(" * n,
    "negations": lambda n: "SELECT a FROM T WHERE " + "NOT " * n,
    "nested": lambda n: "SELECT a FROM " + "(SELECT a FROM " * n,
    "spaces": lambda n: "SELECT" + " " * n + "a FROM T",
    "comments": lambda n: "SELECT a " + "/**/" * n + "FROM T",
    "an open comment of stars": lambda n: "SELECT a /*" + "*" * n,
    "lines of comments": lambda n: "SELECT a " + "--\n" * n + "FROM T",
    "escaped quotes": lambda n: "SELECT '" + "\\'" * n,
    "open quotes of both kinds": lambda n: "SELECT " + "'\"" * n + "'",
    "backticks": lambda n: "SELECT " + "`" * n,
    "colons": lambda n: "SELECT a" + ":" * n,
    "names of colons": lambda n: "SELECT a" + ":b" * n + " FROM T",
    "digits": lambda n: "SELECT " + "1" * n + " FROM T",
    "exponents": lambda n: "SELECT " + "1e" * n + " FROM T",
    "dots": lambda n: "SELECT " + "." * n + " FROM T",
    "clauses": lambda n: "SELECT a FROM T " + "SINCE 1 day ago " * n,
    "semicolons": lambda n: "SELECT a FROM T" + ";" * n,
    "indices": lambda n: "SELECT a" + "[0]" * n + " FROM T",
    "controls": lambda n: "\x00" * n,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_twice_the_text_takes_at_most_about_twice_the_steps(shape: Callable[[int], str]) -> None:
    most = 1
    while len(shape(most * 2)) <= LONGEST // 2:
        most *= 2
    few, many = _steps(shape(most)), _steps(shape(most * 2))
    assert many <= 2.2 * few + 400


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_hundred_thousand_characters_are_refused_unread(shape: Callable[[int], str]) -> None:
    text = shape(100_000)
    with pytest.raises(NrqlError, match="20,000"):
        parse(text)
    assert _steps(text) < 100


def _steps(text: str) -> int:
    """Calls that reading and writing make, those into C included."""
    count = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        with suppress(NrqlError):
            printed(parse(text))
    finally:
        sys.setprofile(before)
    return count

"""What was lately declared outdated: who is touched, and what must be assumed by who did not hear everything."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.changes import ResultsOutdated
from state.outdated import EVERYTHING
from state.outdated import KEPT
from state.outdated import Entry
from state.outdated import Heard
from state.outdated import placed
from state.outdated import read
from state.outdated import touches
from state.outdated import written

_TAGS = st.lists(st.text(max_size=5), max_size=3).map(tuple)
_CHANGES = st.builds(ResultsOutdated, tags=st.none() | _TAGS, pattern=st.none() | st.text(max_size=5))


def _entries(first: int, last: int, *, nonce: str = "n", tag: str = "t") -> list[Entry]:
    return [
        Entry(number=number, nonce=f"{nonce}{number}", change=ResultsOutdated(tags=(f"{tag}{number}",)))
        for number in range(first, last + 1)
    ]


def _heard(entries: Sequence[Entry]) -> Heard:
    heard = Heard()
    heard.take(entries, whole=True)
    return heard


@given(_CHANGES)
def test_a_change_is_read_as_it_was_written(change: ResultsOutdated) -> None:
    assert read(written(change)) == change


@pytest.mark.parametrize("text", ["x", "1", "[]", "[1,2]", '["a"]', "[null,3]", '{"tags":[]}', "[null"])
def test_what_nobody_can_read_may_concern_everything(text: str) -> None:
    assert read(text) == EVERYTHING
    assert read("") is None


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        (ResultsOutdated(), True),
        (ResultsOutdated(tags=()), False),
        (ResultsOutdated(tags=("b", "x")), True),
        (ResultsOutdated(tags=("x",)), False),
        (ResultsOutdated(pattern="?"), True),
        (ResultsOutdated(pattern="A"), False),
        (ResultsOutdated(tags=("x",), pattern="[ab]"), True),
    ],
)
def test_a_result_is_touched_by_its_tags(change: ResultsOutdated, *, touched: bool) -> None:
    assert touches(change, ("a", "b")) is touched


def test_only_what_came_after_a_load_outdates_it() -> None:
    heard = _heard(_entries(0, 5))
    assert not heard.outdates("5-n5", ("t5",))
    assert not heard.outdates("3-n3", ("t3", "t6"))
    assert heard.outdates("3-n3", ("t4",))
    assert heard.outdates("3-n3", ("t5",))


@pytest.mark.parametrize("under", ["", "x", "3-other", "9-n9", "-1-n", "3"])
def test_what_was_loaded_under_a_position_nobody_knows_is_outdated(under: str) -> None:
    assert _heard(_entries(0, 5)).outdates(under, ())
    assert not _heard(_entries(0, 5)).outdates("3-n3", ())


def test_no_more_than_is_needed_is_remembered() -> None:
    heard = _heard(_entries(0, 0))
    for number in range(1, 2 * KEPT):
        heard.take(_entries(number, number), whole=False)
    newest = 2 * KEPT - 1
    assert heard.position == f"{newest}-n{newest}"
    assert heard.outdates(f"{newest - KEPT - 1}-n{newest - KEPT - 1}", ())
    assert not heard.outdates(f"{newest - KEPT}-n{newest - KEPT}", ("none",))


def test_a_store_that_lost_its_newest_and_counts_on_is_not_mistaken_for_the_one_from_before() -> None:
    heard = _heard(_entries(0, 5))
    heard.take([*_entries(0, 4), *_entries(5, 6, nonce="other")], whole=True)
    assert heard.position == "6-other6"
    assert heard.outdates("5-n5", ())
    assert not heard.outdates("4-n4", ("t4",))


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    heard = _heard(_entries(0, 5))
    heard.take(_entries(0, 3), whole=True)
    heard.take(_entries(2, 4), whole=False)
    assert heard.position == "5-n5"
    assert heard.outdates("3-n3", ("t5",))


@pytest.mark.parametrize(
    ("position", "found"), [("12-ab-c", (12, "ab-c")), ("", (-1, "")), ("-1-x", (-1, "")), ("a-b", (-1, ""))]
)
def test_positions_are_taken_apart(position: str, found: tuple[int, str]) -> None:
    assert placed(position) == found

"""Pages of a history are whole and in order, states are cut at whole entries, and times mean versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.journal import Event
from tools.errors import InvalidArgument
from tools.history_parts import Window
from tools.history_parts import cut_changes
from tools.history_parts import cut_state
from tools.moments import instant_at
from tools.times import rfc3339
from tools.tokens import json_tokens


def events(first: int, last: int) -> tuple[Event, ...]:
    return tuple(
        Event(version=version, nonce="n", at=float(version), kind="context", actor="ann", body={})
        for version in range(first, last + 1)
    )


@given(
    ends=st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted),
    dropped=st.integers(0, 12),
    limit=st.integers(1, 7),
    oldest_first=st.booleans(),
)
def test_the_pages_of_a_window_hold_each_kept_event_once_and_in_order(
    *, ends: list[int], dropped: int, limit: int, oldest_first: bool
) -> None:
    whole = Window(after=ends[0], through=ends[1], oldest_first=oldest_first)
    seen: list[int] = []
    place = 0
    while len(seen) <= 30:
        window = whole.from_place(place)
        read = events(max(window.first_read(limit), dropped) + 1, 30)
        page = [each.version for each in window.page(read, limit)]
        seen += page
        if not page or not window.goes_on(page[-1], dropped):
            break
        place = page[-1]
    kept = list(range(max(ends[0], dropped) + 1, ends[1] + 1))
    assert seen == (kept if oldest_first else kept[::-1])


@pytest.mark.parametrize("place", [2**70, 31])
def test_a_place_outside_the_window_leaves_nothing_to_read_beyond_it(place: int) -> None:
    for oldest_first in (True, False):
        window = Window(after=3, through=9, oldest_first=oldest_first).from_place(place)
        assert 3 <= window.first_read(5) <= 9


_VALUES = st.text(max_size=60) | st.integers() | st.lists(st.text(max_size=9), max_size=9)
_STATES = st.fixed_dictionaries({part: st.dictionaries(st.text(max_size=4), _VALUES) for part in ("goals", "context")})


@given(_STATES, st.integers(0, 120))
def test_what_is_kept_of_a_state_fits_and_what_is_left_out_is_named(
    state: dict[str, dict[str, object]], budget: int
) -> None:
    cut = cut_state(state, budget)
    assert sum(json_tokens({name: value}) for part in cut.kept.values() for name, value in part.items()) <= budget
    named = [f"{part}/{name}" for part, entries in state.items() for name in entries if name not in cut.kept[part]]
    assert sorted(cut.left_out) == sorted(named)
    for part, entries in state.items():
        assert list(cut.kept[part].items()) == [pair for pair in entries.items() if pair[0] in cut.kept[part]]
    assert cut_state(state, 10**6).kept == state


def test_of_each_part_the_last_entries_are_kept_and_small_ones_behind_a_large_one() -> None:
    state = {"findings": {"f1": "old " * 9, "f2": "large " * 99, "f3": "new " * 9}}
    cut = cut_state(state, json_tokens({"f3": "new " * 9}) + 5)
    assert list(cut.kept["findings"]) == ["f3"]
    cut = cut_state(state, 60)
    assert list(cut.kept["findings"]) == ["f1", "f3"]
    assert cut.left_out == ("findings/f2",)


def test_changes_are_left_out_whole_and_named_by_their_place() -> None:
    changes = [{"op": "add", "path": f"/context/{name}", "value": "v " * size} for name, size in (("a", 999), ("b", 1))]
    cut = cut_changes(changes, 100)
    assert cut.kept == changes[1:]
    assert cut.told == "1 did not fit (context/a)"


def test_many_places_that_are_left_out_are_counted_and_the_first_named() -> None:
    cut = cut_state({"context": {f"{number} {'k' * 99}": 1 for number in range(9)}}, 0)
    assert cut.told.startswith("9 did not fit (context/8 kkk")
    assert cut.told.endswith("…, …)")
    assert len(cut.told) < 250


@given(st.floats(0, 4e9))
def test_an_event_is_found_by_the_time_it_is_shown_with(at: float) -> None:
    meant = instant_at(rfc3339(at), name="at")
    assert at <= meant < at + 0.001_001


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:01Z", 1.001),
        ("1970-01-01t00:00:01z", 1.001),
        ("1970-01-01T01:00:01+01:00", 1.001),
        ("1970-01-01", 0.001),
        ("1970-01-01 00:00:00.000250", 0.00025),
    ],
)
def test_times_are_read_in_the_forms_people_write(text: str, at: float) -> None:
    assert instant_at(text, name="at") == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("text", ["", "now", "1970-13-01", "1970-01-01T25:00Z", "²", "\x00"])
def test_what_is_no_time_is_refused_with_the_name_of_the_argument(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^since is "):
        instant_at(text, name="since")

"""What becomes of two values for one place: the laws of every strategy."""

import math
from typing import Any
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.strategies import OUTCOMES
from state.strategies import RESOLVE
from state.strategies import Stamped
from state.strategies import Strategy
from state.strategies import canonical
from state.strategies import keep_both
from state.strategies import keep_latest
from state.strategies import merge_objects
from state.strategies import stamp
from state.strategies import union

_VALUES = st.recursive(
    st.sampled_from([None, True, 1, 0, False, "x", 1.5]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=5,
)
_STAMPED = st.builds(Stamped, value=_VALUES, at=st.sampled_from([1.0, 2.0, 3.0]))
_LISTS = st.lists(_VALUES, max_size=4)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _same(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)


def test_every_strategy_has_a_rule_and_every_kind_of_field_an_outcome() -> None:
    assert set(RESOLVE) == set(get_args(Strategy))
    assert set(OUTCOMES.values()) <= {"keep_both", "keep_latest", "union"}


@pytest.mark.parametrize("join", [keep_latest, merge_objects])
@given(one=_STAMPED, other=_STAMPED)
def test_it_does_not_matter_which_value_comes_first(join: Any, one: Stamped, other: Stamped) -> None:
    there, back = join(one, other), join(other, one)
    assert (canonical(there.value), there.at) == (canonical(back.value), back.at)
    again = join(one, other)
    assert (canonical(again.value), again.at) == (canonical(there.value), there.at)


@given(_STAMPED, _STAMPED, _STAMPED)
def test_of_three_the_latest_is_kept_in_whatever_order_they_meet(a: Stamped, b: Stamped, c: Stamped) -> None:
    one, other = keep_latest(keep_latest(a, b), c), keep_latest(a, keep_latest(b, c))
    assert (canonical(one.value), one.at) == (canonical(other.value), other.at)
    assert one.at == max(a.at, b.at, c.at)


@given(_STAMPED, _STAMPED)
def test_joined_objects_have_every_key_of_both(one: Stamped, other: Stamped) -> None:
    joined = merge_objects(one, other).value
    if _is_object(one.value) and _is_object(other.value):
        assert set(joined) == set(one.value) | set(other.value)
    else:
        assert _same(joined, keep_latest(one, other).value)


def test_objects_are_joined_at_every_depth_and_the_later_value_wins_inside() -> None:
    early = Stamped(value={"a": {"x": 1, "y": 1}, "b": 1}, at=1.0)
    late = Stamped(value={"a": {"y": 2, "z": 2}, "c": 2}, at=2.0)
    assert merge_objects(early, late).value == {"a": {"x": 1, "y": 2, "z": 2}, "b": 1, "c": 2}


@given(_LISTS, _LISTS, _LISTS)
def test_a_union_holds_everything_once_in_whatever_order_it_is_made(one: list[Any], two: list[Any], three: Any) -> None:
    there = union(one, two)
    assert _same(there, union(two, one))
    assert _same(union(there, three), union(one, union(two, three)))
    assert {canonical(each) for each in there} == {canonical(each) for each in (*one, *two)}
    assert len({canonical(each) for each in there}) == len(there)


@given(st.lists(_STAMPED, max_size=4), st.lists(_STAMPED, max_size=4))
def test_keeping_both_drops_nothing(one: list[Stamped], other: list[Stamped]) -> None:
    both = keep_both(one, other)
    assert [(canonical(each.value), each.at) for each in both] == [
        (canonical(each.value), each.at) for each in keep_both(other, one)
    ]
    assert {(canonical(each.value), each.at) for each in both} == {
        (canonical(each.value), each.at) for each in (*one, *other)
    }
    assert [each.at for each in both] == sorted(each.at for each in both)


@given(_STAMPED, _STAMPED)
def test_parent_and_child_win_when_they_are_told_to(parent: Stamped, child: Stamped) -> None:
    assert RESOLVE["parent_wins"](parent, child) is parent
    assert RESOLVE["child_wins"](parent, child) is child
    assert RESOLVE["manual"](parent, child) is parent


@given(st.floats(0, 4e9), st.lists(st.floats(0, 4e9), max_size=3))
def test_a_stamp_is_never_before_the_clock_and_always_after_what_was_seen(now: float, seen: list[float]) -> None:
    made = stamp(now, *seen)
    assert made >= now
    assert all(made > each for each in seen)
    assert math.isfinite(made)

"""Single values: what can be kept as it is, and what is refused with a reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.errors import InvalidValue
from state.errors import OverLimit
from state.limits import checked_text
from state.limits import checked_ttl_s
from state.limits import checked_value

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(_JSON)
def test_any_json_value_is_kept_exactly(value: Any) -> None:
    assert checked_value(value, 2**20) == value


def test_the_callers_own_object_is_not_kept() -> None:
    value = {"inner": [1]}
    kept = checked_value(value, 1_000)
    value["inner"].append(2)
    assert kept == {"inner": [1]}


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), {"a": float("inf")}, {1, 2}, b"bytes", object(), "\ud800", 10**5_000, _nested(64), _nested(100_000)],
    ids=["nan", "inf", "set", "bytes", "object", "surrogate", "digits", "deep", "deeper"],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        checked_value(value, 2**20)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidValue):
        checked_value(value, 1_000)


def test_nesting_is_kept_up_to_its_bound() -> None:
    assert checked_value(_nested(63), 1_000) == _nested(63)


def test_the_bound_counts_bytes_of_json_and_not_characters() -> None:
    text = "漢" * 10
    size_bytes = len(json.dumps(text, ensure_ascii=False).encode())
    assert checked_value(text, size_bytes) == text
    with pytest.raises(OverLimit, match=f"{size_bytes} bytes"):
        checked_value(text, size_bytes - 1)


@pytest.mark.parametrize(("text", "kept"), [(None, None), ("", None), (" \n", None), (" a b ", "a b"), ("漢", "漢")])
def test_text_is_kept_without_surrounding_blanks(text: str | None, kept: str | None) -> None:
    assert checked_text("label", text, 3) == kept


def test_text_that_is_too_long_or_no_unicode_is_refused() -> None:
    with pytest.raises(OverLimit, match="label has 4 characters, 3 at most"):
        checked_text("label", "abcd", 3)
    with pytest.raises(InvalidValue, match="label"):
        checked_text("label", "\udfff", 3)


@pytest.mark.parametrize("ttl_s", [0, -1, 10.1, float("nan"), float("inf")])
def test_a_life_outside_its_bounds_is_refused(ttl_s: float) -> None:
    with pytest.raises(InvalidValue, match="at most 10 s"):
        checked_ttl_s(ttl_s, default_s=5, most_s=10)


def test_a_life_within_its_bounds_is_kept() -> None:
    assert checked_ttl_s(None, default_s=5, most_s=10) == 5
    assert checked_ttl_s(10, default_s=5, most_s=10) == 10
    assert checked_ttl_s(0.5, default_s=5, most_s=10) == 0.5

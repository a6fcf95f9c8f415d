"""How engine values become JSON values that any client reads back unchanged."""

import json
import math
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.duckdb.values import DEPTH
from sources.duckdb.values import ELLIPSIS
from sources.duckdb.values import ITEMS
from sources.duckdb.values import SAFE_INTEGER
from sources.duckdb.values import Converter
from sources.duckdb.values import moment
from sources.duckdb.values import span
from sources.protocol import Json

CASES: dict[str, tuple[object, Json]] = {
    "null": (None, None),
    "true": (True, True),
    "safe integer": (SAFE_INTEGER, SAFE_INTEGER),
    "unsafe integer": (SAFE_INTEGER + 1, "9007199254740992"),
    "unsafe negative": (-(2**63), "-9223372036854775808"),
    "hugeint": (2**127 - 1, str(2**127 - 1)),
    "real": (1.5, 1.5),
    "nan": (math.nan, "NaN"),
    "infinity": (math.inf, "Infinity"),
    "negative infinity": (-math.inf, "-Infinity"),
    "decimal a double holds": (Decimal("1.10"), 1.1),
    "whole decimal": (Decimal("5.00"), 5),
    "decimal a double cannot hold": (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
    "large whole decimal": (Decimal(2**60), str(2**60)),
    "small decimal": (Decimal("0.0000000001"), 1e-10),
    "decimal with an endless exponent": (Decimal("1E+999999999"), "1E+999999999"),
    "text": ("naïve \U0001f600", "naïve \U0001f600"),
    "controls": ("a\x00b\x1b[31mc\r\n\td\x85", "ab[31mc\n\td"),
    "lone surrogate": ("\ud800", "\ud800"),
    "blob": (b"\xaa\x00", "0xaa00"),
    "long blob": (b"\x01" * 40, f"0x{'01' * 32}{ELLIPSIS} (40 bytes)"),
    "uuid": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "list": ([1, None, 2**60], [1, None, str(2**60)]),
    "struct": ({"a": math.nan, "b\x00": [b"\x01"]}, {"a": "NaN", "b": ["0x01"]}),
    "map with other keys": ({1: 2, None: 3}, {"1": 2, "None": 3}),
}


@pytest.mark.parametrize(("value", "expected"), CASES.values(), ids=CASES.keys())
def test_a_value_becomes_safe_json(value: object, expected: Json) -> None:
    shown = Converter(100).json(value)
    assert shown == expected
    assert type(shown) is type(expected)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_decimal_never_loses_a_digit(value: Decimal) -> None:
    assert Decimal(str(Converter(100).json(value))) == value


_FOREIGN = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_FOREIGN)
def test_any_value_is_json_without_nan_and_without_unsafe_integers(value: object) -> None:
    shown = json.dumps(Converter(50).json(value), allow_nan=False)

    def integer(text: str) -> int:
        assert abs(int(text)) <= SAFE_INTEGER
        return int(text)

    json.loads(shown, parse_int=integer)


def test_long_text_is_cut_with_an_ellipsis_and_noted() -> None:
    converter = Converter(10)
    assert converter.json("x" * 10) == "x" * 10
    assert not converter.cut
    assert converter.json("x" * 11) == "x" * 9 + ELLIPSIS
    assert converter.cut


def test_long_and_deep_values_are_cut_with_a_marker() -> None:
    deep: object = 1
    for _ in range(DEPTH + 5):
        deep = [deep]
    converter = Converter(10)
    assert ELLIPSIS in json.dumps(converter.json(deep), ensure_ascii=False)
    long = converter.json(list(range(ITEMS + 1)))
    assert isinstance(long, list)
    assert long[-1] == f"{ELLIPSIS} ({ITEMS + 1} items)"
    wide = converter.json({str(key): key for key in range(ITEMS + 1)})
    assert isinstance(wide, dict)
    assert wide[ELLIPSIS] == f"{ITEMS + 1} keys"
    assert converter.cut


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2013-01-01", "2013-01-01"),
        ("2013-01-01 05:00:00", "2013-01-01T05:00:00"),
        ("2013-01-01 05:00:00.123456789", "2013-01-01T05:00:00.123456789"),
        ("2013-01-01 05:00:00+00", "2013-01-01T05:00:00Z"),
        ("2013-01-01 05:00:00+05:30", "2013-01-01T05:00:00+05:30"),
        ("290000-01-01 00:00:00", "290000-01-01T00:00:00"),
        ("0044-03-15 10:00:00 (BC)", "0044-03-15T10:00:00 (BC)"),
        ("infinity", "infinity"),
        ("05:00:00", "05:00:00"),
        ("05:00:00+02", "05:00:00+02:00"),
    ],
)
def test_instants_are_written_as_iso_8601(text: str, iso: str) -> None:
    assert moment(text) == iso


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("1 year 2 months 3 days 04:05:06.5", "P1Y2M3DT4H5M6.5S"),
        ("1 day", "P1D"),
        ("-3 days", "P-3D"),
        ("00:00:00", "PT0S"),
        ("-00:30:00", "PT-30M"),
        ("5 months 00:00:01", "P5MT1S"),
        ("something else", "something else"),
    ],
)
def test_intervals_are_written_as_iso_8601_durations(text: str, iso: str) -> None:
    assert span(text) == iso


def test_nested_text_keeps_decimals_and_large_integers_exact() -> None:
    converter = Converter(100)
    shown = converter.nested_text('{"a": 12345678901234567890, "b": 0.12345678901234567890, "c": NaN, "d": [null]}')
    assert shown == {"a": "12345678901234567890", "b": "0.12345678901234567890", "c": "NaN", "d": [None]}
    assert converter.nested_text("{broken") == "{broken"
    assert converter.nested_text(None) is None

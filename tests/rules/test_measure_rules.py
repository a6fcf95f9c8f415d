"""Intervals, buckets, time attributes, meanings and flags: pure rules of measuring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.duckdb.describe_rows import Measured
from sources.duckdb.describe_rows import described
from sources.duckdb.describe_shown import cut
from sources.duckdb.describe_shown import instant
from sources.duckdb.describe_types import family
from sources.duckdb.profile import BUCKETS
from sources.duckdb.profile import grid
from sources.duckdb.sampling import half_width
from sources.duckdb.sampling import wilson
from sources.duckdb.semantics import unit
from sources.duckdb.semantics_time import time_attribute
from sources.duckdb.semantics_time import tokens
from sources.protocol import Attribute
from sources.protocol import AttributeDescription
from sources.protocol import Json


@given(st.integers(1, 10**6).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_share_and_stays_within_zero_and_one(case: tuple[int, int]) -> None:
    hits, of = case
    found = wilson(hits, of)
    assert 0.0 <= found.low <= hits / of <= found.high <= 1.0


def test_an_interval_agrees_with_the_textbook() -> None:
    """Source: Wilson 1927, 95 %: 10 of 100 gives 0.0552 to 0.1744."""
    found = wilson(10, 100)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0552, 0.1744)


def test_nothing_inspected_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_a_sample_of_twenty_thousand_rows_knows_shares_to_less_than_a_point() -> None:
    assert half_width(wilson(10_000, 20_000)) < 0.007


@given(st.integers(-(2**62), 2**62), st.integers(0, 10**6))
def test_buckets_of_whole_numbers_are_few_and_cover_the_range(low: int, span: int) -> None:
    found = grid(float(low), float(low) + span, "whole")
    assert 1 <= found.buckets <= BUCKETS
    assert found.low + found.width * found.buckets >= found.high


def test_buckets_at_both_ends_of_the_number_line_do_not_overflow() -> None:
    found = grid(-1.7e308, 1.7e308, "real")
    assert found.width == pytest.approx(1.7e307)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([("id", "BIGINT"), ("at", "TIMESTAMP")], "at"),
        ([("updated_at", "TIMESTAMP"), ("created_at", "TIMESTAMP")], "created_at"),
        ([("birth_date", "DATE"), ("event_time", "TIMESTAMP")], "event_time"),
        ([("day", "DATE"), ("timestamp", "TIMESTAMP WITH TIME ZONE")], "timestamp"),
        ([("l_shipdate", "DATE"), ("l_commitdate", "DATE"), ("l_receiptdate", "DATE")], "l_shipdate"),
        ([("ts", "BIGINT"), ("v", "DOUBLE")], "ts"),
        ([("timestamp_ms", "BIGINT")], "timestamp_ms"),
        ([("TimeStamp", "BIGINT")], "TimeStamp"),
        ([("TimeUnixNano", "BIGINT")], "TimeUnixNano"),
        ([("air_time", "BIGINT"), ("dep_time", "BIGINT")], None),
        ([("name", "VARCHAR")], None),
        ([], None),
    ],
)
def test_the_time_attribute_is_the_one_that_says_when_a_row_happened(
    columns: list[tuple[str, str]], expected: str | None
) -> None:
    found = time_attribute(columns)
    assert (None if found is None else found[0]) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unitPrice_usd", ("unit", "price", "usd")),
        ("HTTPStatus", ("http", "status")),
        ("a.b-c 1", ("a", "b", "c", "1")),
    ],
)
def test_names_fall_into_words(name: str, words: tuple[str, ...]) -> None:
    assert tokens(name) == words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("took_ms", "ms"),
        ("size_bytes", "bytes"),
        ("price_usd", "USD"),
        ("ms", None),
        ("minimum", None),
        ("items", None),
    ],
)
def test_units_are_read_off_suffixes_only(name: str, expected: str | None) -> None:
    assert unit(name, "real") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-01-01 10:00:00+00", "2013-01-01T10:00:00Z"),
        ("2013-01-01 10:00:00.5", "2013-01-01T10:00:00.5"),
        ("2013-01-01", "2013-01-01"),
        ("infinity", "infinity"),
        ("0003-04-07 (BC) 00:00:00", "0003-04-07 (BC) 00:00:00"),
    ],
)
def test_moments_are_shown_as_rfc_3339_and_no_zone_is_made_up(text: str, expected: str) -> None:
    assert instant(text) == expected


@given(st.text())
def test_shown_text_is_short_and_has_no_control_characters(text: str) -> None:
    shown = cut(text)
    assert len(shown) <= 80
    assert not any(ord(sign) < 9 or 10 < ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in shown)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BIGINT", "whole"),
        ("UHUGEINT", "whole"),
        ("DECIMAL(38,10)", "decimal"),
        ("DECIMAL(3,1)[]", "nested"),
        ("STRUCT(a DATE)", "nested"),
        ("MAP(VARCHAR, DATE)", "nested"),
        ("TIMESTAMP_NS", "moment"),
        ("ENUM('a', 'b')", "text"),
        ("INTEGER[3]", "nested"),
        ("SOMETHING_NEW", "nested"),
    ],
)
def test_every_type_has_a_family(kind: str, expected: str) -> None:
    assert family(kind) == expected


def brief(
    kind: str, counts: dict[str, Json], looks: dict[str, Json] | None = None, name: str = "x", rows: int = 100
) -> AttributeDescription:
    measured = Measured(rows=rows, inspected=rows, counts={name: counts}, looks={name: looks or {}})
    return described(Attribute(name=name, type=kind), measured)


@pytest.mark.parametrize(
    ("kind", "counts", "flag"),
    [
        ("BIGINT", {"values": 100, "distinct": 1}, "constant"),
        ("BIGINT", {"values": 0, "distinct": 0}, "all_null"),
        ("BIGINT", {"values": 49, "distinct": 20}, "mostly_null"),
        ("BIGINT", {"values": 100, "distinct": 100}, "unique"),
        ("VARCHAR", {"values": 100, "distinct": 9, "empty": 1}, "empty_strings"),
        ("VARCHAR", {"values": 100, "distinct": 9, "sentinels": 1}, "sentinel_values"),
        ("BIGINT", {"values": 100, "distinct": 9, "minus_one": 3, "negative": 3}, "sentinel_values"),
        ("DATE", {"values": 100, "distinct": 9, "epoch": 1}, "sentinel_values"),
        ("DOUBLE", {"values": 100, "distinct": 9, "nan": 1}, "has_nan"),
        ("DOUBLE", {"values": 100, "distinct": 9, "infinite": 1}, "has_infinity"),
        ("DATE", {"values": 100, "distinct": 9, "future": 1}, "future_dates"),
    ],
)
def test_a_flag_is_raised_by_its_measure_alone(kind: str, counts: dict[str, Json], flag: str) -> None:
    assert brief(kind, counts).flags == (flag,)


def test_minus_one_among_other_negative_numbers_is_a_number() -> None:
    assert brief("BIGINT", {"values": 100, "distinct": 9, "minus_one": 3, "negative": 30}).flags == ()


@pytest.mark.parametrize(
    ("kind", "name", "counts", "looks", "expected"),
    [
        ("VARCHAR", "contact", {}, {"looked": 100, "email": 99}, "email"),
        ("VARCHAR", "contact", {}, {"looked": 100, "email": 90}, None),
        ("VARCHAR", "email", {}, {"looked": 100, "email": 0}, None),
        ("VARCHAR", "country", {}, {"looked": 100, "letters2": 100}, "country_code"),
        ("VARCHAR", "state", {}, {"looked": 100, "letters2": 100}, None),
        ("DOUBLE", "lat", {"min": -33.1, "max": 71.0}, {}, "latitude"),
        ("DOUBLE", "lat", {"min": -33.1, "max": 171.0}, {}, "measure"),
        ("BIGINT", "created", {"min": 1_600_000_000_000, "max": 1_700_000_000_000}, {}, "timestamp"),
        ("BIGINT", "visitors", {"min": 1_600_000_000_000, "max": 1_700_000_000_000}, {}, None),
        ("BIGINT", "size_bytes", {"min": 0, "max": 9_000}, {}, "measure"),
        ("BIGINT", "customer_id", {}, {}, "identifier"),
        ("DOUBLE", "took_ms", {}, {}, "duration"),
        ("UUID", "x", {}, {}, "uuid"),
        ("BOOLEAN", "x", {}, {}, "boolean_flag"),
        ("TIMESTAMP", "x", {}, {}, "timestamp"),
        ("BLOB", "x", {}, {}, None),
    ],
)
def test_a_meaning_needs_values_that_prove_it(
    kind: str, name: str, counts: dict[str, Json], looks: dict[str, Json], expected: str | None
) -> None:
    assert brief(kind, {"values": 100, "distinct": 80} | counts, looks, name).semantic_type == expected


def test_a_sample_never_claims_what_only_all_rows_can_prove() -> None:
    measured = Measured(rows=10**6, inspected=100, counts={"x": {"values": 100, "distinct": 100}}, looks={})
    found = described(Attribute(name="x", type="BIGINT"), measured)
    assert not found.distinct_is_exact
    assert found.flags == ()
    assert found.null_interval is not None
    constant = Measured(rows=10**6, inspected=100, counts={"x": {"values": 100, "distinct": 1}}, looks={})
    assert described(Attribute(name="x", type="BIGINT"), constant).flags == ()


def test_null_shares_from_footers_are_exact_although_the_rest_is_sampled() -> None:
    counts: dict[str, dict[str, Json]] = {"x": {"values": 100, "distinct": 3}}
    measured = Measured(rows=1000, inspected=100, counts=counts, looks={}, exact_nulls={"x": 250})
    found = described(Attribute(name="x", type="BIGINT"), measured)
    assert (found.null_share, found.null_interval) == (0.25, None)

"""Rows of any kind in event form: texts, numbers and booleans, and `timestamp` in milliseconds."""

from collections.abc import Iterator

import duckdb
import pytest

from sources.nrdb.events import event_form
from sources.nrdb.literals import number_sql
from sources.nrdb.literals import text_sql
from sources.nrdb.local import LocalNrdb
from sources.nrdb.refused import NotTranslated
from sources.nrql.tree import Number
from sources.nrql.tree import Text


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute("SET TimeZone = 'Asia/Tokyo'")
        yield found


def _formed(connection: duckdb.DuckDBPyConnection, value: str) -> tuple[object, str]:
    """A value and its kind in event form."""
    connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {value} AS v")
    kind = str(connection.execute("DESCRIBE t").fetchall()[0][1])
    events = event_form("t", "t", [("v", kind)], time=None)
    row = connection.execute(f"SELECT v FROM {events.relation}").fetchall()[0]
    return row[0], events.columns[0].kind


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1::TINYINT", (1, "numeric")),
        ("9223372036854775807::BIGINT", (9223372036854775807, "numeric")),
        ("18446744073709551615::UBIGINT", (18446744073709551615, "numeric")),
        ("170141183460469231731687303715884105727::HUGEINT", ("170141183460469231731687303715884105727", "string")),
        ("1.5::DECIMAL(10, 2)", (1.5, "numeric")),
        ("7::DECIMAL(10, 0)", (7, "numeric")),
        ("0.1::FLOAT", (pytest.approx(0.1), "numeric")),
        ("'nan'::DOUBLE", (None, "numeric")),
        ("'infinity'::DOUBLE", (None, "numeric")),
        ("true", (True, "boolean")),
        ("'é'", ("é", "string")),
        ("TIMESTAMP '2020-01-01 00:00:00.123456'", (1577836800123, "numeric")),
        ("TIMESTAMPTZ '2020-01-01 00:00:00+01'", (1577833200000, "numeric")),
        ("TIMESTAMP_NS '2020-01-01 00:00:00'", (1577836800000, "numeric")),
        ("TIMESTAMP 'infinity'", (None, "numeric")),
        ("DATE '2020-01-01'", ("2020-01-01", "string")),
        ("TIME '12:30:00'", ("12:30:00", "string")),
        ("[1, 2]", ("[1, 2]", "string")),
        ("{'a': 1}", ("{'a': 1}", "string")),
        ("'x'::BLOB", ("x", "string")),
        ("'a'::ENUM('a', 'b')", ("a", "string")),
        ("INTERVAL 1 DAY", ("1 day", "string")),
        ("UUID '00000000-0000-0000-0000-000000000001'", ("00000000-0000-0000-0000-000000000001", "string")),
    ],
)
def test_every_type_becomes_a_text_a_number_or_a_boolean(
    connection: duckdb.DuckDBPyConnection, value: str, expected: tuple[object, str]
) -> None:
    assert _formed(connection, value) == expected


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("TIMESTAMP '2020-01-01 00:00:01'", 1577836801000),
        ("DATE '2020-01-01'", 1577836800000),
        ("1577836800::BIGINT", 1577836800000),
        ("1577836800123::BIGINT", 1577836800123),
        ("1577836800123456::BIGINT", 1577836800123),
        ("1577836800123456789::BIGINT", 1577836800123),
        ("NULL::TIMESTAMP", None),
    ],
)
def test_the_time_of_a_row_is_milliseconds_whatever_it_was(
    connection: duckdb.DuckDBPyConnection, value: str, expected_ms: int | None
) -> None:
    connection.execute(f"CREATE TABLE t AS SELECT {value} AS ts, 1 AS timestamp")
    kind = str(connection.execute("DESCRIBE t").fetchall()[0][1])
    events = event_form("t", "t", [("ts", kind), ("timestamp", "INTEGER")], time="ts", shift_ms=5)
    found = connection.execute(f"SELECT timestamp FROM {events.relation}").fetchall()[0][0]
    assert found == (None if expected_ms is None else expected_ms + 5)
    assert events.has_time
    assert [column.name for column in events.columns] == ["timestamp", "ts"]


def test_a_timestamp_of_another_spelling_is_an_attribute_of_its_own() -> None:
    tables = {"T": "SELECT TIMESTAMP '2020-01-01' AS \"Timestamp\", 'late' AS message"}
    nrdb = LocalNrdb(tables=tables, clock=lambda: 1.7e9)
    try:
        (row,) = nrdb.run("SELECT * FROM T")["results"]
        assert row == {"timestamp": 1_699_999_999_999, "Timestamp": 1_699_999_999_999, "message": "late"}
        assert nrdb.run("SELECT max(Timestamp) - max(timestamp) AS apart FROM T")["results"] == [{"apart": 0}]
    finally:
        nrdb.close()


def test_odd_names_are_only_names(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("""CREATE TABLE t AS SELECT 1 AS "a""b'{}; --" """)
    events = event_form("t", "t", [("""a"b'{}; --""", "INTEGER")], time=None)
    assert connection.execute(f"SELECT * FROM {events.relation}").fetchall() == [(1,)]


@pytest.mark.parametrize("text", ["it's", "''; DROP TABLE t; --", "\\", "\\'", "%_", "a\nb", "é\U0001f600", ""])
def test_a_text_is_only_ever_a_text(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    assert connection.execute(f"SELECT {text_sql(Text(value=text))}").fetchall() == [(text,)]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_a_text_that_no_engine_can_hold_is_refused(text: str) -> None:
    with pytest.raises(NotTranslated):
        text_sql(Text(value=text))


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("5", 5, "INTEGER"),
        ("9007199254740993", 9007199254740993, "BIGINT"),
        ("9223372036854775808", 9223372036854775808, "HUGEINT"),
        ("0.1", 0.1, "DOUBLE"),
        ("1e3", 1000.0, "DOUBLE"),
        ("1" + "0" * 40, 1e40, "DOUBLE"),
    ],
)
def test_a_number_keeps_its_digits(connection: duckdb.DuckDBPyConnection, text: str, value: float, kind: str) -> None:
    sql = number_sql(Number(text=text))
    assert connection.execute(f"SELECT {sql}, typeof({sql})").fetchall() == [(value, kind)]


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(NotTranslated, match="too large"):
        number_sql(Number(text="1e999"))

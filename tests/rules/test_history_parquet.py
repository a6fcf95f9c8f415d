"""Rows written as Parquet are read back by the engine as they were, whatever they hold."""

from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from sources.history.parquet import ParquetFile
from sources.history.parquet import Row
from sources.protocol import Attribute

COLUMNS = (
    Attribute(name="text", type="VARCHAR"),
    Attribute(name="number", type="BIGINT"),
    Attribute(name="seen_at", type="TIMESTAMP"),
)

texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
instants = st.none() | st.integers(0, 2**33).map(float) | st.floats(0, 2**33)
rows = st.lists(st.tuples(texts, numbers, instants), max_size=40)


def written(path: Path, groups: Sequence[Sequence[Row]]) -> None:
    with ParquetFile(path, COLUMNS) as file:
        for group in groups:
            file.write(group)


def read(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()


def as_read(row: Row) -> tuple[object, ...]:
    text, number, at = row
    instant = None if at is None else datetime(1970, 1, 1) + timedelta(microseconds=round(float(at) * 1e6))  # noqa: DTZ001 - as the engine's
    return text, number, instant


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, max_size=3))
def test_what_is_written_is_read_back(tmp_path: Path, groups: list[list[Row]]) -> None:
    path = tmp_path / "rows.parquet"
    written(path, groups)
    assert read(path) == [as_read(row) for group in groups for row in group]


def test_a_file_without_rows_has_its_types(tmp_path: Path) -> None:
    written(tmp_path / "none.parquet", [])
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE FROM '{tmp_path / 'none.parquet'}'").fetchall()
    assert [(row[0], row[1]) for row in described] == [(column.name, column.type) for column in COLUMNS]


def test_its_footer_tells_the_nulls_of_each_attribute(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    written(path, [[("a", None, None), (None, None, 1.0)], [("b", 1, None)]])
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT path_in_schema, sum(stats_null_count), sum(num_values) "
            f"FROM parquet_metadata('{path}') GROUP BY ALL"
        ).fetchall()
    assert sorted(found) == [("number", 2, 3), ("seen_at", 2, 3), ("text", 1, 3)]


def test_more_than_fifteen_row_groups_and_many_values_in_one_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    at = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    groups: list[list[Row]] = [[(f"{group} {n}", n, at + n) for n in range(1_000)] for group in range(20)]
    written(path, groups)
    assert read(path) == [as_read(row) for group in groups for row in group]


def test_a_file_that_was_abandoned_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"

    with pytest.raises(UnicodeEncodeError):
        written(path, [[("a", 1, 1.0)], [("\ud800", 2, 2.0)]])
    with pytest.raises(duckdb.Error):
        read(path)

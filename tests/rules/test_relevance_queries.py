"""First queries are what the goal asks: grouped, measured, filtered, and quoted whatever the names are."""

import duckdb
import pytest

from tools.step_queries import Matched
from tools.step_queries import first_query

TYPES = {
    "carrier": "VARCHAR",
    "dep_delay": "BIGINT",
    "price": "DECIMAL(9,2)",
    "flight_id": "BIGINT",
    "month": "BIGINT",
    "time_hour": "TIMESTAMP",
    "origin": "VARCHAR",
    'odd "name"; --': "DOUBLE",
}
GROUPED = (
    'SELECT "carrier", count(*) AS row_count, avg("dep_delay") AS mean, max("dep_delay") AS highest '
    'FROM "flights" GROUP BY 1 ORDER BY 3 DESC NULLS LAST LIMIT 20'
)
EXTREMES = (
    'SELECT count("price") AS row_count, min("price") AS lowest, avg("price") AS mean, max("price") AS highest '
    'FROM "flights"'
)


def query_of(*attributes: str, question: str = "the worst", **values: str) -> str | None:
    matched = Matched(schema="flights", types=TYPES, attributes=(*attributes, *values), values=values)
    return first_query(matched, question)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            ("dep_delay", "carrier"),
            GROUPED,
        ),
        (
            ("carrier",),
            'SELECT "carrier", count(*) AS row_count FROM "flights" GROUP BY 1 ORDER BY 2 DESC NULLS LAST LIMIT 20',
        ),
        (
            ("price",),
            EXTREMES,
        ),
        (("time_hour",), None),
        ((), None),
    ],
)
def test_a_query_groups_or_measures_what_is_matched(attributes: tuple[str, ...], expected: str | None) -> None:
    assert query_of(*attributes) == expected


def test_ids_and_parts_of_dates_are_groups_and_never_averaged() -> None:
    for group in ("flight_id", "month"):
        found = query_of(group, "price")
        assert found is not None
        assert found.startswith(f'SELECT "{group}", count(*) AS row_count, avg("price") AS mean')


def test_the_lowest_come_first_when_they_are_asked_for() -> None:
    found = query_of("dep_delay", "carrier", question="Who has the LOWEST delays?")
    assert found is not None
    assert "ORDER BY 3 ASC" in found


def test_values_filter_and_are_quoted() -> None:
    found = query_of("price", origin="O'Hare' OR 1=1 --")
    assert found is not None
    assert found.endswith("""FROM "flights" WHERE "origin" = 'O''Hare'' OR 1=1 --'""")
    assert query_of(origin="JFK") == """SELECT count(*) AS row_count FROM "flights" WHERE "origin" = 'JFK'"""


def test_every_query_runs_whatever_the_names_are() -> None:
    columns = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in TYPES.items())
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE flights ({columns})")
        for one in TYPES:
            for other in TYPES:
                for values in ({}, {"origin": "a\"b'c"}):
                    found = query_of(one, other, **values)
                    if found is not None:
                        connection.execute(found)

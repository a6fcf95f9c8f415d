"""The engine against a second one: a small evaluator in plain Python over random rows and random statements."""

import math
import random
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from sources.nrdb.local import LocalNrdb

NOW_S = 1_700_000_000
SPAN_MS = 3_600_000
Row = dict[str, Any]
Test = Callable[[Row], bool | None]


def _rows() -> list[Row]:
    chance = random.Random(7)  # noqa: S311 - the same rows every time
    return [
        {
            "timestamp": NOW_S * 1000 - 1 - chance.randrange(SPAN_MS),
            "g": chance.choice(["a", "b", "A", "", "c d", None]),
            "x": chance.choice([None, 0.0, -1.5, 2.25, 100.0, float(chance.randrange(50))]),
            "n": chance.choice([None, chance.randrange(-5, 5), 2**53 + chance.randrange(3)]),
            "ok": chance.choice([True, False, None]),
        }
        for _ in range(400)
    ]


ROWS = _rows()


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case float():
            return f"{value!r}::DOUBLE"
        case _:
            return f"{value}::BIGINT"


@pytest.fixture(scope="module")
def nrdb() -> Iterator[LocalNrdb]:
    values = ", ".join(f"({', '.join(_literal(value) for value in row.values())})" for row in ROWS)
    found = LocalNrdb(
        tables={"T": f"SELECT * FROM (VALUES {values}) AS rows(timestamp, g, x, n, ok)"},
        clock=lambda: float(NOW_S),
        fit=False,
        approximate=False,
    )
    yield found
    found.close()


def _compared(name: str, holds: Callable[[Any], bool]) -> Test:
    return lambda row: None if row[name] is None else holds(row[name])


LEAVES: list[tuple[str, Test]] = [
    ("g = 'a'", _compared("g", lambda value: value == "a")),
    ("g != 'a'", _compared("g", lambda value: value != "a")),
    ("g LIKE 'A%'", _compared("g", lambda value: value.lower().startswith("a"))),
    ("g IN ('b', 'c d', 5)", _compared("g", lambda value: value in ("b", "c d"))),
    ("g NOT IN ('b', 'c d')", _compared("g", lambda value: value not in ("b", "c d"))),
    ("g IS NULL", lambda row: row["g"] is None),
    ("x > 2", _compared("x", lambda value: value > 2)),
    ("x <= 2.25", _compared("x", lambda value: value <= 2.25)),
    ("x * 2 = 200", _compared("x", lambda value: value == 100)),
    ("n = 9007199254740993", _compared("n", lambda value: value == 2**53 + 1)),
    ("n < 0", _compared("n", lambda value: value < 0)),
    ("ok IS TRUE", lambda row: row["ok"] is True),
    ("ok IS NOT FALSE", lambda row: row["ok"] is not False),
    ("x = '2'", lambda _: None),
    ("nothing = 1", lambda _: None),
]


def _and(left: Test, right: Test) -> Test:
    return lambda row: (
        False if left(row) is False or right(row) is False else _unless_unknown(left(row), right(row), value=True)
    )


def _or(left: Test, right: Test) -> Test:
    return lambda row: True if left(row) or right(row) else _unless_unknown(left(row), right(row), value=False)


def _unless_unknown(*found: bool | None, value: bool) -> bool | None:
    return None if None in found else value


def _not(inner: Test) -> Test:
    return lambda row: None if inner(row) is None else not inner(row)


def _grown(inner: st.SearchStrategy[tuple[str, Test]]) -> st.SearchStrategy[tuple[str, Test]]:
    pairs = st.tuples(inner, inner)
    return (
        pairs.map(lambda two: (f"({two[0][0]} AND {two[1][0]})", _and(two[0][1], two[1][1])))
        | pairs.map(lambda two: (f"({two[0][0]} OR {two[1][0]})", _or(two[0][1], two[1][1])))
        | inner.map(lambda one: (f"NOT ({one[0]})", _not(one[1])))
    )


CONDITIONS = st.recursive(st.sampled_from(LEAVES), _grown, max_leaves=6)
WHERES = st.none() | CONDITIONS


def _held(rows: list[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if row[name] is not None]


def _average(rows: list[Row]) -> float | None:
    held = _held(rows, "x")
    return math.fsum(held) / len(held) if held else None


AGGREGATES: list[tuple[str, Callable[[list[Row]], Any]]] = [
    ("count(*)", len),
    ("count(g)", lambda rows: len(_held(rows, "g"))),
    ("sum(n)", lambda rows: sum(_held(rows, "n"))),
    ("sum(x)", lambda rows: math.fsum(_held(rows, "x"))),
    ("average(x)", _average),
    ("min(x)", lambda rows: min(_held(rows, "x"), default=None)),
    ("max(n)", lambda rows: max(_held(rows, "n"), default=None)),
    ("uniqueCount(g)", lambda rows: len(set(_held(rows, "g")))),
    ("filter(count(*), WHERE ok IS TRUE)", lambda rows: len([row for row in rows if row["ok"]])),
    ("uniques(g)", lambda rows: sorted(set(_held(rows, "g")))),
]


def _same(found: object, expected: object) -> bool:
    return found == expected or (isinstance(expected, float) and found == pytest.approx(expected, abs=1e-9))


@settings(max_examples=80, deadline=None)
@given(where=WHERES, aggregate=st.sampled_from(AGGREGATES))
def test_a_number_of_all_rows_is_what_a_second_engine_finds(
    nrdb: LocalNrdb, where: tuple[str, Test] | None, aggregate: tuple[str, Callable[[list[Row]], Any]]
) -> None:
    text, test = where or ("true IS TRUE", lambda _: True)
    (row,) = nrdb.run(f"SELECT {aggregate[0]} AS v FROM T WHERE {text}")["results"]
    assert _same(row["v"], aggregate[1]([each for each in ROWS if test(each)]))


@settings(max_examples=40, deadline=None)
@given(where=WHERES, aggregate=st.sampled_from(AGGREGATES), limit=st.integers(1, 7))
def test_facets_with_what_they_leave_over_are_what_a_second_engine_finds(
    nrdb: LocalNrdb, where: tuple[str, Test] | None, aggregate: tuple[str, Callable[[list[Row]], Any]], limit: int
) -> None:
    text, test = where or ("true IS TRUE", lambda _: True)
    answer = nrdb.run(f"SELECT count(*), {aggregate[0]} AS v FROM T WHERE {text} FACET ok, g LIMIT {limit}")
    passing = [each for each in ROWS if test(each)]
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for row in passing:
        groups.setdefault((row["ok"], row["g"]), []).append(row)
    sizes = sorted((len(rows) for rows in groups.values()), reverse=True)
    assert [row["count"] for row in answer["results"]] == sizes[:limit]
    shown = [_facet(row["facet"], groups) for row in answer["results"]]
    assert all(_same(row["v"], aggregate[1](rows)) for row, rows in zip(answer["results"], shown, strict=True))
    seen = {id(row) for rows in shown for row in rows}
    assert _same(answer["otherResult"]["v"], aggregate[1]([row for row in passing if id(row) not in seen]))
    assert _same(answer["totalResult"]["v"], aggregate[1](passing))


def _facet(told: list[Any], groups: dict[tuple[Any, Any], list[Row]]) -> list[Row]:
    """The rows of a facet. A missing value is told as an empty text, which g also has: then both, the larger first."""
    ok = None if told[0] == "" else told[0]
    found = groups.get((ok, told[1]), [])
    if told[1] != "":
        return found
    both = sorted((groups.pop((ok, each)) for each in ("", None) if (ok, each) in groups), key=len, reverse=True)
    if len(both) > 1:
        groups[ok, None] = both[1]
    return both[0]


@settings(max_examples=30, deadline=None)
@given(where=WHERES, minutes=st.integers(1, 45))
def test_buckets_of_time_are_what_a_second_engine_finds(
    nrdb: LocalNrdb, where: tuple[str, Test] | None, minutes: int
) -> None:
    text, test = where or ("true IS TRUE", lambda _: True)
    answer = nrdb.run(f"SELECT count(*), sum(n) AS v FROM T WHERE {text} TIMESERIES {minutes} minutes")["results"]
    begin, width = NOW_S * 1000 - SPAN_MS, minutes * 60_000
    assert len(answer) == math.ceil(SPAN_MS / width)
    for place, row in enumerate(answer):
        inside = [each for each in ROWS if test(each) and (each["timestamp"] - begin) // width == place]
        assert (row["count"], row["inspectedCount"]) == (len(inside), len(inside))
        assert row["v"] == sum(_held(inside, "n"))

"""Answers of NRDB as tables: each shape that is recorded or documented, and anything else that may come.

Source of the shapes: recordings in newrelic-client-go and public clients of NerdGraph; the values here are our own.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.nrql.answers import Answers
from sources.nrql.answers import tabled
from sources.nrql.parse import parse

Container = dict[str, Any]
Shape = tuple[str, str, Container, list[str], list[tuple[Any, ...]]]
"""What it is, statement, answer; and the columns and rows it should become."""


def names(answers: Answers) -> list[str]:
    return [column.name for column in answers.columns]


def types(answers: Answers) -> list[str]:
    return [column.type for column in answers.columns]


def answered(text: str | None, *rows: object, **fields: object) -> Answers:
    return tabled(parse(text) if text else None, {"results": list(rows), **fields})


ONE_FACET = "SELECT count(*), average(duration) FROM Transaction FACET appName"
SHAPES: list[Shape] = [
    ("plain count", "SELECT count(*) FROM A", {"results": [{"count": 7}]}, ["count"], [(7,)]),
    (
        "columns in the order of SELECT, whatever the order of the keys",
        "SELECT max(x), count(*), uniqueCount(y) FROM A",
        {"results": [{"uniqueCount.y": 3, "count": 2, "max.x": 1.5}]},
        ["max.x", "count", "uniqueCount.y"],
        [(1.5, 2, 3)],
    ),
    (
        "aliases",
        "SELECT count(*) AS 'all of it', max(a.b) AS top FROM A",
        {"results": [{"top": 9, "all of it": 2}]},
        ["all of it", "top"],
        [(2, 9)],
    ),
    (
        "dotted attribute",
        "SELECT average(http.response.time) FROM A",
        {"results": [{"average.http.response.time": 0.25}]},
        ["average.http.response.time"],
        [(0.25,)],
    ),
    (
        "one facet, the attribute repeated",
        ONE_FACET,
        {"results": [{"facet": "shop", "appName": "shop", "count": 3, "average.duration": 0.5}]},
        ["appName", "count", "average.duration"],
        [("shop", 3, 0.5)],
    ),
    (
        "one facet in a list",
        "SELECT count(*) FROM A FACET x",
        {"results": [{"facet": ["s"], "x": "s", "count": 3}]},
        ["x", "count"],
        [("s", 3)],
    ),
    (
        "one facet by its attribute only",
        "SELECT count(*) FROM A FACET x",
        {"results": [{"x": "s", "count": 3}]},
        ["x", "count"],
        [("s", 3)],
    ),
    (
        "a facet that looks like a function",
        "SELECT count(*) FROM A FACET count.region",
        {"results": [{"facet": "eu", "count.region": "eu", "count": 3}], "metadata": {"facets": ["count.region"]}},
        ["count.region", "count"],
        [("eu", 3)],
    ),
    (
        "several facets",
        "SELECT sum(x) FROM A FACET host, cloud.region",
        {"results": [{"facet": ["h1", None], "sum.x": 3}, {"facet": ["h2", "eu"], "sum.x": 2}]},
        ["host", "cloud.region", "sum.x"],
        [("h1", None, 3), ("h2", "eu", 2)],
    ),
    (
        "facet cases",
        "SELECT count(*) FROM A FACET CASES(WHERE x > 1 AS 'large', WHERE x < 1 AS 'small')",
        {"results": [{"facet": "large", "count": 3}]},
        ["case", "count"],
        [("large", 3)],
    ),
    (
        "percentiles",
        "SELECT percentile(d, 50, 95) FROM A",
        {"results": [{"percentile.d": {"95": 2, "50": 1}}]},
        ["percentile.d.50", "percentile.d.95"],
        [(1, 2)],
    ),
    (
        "percentiles with an alias",
        "SELECT percentile(d, 99, 5) AS p FROM A",
        {"results": [{"p": {"5": 1, "99": 2}}]},
        ["p.99", "p.5"],
        [(2, 1)],
    ),
    (
        "one percentile with an alias",
        "SELECT percentile(d, 95) AS p95 FROM A",
        {"results": [{"p95": {"95": 2}}]},
        ["p95"],
        [(2,)],
    ),
    (
        "median as an object",
        "SELECT median(d) FROM A",
        {"results": [{"median.d": {"50": 2}}]},
        ["median.d"],
        [(2,)],
    ),
    (
        "series; an empty bucket has no average, although NRDB says 0, and its count is 0",
        "SELECT average(d), count(*), max(d) FROM A TIMESERIES 1 minute",
        {
            "results": [
                {
                    "beginTimeSeconds": 1700000000,
                    "endTimeSeconds": 1700000060,
                    "inspectedCount": 2,
                    "average.d": 1.5,
                    "count": 2,
                    "max.d": 2,
                },
                {
                    "beginTimeSeconds": 1700000060,
                    "endTimeSeconds": 1700000120,
                    "inspectedCount": 0,
                    "average.d": 0,
                    "count": 0,
                    "max.d": None,
                },
            ]
        },
        ["begin", "end", "inspected", "average.d", "count", "max.d"],
        [
            ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z", 2, 1.5, 2, 2),
            ("2023-11-14T22:14:20Z", "2023-11-14T22:15:20Z", 0, None, 0, None),
        ],
    ),
    (
        "series of counts needs no weights",
        "SELECT count(*) FROM A FACET x TIMESERIES",
        {
            "results": [
                {
                    "facet": ["s"],
                    "beginTimeSeconds": 0.5,
                    "endTimeSeconds": 60,
                    "inspectedCount": 2,
                    "count": 2,
                    "x": "s",
                }
            ]
        },
        ["x", "begin", "end", "count"],
        [("s", "1970-01-01T00:00:00.500Z", "1970-01-01T00:01:00Z", 2)],
    ),
    (
        "comparison in the rows",
        "SELECT count(*) FROM A COMPARE WITH 1 day ago",
        {"results": [{"comparison": "current", "count": 2}, {"comparison": "previous", "count": 1}]},
        ["comparison", "count"],
        [("current", 2), ("previous", 1)],
    ),
    (
        "comparison apart from the rows",
        "SELECT count(*) FROM A FACET x COMPARE WITH 1 day ago",
        {
            "results": None,
            "currentResults": [{"facet": "s", "count": 2}],
            "previousResults": [{"facet": "s", "count": 1}],
        },
        ["x", "comparison", "count"],
        [("s", "current", 2), ("s", "previous", 1)],
    ),
    (
        "apdex says its parts twice",
        "SELECT apdex(d, t: 0.5), count(*) FROM A",
        {
            "results": [
                {
                    "apdex.d": {"score": 0.9, "s": 1, "t": 2, "f": 3, "count": 6},
                    "score": 0.9,
                    "s": 1,
                    "t": 2,
                    "f": 3,
                    "count": 6,
                }
            ]
        },
        ["apdex.d.score", "apdex.d.s", "apdex.d.t", "apdex.d.f", "apdex.d.count", "count"],
        [(0.9, 1, 2, 3, 6, 6)],
    ),
    ("apdex as a number", "SELECT apdex(d, t: 1) FROM A", {"results": [{"apdex": 0.9}]}, ["apdex"], [(0.9,)]),
    (
        "uniques alone are rows",
        "SELECT uniques(a) FROM A",
        {"results": [{"uniques.a": ["x", "y"]}]},
        ["a"],
        [("x",), ("y",)],
    ),
    (
        "uniques of several attributes",
        "SELECT uniques(a, b) FROM A",
        {"results": [{"uniques.a": [["x", 1], ["y", 2]]}]},
        ["a", "b"],
        [("x", 1), ("y", 2)],
    ),
    (
        "uniques beside something else are a list",
        "SELECT uniques(a), count(*) FROM A",
        {"results": [{"uniques.a": ["x"], "count": 1}]},
        ["uniques.a", "count"],
        [(["x"], 1)],
    ),
    (
        "histogram by edges",
        "SELECT histogram(d, 10, 2) FROM A FACET x",
        {"results": [{"facet": "s", "histogram.d": {"5": 2, "0": 1}}]},
        ["x", "low", "high", "count"],
        [("s", 0, 5, 1), ("s", 5, None, 2)],
    ),
    (
        "histogram as a list",
        "SELECT histogram(d, 10, 2) FROM A",
        {"results": [{"histogram.d": [1, 2]}]},
        ["low", "high", "count"],
        [(0.0, 5.0, 1), (5.0, None, 2)],
    ),
    (
        "funnel",
        "SELECT funnel(s, WHERE a = 1 AS 'Home', WHERE b = 1 AS 'Cart') FROM A",
        {"results": [{"funnel.Home": 5, "funnel.Cart": 2}]},
        ["funnel.Home", "funnel.Cart"],
        [(5, 2)],
    ),
    (
        "arithmetic has the only key that is left",
        "SELECT count(*), max(a) - min(a) FROM A",
        {"results": [{"count": 2, "result": 10}]},
        ["count", "max(a) - min(a)"],
        [(2, 10)],
    ),
    (
        "everything of raw events; time first, missing keys are null, a metric stays an object",
        "SELECT * FROM Metric",
        {"results": [{"b": 1, "timestamp": 1700000000123, "m": {"type": "count", "count": 4}}, {"a.b": "x"}]},
        ["timestamp", "a.b", "b", "m"],
        [("2023-11-14T22:13:20.123Z", None, 1, {"type": "count", "count": 4}), (None, "x", None, None)],
    ),
    (
        "selected attributes; NRDB leaves out null ones and adds the time",
        "SELECT a, b FROM A",
        {"results": [{"timestamp": 1700000000000, "b": True}]},
        ["timestamp", "a", "b"],
        [("2023-11-14T22:13:20Z", None, True)],
    ),
    (
        "when the newest came",
        "SELECT latest(timestamp) AS seen FROM A",
        {"results": [{"seen": 1700000000000}]},
        ["seen"],
        [("2023-11-14T22:13:20Z",)],
    ),
    (
        "event types",
        "SHOW EVENT TYPES",
        {"results": [{"eventType": "Log"}, {"eventType": "Span"}]},
        ["eventType"],
        [("Log",), ("Span",)],
    ),
    (
        "event types as NRDB has them",
        "SHOW EVENT TYPES",
        {"results": [{"eventTypes": ["Log", "Span"]}]},
        ["eventType"],
        [("Log",), ("Span",)],
    ),
    (
        "keyset",
        "SELECT keyset() FROM A",
        {"results": [{"key": "appName", "type": "string"}]},
        ["key", "type"],
        [("appName", "string")],
    ),
    (
        "keyset as NRDB has it",
        "SELECT keyset() FROM A",
        {"results": [{"allKeys": ["a", "b"], "stringKeys": ["a"], "numericKeys": ["b"], "booleanKeys": []}]},
        ["key", "type"],
        [("a", "string"), ("b", "numeric")],
    ),
    (
        "no rows still have columns",
        "SELECT count(*), percentile(d, 50) FROM A FACET x",
        {"results": []},
        ["x", "count", "percentile.d.50"],
        [],
    ),
    ("nothing at all", "SELECT count(*) FROM A", {}, ["count"], []),
]


NEED_THE_STATEMENT = ("apdex says its parts twice", "uniques of several attributes", "histogram as a list")
GUESSED = [shape for shape in SHAPES if shape[0] not in NEED_THE_STATEMENT]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[0])
def test_every_shape_becomes_one_table(shape: Shape) -> None:
    _, text, container, columns, rows = shape
    answers = tabled(parse(text), container)
    assert (names(answers), list(answers.rows)) == (columns, rows)


@pytest.mark.parametrize("shape", GUESSED, ids=lambda shape: shape[0])
def test_rows_are_read_without_the_statement_too(shape: Shape) -> None:
    _, text, container, _, _ = shape
    told, guessed = tabled(parse(text), container), tabled(None, container)
    assert len(guessed.rows) == len(told.rows)
    assert sum(cell is not None for row in guessed.rows for cell in row) >= sum(
        cell is not None for row in told.rows for cell in row
    )


def test_a_key_is_a_function_only_if_it_begins_with_one_and_is_no_facet() -> None:
    answers = answered(
        None,
        {
            "facet": "eu",
            "max.region": "eu",
            "percentile.a.b": {"50": 1, "95": 2},
            "cloud.region": {"50": 3},
        },
        metadata={"facets": ["max.region"]},
    )
    assert names(answers) == ["max.region", "percentile.a.b.50", "percentile.a.b.95", "cloud.region.50"]


def test_other_and_total_are_told_and_never_rows() -> None:
    answers = answered(
        ONE_FACET,
        {"facet": "a", "count": 1000},
        {"facet": "b", "count": 500},
        otherResult={"count": 42},
        totalResult={"count": 1542},
    )
    assert len(answers.rows) == 2
    assert answers.remarks == (
        "Beyond the first 2 facet values, all others together have count 42; all values together have count 1,542.",
    )


def test_other_results_of_a_series_are_added_up_where_that_means_something() -> None:
    bucket = {"beginTimeSeconds": 1, "endTimeSeconds": 2, "inspectedCount": 3, "count": 21, "average.d": 5}
    answers = answered("SELECT count(*), average(d) FROM A FACET x TIMESERIES", otherResult=[bucket, bucket])
    assert answers.remarks == ("Beyond the first 0 facet values, all others together have count 42.",)


def test_nothing_is_said_of_other_values_when_there_are_none() -> None:
    assert answered(ONE_FACET, {"facet": "a"}, otherResult={"count": 0}, totalResult={"count": 3}).remarks == ()


def test_partial_answers_and_messages_are_told() -> None:
    answers = answered(
        "SELECT count(*) FROM A",
        {"count": 1},
        metadata={"messages": ["take\x1b[31m\n\n care", "", 7]},
        rawResponse={"performanceStats": {"omittedCount": 1200, "exceedsRetentionWindow": True}},
    )
    assert answers.remarks == (
        "The answer is partial: NRDB left out 1,200 events; narrow the window.",
        "The window reaches back beyond what is still kept: older events are missing from the answer.",
        'New Relic remarks: "take[31m care"',
    )


def test_integers_that_json_readers_would_round_become_text_of_a_numeric_column() -> None:
    answers = answered("SELECT max(x), min(x) FROM A", {"max.x": 2**53, "min.x": 2**53 - 1})
    assert (answers.rows, types(answers)) == ((("9007199254740992", 2**53 - 1),), ["numeric", "numeric"])


def test_types_come_from_the_values() -> None:
    row = {"s": "x", "n": 1.5, "b": False, "l": [1], "o": {"k": 1}, "timestamp": 1700000000000, "none": None}
    told = dict(zip(names(answered(None, row)), types(answered(None, row)), strict=True))
    assert told == {
        "s": "string",
        "n": "numeric",
        "b": "boolean",
        "l": "list",
        "o": "object",
        "timestamp": "timestamp",
        "none": "string",
    }
    assert types(answered("SELECT a FROM A", {"a": 1}, {"a": "1"})) == ["mixed"]
    assert types(answered("SELECT sum(a), uniques(b) FROM A", {"sum.a": None})) == ["numeric", "list"]


def test_times_that_are_none_stay_what_they_are() -> None:
    assert answered("SELECT timestamp FROM A", {"timestamp": "soon"}).rows == (("soon",),)
    assert answered("SELECT timestamp FROM A", {"timestamp": -(10**18)}).rows == ((str(-(10**18)),),)


def test_control_characters_and_half_surrogates_are_taken_out_and_long_text_is_cut() -> None:
    answers = answered(None, {"a\x00b": "x\x07\ud800y", "long": "z" * 5_000})
    assert names(answers) == ["ab", "long"]
    assert answers.rows[0][0] == "x?y"
    assert answers.cut
    assert len(str(answers.rows[0][1])) == 4_000


def test_columns_of_the_same_name_are_told_apart() -> None:
    assert names(answered(None, {"a\x00": 1, "a": 2})) == ["a", "a (2)"]


def test_rows_that_cannot_be_read_are_counted() -> None:
    answers = answered("SELECT a FROM A", {"a": 1}, 7, None)
    assert (answers.rows, answers.remarks) == (
        ((1,),),
        ("2 rows of the answer could not be read and are left out.",),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SPOKEN = """
facet count percentile.d average.d apdex.d histogram.d uniques.a beginTimeSeconds endTimeSeconds inspectedCount
comparison timestamp events allKeys stringKeys x y p
"""
KEYS = st.sampled_from(SPOKEN.split())
ROWS = st.lists(st.dictionaries(KEYS, JSON, max_size=6) | JSON, max_size=5)
CONTAINERS = st.dictionaries(
    st.sampled_from(
        ["results", "currentResults", "previousResults", "otherResult", "totalResult", "metadata", "rawResponse"]
    ),
    ROWS
    | JSON
    | st.dictionaries(st.sampled_from(["facets", "messages", "timeWindow", "performanceStats"]), ROWS | JSON)
    | st.fixed_dictionaries({"performanceStats": st.dictionaries(st.sampled_from(["omittedCount"]), JSON)}),
    max_size=7,
)
TEXTS = st.sampled_from([None, *(shape[1] for shape in SHAPES)])


@given(TEXTS, CONTAINERS)
def test_any_json_gives_a_rectangular_table_that_every_client_can_read(text: str | None, container: Container) -> None:
    answers = tabled(parse(text) if text else None, container)
    assert all(len(row) == len(answers.columns) for row in answers.rows)
    assert len(set(names(answers))) == len(names(answers))
    json.dumps([answers.rows, names(answers), answers.remarks], allow_nan=False).encode()
    assert all(len(remark) <= 500 for remark in answers.remarks)


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(-9, 9), max_size=6), max_size=6))
def test_no_cell_of_raw_events_is_lost_or_moved(events: list[dict[str, int]]) -> None:
    answers = tabled(parse("SELECT * FROM A"), {"results": events})
    read = [
        {name: cell for name, cell in zip(names(answers), row, strict=True) if cell is not None} for row in answers.rows
    ]
    assert read == events or not any(events)

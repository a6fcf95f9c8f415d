"""What NRQL means on rows: a table of statements and what NRDB answers, as its reference documents it."""

from collections.abc import Iterator
from typing import Any

import pytest

from sources.nrdb.local import LocalNrdb
from sources.nrdb.refused import NotTranslated

NOW_S = 1_700_000_000
_HOUR = f"""
SELECT {NOW_S}000 - minutes * 60000 AS timestamp, * EXCLUDE (minutes) FROM (VALUES
  (1, 'api', 0.2, true, '200', 9007199254740993),
  (2, 'api', 0.4, false, '500', 1),
  (3, 'API', 1.0, false, '404', 2),
  (11, 'web', 3.0, NULL, NULL, NULL),
  (12, NULL, NULL, true, '200', 5),
  (70, 'old', 9.0, true, '200', 7)
) AS rows(minutes, app, duration, ok, status, n)
"""
_ERRORS = f"SELECT {NOW_S}000 - 90000 AS timestamp, 'api' AS app, 'boom' AS message"


@pytest.fixture(scope="module")
def nrdb() -> Iterator[LocalNrdb]:
    found = LocalNrdb(tables={"Hit": _HOUR, "HitError": _ERRORS}, clock=lambda: float(NOW_S), fit=False)
    yield found
    found.close()


def _values(nrdb: LocalNrdb, text: str) -> list[Any]:
    """What was selected, without facets."""
    rows: list[dict[str, Any]] = nrdb.run(text)["results"]
    return [list(row.values()) if len(row) > 1 else next(iter(row.values())) for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT count(*) FROM Hit", 5),  # an hour by default
        ("SELECT count(*) FROM Hit SINCE 2 hours ago", 6),
        ("SELECT count(*) FROM Hit SINCE 2 hours ago UNTIL 1 hour ago", 1),
        ("SELECT count(*) FROM Hit SINCE 1699999880000 UNTIL 1699999940000", 1),  # SINCE included, UNTIL not
        ("SELECT count(app) FROM Hit", 4),
        ("SELECT count(1) FROM Hit", 5),
        ("SELECT count(nothing) FROM Hit", 0),
        ("SELECT count(*) FROM Nothing", 0),
        ("SELECT count(*) FROM Hit, HitError", 6),
        ("SELECT count(*) FROM Hit, Nothing", 5),
        ("SELECT count(message) FROM Hit, HitError", 1),
        ("SELECT uniqueCount(app) FROM Hit", 3),
        ("SELECT uniqueCount(app, ok) FROM Hit", 5),
        ("SELECT uniqueCount(nothing) FROM Hit", 0),
        ("SELECT uniques(app) FROM Hit", ["API", "api", "web"]),
        ("SELECT uniques(app, 2) FROM Hit", ["API", "api"]),
        ("SELECT uniques(nothing) FROM Hit", []),
        ("SELECT sum(n) FROM Hit", 9007199254741001),  # 64 bits are exact
        ("SELECT max(n) FROM Hit", 9007199254740993),
        ("SELECT sum(app) FROM Hit", 0),
        ("SELECT average(app) FROM Hit", None),
        ("SELECT average(duration) FROM Hit WHERE app = 'none'", None),
        ("SELECT max(duration) FROM Hit WHERE app = 'none'", None),
        ("SELECT stddev(app) FROM Hit", 0),
        ("SELECT min(duration) FROM Hit", 0.2),
        ("SELECT max(timestamp) FROM Hit", NOW_S * 1000 - 60_000),
        ("SELECT latest(app) FROM Hit", "api"),
        ("SELECT earliest(app) FROM Hit", "web"),  # the oldest row has none
        ("SELECT latest(duration) FROM Hit WHERE app IS NULL", None),
        ("SELECT filter(count(*), WHERE ok IS TRUE) FROM Hit", 2),
        ("SELECT filter(max(duration), WHERE app = 'api') FROM Hit", 0.4),
        ("SELECT percentage(count(*), WHERE ok IS TRUE) FROM Hit", 40.0),
        ("SELECT percentage(count(*), WHERE ok IS TRUE) FROM Nothing", None),
        ("SELECT rate(count(*), 12 minutes) FROM Hit", 1.0),
        ("SELECT percentile(duration, 0, 50, 100) FROM Hit", {"0": 0.2, "50": 0.7, "100": 3.0}),
        ("SELECT percentile(duration) FROM Hit WHERE duration = 3", {"95": 3.0}),
        ("SELECT median(duration) FROM Hit", {"50": 0.7}),
        ("SELECT histogram(duration, 2, 4) FROM Hit", {"0.0": 2, "0.5": 0, "1.0": 1, "1.5": 1}),
        ("SELECT histogram(duration, width: 1, buckets: 2, start: 1) FROM Hit", {"1.0": 3, "1.5": 1}),
        (
            "SELECT apdex(duration, t: 0.4) AS a FROM Hit",
            [{"score": 0.625, "s": 2, "t": 1, "f": 1, "count": 4}, 0.625, 2, 1, 1, 4],
        ),
        ("SELECT count(*) * 2 + 1 AS x FROM Hit", 11),
        ("SELECT sum(n) / 0 AS x FROM Hit", None),
        ("SELECT round(average(duration), 0.5) AS x FROM Hit", 1.0),
        ("SELECT if(count(*) > 3, 'many', 'few') AS x FROM Hit", "many"),
        ("SELECT aggregationendtime() FROM Hit", NOW_S * 1000),
    ],
)
def test_aggregates_give_what_the_reference_says(nrdb: LocalNrdb, text: str, expected: object) -> None:
    assert _values(nrdb, text) == [expected]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("app = 'api'", 2),  # = is case-sensitive
        ("app LIKE 'api'", 3),  # LIKE is not
        ("app LIKE 'A%'", 3),
        ("app LIKE '_pi'", 0),  # only % is a wildcard
        ("app NOT LIKE 'a%'", 1),  # and null is neither
        ("app RLIKE r'a.*'", 2),  # the whole text
        ("app RLIKE r'p'", 0),
        ("app != 'api'", 2),
        ("NOT app = 'api'", 2),
        ("app IS NULL", 1),
        ("app IS NOT NULL", 4),
        ("nothing IS NULL", 5),
        ("nothing IS NOT NULL", 0),
        ("nothing = 1", 0),
        ("NOT nothing = 1", 0),
        ("app IN ('api', 'web')", 3),
        ("app NOT IN ('api', 'web')", 1),
        ("status >= 500", 0),  # no coercion: text is no number
        ("NOT status >= 500", 0),
        ("numeric(status) >= 500", 1),
        ("duration = '0.4'", 0),
        ("duration > 0.4", 2),
        ("n = 9007199254740993", 1),
        ("n = 9007199254740992", 0),
        ("n IN (1, 'two', 5)", 2),
        ("ok IS TRUE", 2),
        ("ok IS FALSE", 2),
        ("ok IS NOT TRUE", 3),  # null is not true
        ("status IS TRUE", 0),
        ("app = 'api' AND duration < 0.3 OR app = 'web'", 2),
        ("duration * 10 > 5", 2),
        ("length(app) = 3 AND substring(app, 0, 1) = 'A'", 1),
        ("lower(app) = 'api'", 3),
        ("if(ok, 1, 0) = 1", 2),
        ("duration > (SELECT average(duration) FROM Hit)", 1),
        ("app IN (SELECT uniques(app) FROM HitError)", 2),
        ("app IN (FROM Hit SELECT app WHERE n = 2 LIMIT 1)", 1),
        ("eventType() = 'Hit'", 5),
    ],
)
def test_conditions_let_pass_what_they_say(nrdb: LocalNrdb, where: str, rows: int) -> None:
    assert _values(nrdb, f"SELECT count(*) FROM Hit WHERE {where}") == [rows]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("substring('abcdef', -2)", "ef"),
        ("substring('abc', -5)", "abc"),
        ("substring('abc', 1, 1)", "b"),
        ("substring('abc', 7)", ""),
        ("position('a/b', '/')", 1),
        ("position('ab', '/')", None),
        ("concat('a', 1, true)", "a1true"),
        ("capture('GET /x', r'(?P<verb>[A-Z]+) .*')", "GET"),
        ("capture('get /x', r'(?P<verb>[A-Z]+) .*')", None),
        ("aparse('id: 7; name: x', '%ID: *;%')", "7"),
        ("numeric('12.5')", 12.5),
        ("numeric('12.5s')", None),
        ("numeric('nan')", None),
        ("boolean('true')", True),
        ("string(5)", "5"),
        ("mod(-7, 3)", 2),
        ("sqrt(-1)", None),
        ("7 / 2", 3.5),
        ("-(3) + 5", 2),
        ("hourOf(timestamp)", "22:00"),
        ("hourOf(timestamp, numeric)", 22),
        ("weekdayOf(timestamp)", "Tuesday"),
        ("weekdayOf(timestamp, numeric)", 2),
        ("dateOf(timestamp)", "November 14, 2023"),
        ("monthOf(timestamp)", "November 2023"),
        ("quarterOf(timestamp)", "Q4 2023"),
        ("weekOf(timestamp)", "Week of November 13"),
        ("daysInMonthOf(timestamp, numeric)", 30),
        ("minuteOf(timestamp)", "12"),
    ],
)
def test_functions_of_a_row_give_what_the_reference_says(nrdb: LocalNrdb, expression: str, expected: object) -> None:
    assert _values(nrdb, f"SELECT {expression} AS x FROM Hit WHERE n = 9007199254740993") == [expected]


def test_times_of_the_day_follow_the_zone_of_the_statement(nrdb: LocalNrdb) -> None:
    text = "SELECT hourOf(timestamp), dateOf(timestamp) FROM Hit LIMIT 1 WITH TIMEZONE 'Asia/Tokyo'"
    assert _values(nrdb, text) == [["7:00", "November 15, 2023"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT max(c) FROM (SELECT count(*) AS c FROM Hit FACET app LIMIT MAX)", [2]),
        (
            "SELECT count(*), min(c) FROM (SELECT count(*) AS c FROM Hit TIMESERIES 1 minute)",
            [[60, 0]],
        ),  # empty ones count
        (
            "SELECT count(c), count(*) FROM (SELECT average(duration) AS c FROM Hit TIMESERIES 30 minutes)",
            [[1, 2]],
        ),  # or are null
        (
            "FROM (FROM (FROM Hit SELECT count(*) AS c FACET app, ok LIMIT 9) SELECT sum(c) AS s) SELECT max(s)",
            [5],
        ),
        (
            "FROM Hit JOIN (FROM HitError SELECT count(*) AS e FACET app AS o) ON app = o SELECT count(*), latest(e)",
            [[2, 1]],
        ),
        (
            "FROM Hit LEFT JOIN (FROM HitError SELECT count(*) AS e FACET app) ON app SELECT count(*), count(e)",
            [[5, 2]],
        ),
        (
            "FROM Hit JOIN (FROM HitError SELECT message, app AS o LIMIT 9) ON app = o SELECT uniques(message)",
            [["boom"]],
        ),
        ("FROM Hit WITH duration * 1000 AS ms, numeric(status) AS code SELECT max(ms) WHERE code = 404", [1000.0]),
        ("FROM Hit WITH aparse(status, '*0*') AS (a, b) SELECT a, b WHERE status = '404'", [["4", "4"]]),
    ],
)
def test_statements_in_statements_give_what_both_say(nrdb: LocalNrdb, text: str, expected: object) -> None:
    assert _values(nrdb, text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT cdfPercentage(duration, 1) FROM Hit", "cdfPercentage()"),
        ("SELECT derivative(duration, 1 minute) FROM Hit", "derivative()"),
        ("SELECT funnel(app, WHERE ok IS TRUE) FROM Hit", "funnel()"),
        ("SELECT count(*) FROM Hit EXTRAPOLATE", "EXTRAPOLATE"),
        ("SELECT count(*) FROM Hit TIMESERIES 5 minutes SLIDE BY 1 minute", "SLIDE BY"),
        ("SELECT count(*) FROM Hit TIMESERIES 1 second", "366"),
        ("SELECT count(*) FROM Hit WHERE status != 500", "!="),
        ("SELECT count(*) FROM Hit WHERE status NOT IN (500)", "!="),
        ("SELECT count(*) FROM Hit WHERE app = NULL", "NULL"),
        ("SELECT count(*) FROM Hit WHERE ok = true", "booleans"),
        ("SELECT count(*) FROM Hit WHERE app + 1 > 2", "arithmetic"),
        ("SELECT app, count(*) FROM Hit", "an attribute beside aggregates"),
        ("SELECT app FROM Hit FACET app", "without an aggregate"),
        ("SELECT count(*) FROM Hit FACET app LIMIT 5001", "5,000"),
        ("SELECT count(*) FROM Hit FACET a, b, c, d, e, f", "5 facets"),
        ("SELECT average(c) FROM (SELECT count(*) AS c FROM Hit FACET app)", "without LIMIT"),
        ("SELECT rate(count(*)) FROM Hit", "rate()"),
        ("SELECT max(n) AS x, min(n) AS x FROM Hit", "called x"),
        ("SELECT count(*) AS app FROM Hit FACET app", "called app"),
        ("SELECT count(*) AS 'facet' FROM Hit FACET app", "called facet"),
        ("SELECT max(`\ud800`) FROM (SELECT count(*) AS `\ud800` FROM Hit)", "half a character"),
        ("SELECT buckets(duration, 1) FROM Hit", "buckets()"),
        (
            "FROM Hit JOIN (FROM HitError SELECT count(*) FACET app, message AS duration) ON app SELECT count(*)",
            "duration",
        ),
        ("SELECT sqrt(" + "sqrt(" * 40 + "duration" + ")" * 41 + " FROM Hit", "nested"),
    ],
)
def test_what_would_not_be_right_is_refused_by_name(nrdb: LocalNrdb, text: str, named: str) -> None:
    with pytest.raises(NotTranslated) as refusal:
        nrdb.run(text)
    assert named in str(refusal.value)


def test_a_key_of_join_with_too_many_rows_is_refused() -> None:
    tables = {"A": "SELECT range AS i, 1 AS k FROM range(101)", "B": "SELECT 1 AS k"}
    nrdb = LocalNrdb(tables=tables, clock=lambda: float(NOW_S))
    text = "FROM B JOIN (FROM A SELECT i, k AS other {} SINCE 2 days ago) ON k = other SELECT count(*) SINCE 2 days ago"
    try:
        assert nrdb.run(text.format("LIMIT 100"))["results"] == [{"count": 100}]
        with pytest.raises(NotTranslated, match="more than 100 rows"):
            nrdb.run(text.format("LIMIT MAX"))
    finally:
        nrdb.close()


def test_an_attribute_of_two_kinds_is_not_mixed() -> None:
    tables = {"A": "SELECT 1 AS code", "B": "SELECT 'x' AS code"}
    nrdb = LocalNrdb(tables=tables, clock=lambda: float(NOW_S))
    try:
        assert nrdb.run("SELECT count(*) FROM A, B SINCE 2 days ago")["results"] == [{"count": 2}]
        with pytest.raises(NotTranslated, match="code"):
            nrdb.run("SELECT count(*) FROM A, B WHERE code = 1")
    finally:
        nrdb.close()

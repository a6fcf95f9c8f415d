"""NRQL is read as New Relic documents it, and written in one spelling, whatever the order and the case it came in.

Promise: equal questions are equal texts, so that they are asked once.
"""

import pytest

from sources.nrql.parse import parse
from sources.nrql.text import literal
from sources.nrql.text import name_text
from sources.nrql.text import printed
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import In
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Query
from sources.nrql.tree import Show
from sources.nrql.tree import Text
from sources.nrql.tree import Unary
from sources.nrql.walk import walk

WRITTEN = {
    "from first": ("from T select COUNT( * )", "SELECT count(*) FROM T"),
    "clauses in any order": (
        "FROM T SINCE 1 day ago FACET a SELECT count(*) LIMIT 5 WHERE b = 1",
        "SELECT count(*) FROM T WHERE b = 1 FACET a LIMIT 5 SINCE 1 day ago",
    ),
    "several event types": ("SELECT * FROM Log , Span", "SELECT * FROM Log, Span"),
    "comments": ("SELECT a -- one\n, b // two\n FROM /* three ** */ T;", "SELECT a, b FROM T"),
    "functions as documented": (
        "SELECT UNIQUECOUNT(a), eventtype() FROM T",
        "SELECT uniqueCount(a), eventType() FROM T",
    ),
    "labels": ('SELECT a AS "x y", b AS b2, c AS `c d` FROM T', "SELECT a AS 'x y', b AS b2, c AS 'c d' FROM T"),
    "odd names": ("SELECT `a b`, `since`, a.b, k8s:pod FROM T", "SELECT `a b`, `since`, a.b, `k8s:pod` FROM T"),
    "needless backticks": ("SELECT `duration` FROM `T`", "SELECT duration FROM T"),
    "keywords that are names where they must be": ("SELECT limit, desc FROM T", "SELECT `limit`, `desc` FROM T"),
    "a quote in a text": (r"SELECT a FROM T WHERE b = 'it\'s'", r"SELECT a FROM T WHERE b = 'it\'s'"),
    "patterns": (r"SELECT a FROM T WHERE b RLIKE r'\d+.*'", r"SELECT a FROM T WHERE b RLIKE r'\d+.*'"),
    "patterns with doubled backslashes": (
        r"SELECT a FROM T WHERE b NOT RLIKE '\\d+'",
        r"SELECT a FROM T WHERE b NOT RLIKE r'\d+'",
    ),
    "precedence": (
        "SELECT a FROM T WHERE ((a = 1) OR (b = 2 AND (NOT c = 3)))",
        "SELECT a FROM T WHERE a = 1 OR b = 2 AND NOT c = 3",
    ),
    "parentheses that matter": (
        "SELECT (a + b) * c, a - (b - c), -(a + b), -(-a) FROM T WHERE (a OR b) AND NOT (c AND d)",
        "SELECT (a + b) * c, a - (b - c), -(a + b), -(-a) FROM T WHERE (a OR b) AND NOT (c AND d)",
    ),
    "conditions": (
        "SELECT a FROM T WHERE a not in (1,'x') and b is not null and c IS true and d not like '%x' and e In (2)",
        "SELECT a FROM T WHERE a NOT IN (1, 'x') AND b IS NOT NULL AND c IS TRUE AND d NOT LIKE '%x' AND e IN (2)",
    ),
    "numbers stay as they are": (
        "SELECT a FROM T WHERE a = 12345678901234567890 OR b = 1.50e-3 OR c = .5",
        "SELECT a FROM T WHERE a = 12345678901234567890 OR b = 1.50e-3 OR c = .5",
    ),
    "conditions in functions": (
        "SELECT filter(count(*), where a = 1) as 'x', PERCENTAGE(count(*), WHERE b IS NULL) FROM T",
        "SELECT filter(count(*), WHERE a = 1) AS x, percentage(count(*), WHERE b IS NULL) FROM T",
    ),
    "cases": (
        "SELECT count(*) FROM T FACET CASES (WHERE a < 1 AS 'fast', WHERE a >= 1 and b = 2) OR name",
        "SELECT count(*) FROM T FACET cases(WHERE a < 1 AS 'fast', WHERE a >= 1 AND b = 2) OR name",
    ),
    "funnel": (
        "SELECT funnel(session, WHERE a = 'x' AS 'Step 1', WHERE a = 'y' AS 'Step 2') FROM PageView",
        "SELECT funnel(session, WHERE a = 'x' AS 'Step 1', WHERE a = 'y' AS 'Step 2') FROM PageView",
    ),
    "labelled arguments": (
        "SELECT apdex(a, t:0.4), histogram(a, width: 10, buckets:20), cardinality(m, include:{a, b}) FROM T",
        "SELECT apdex(a, t: 0.4), histogram(a, width: 10, buckets: 20), cardinality(m, include: {a, b}) FROM T",
    ),
    "a labelled argument without a space": (
        "SELECT * FROM Log WHERE allcolumnsearch('x', insensitive:true)",
        "SELECT * FROM Log WHERE allColumnSearch('x', insensitive: true)",
    ),
    "elements of lists": (
        "SELECT durations[2], a[0][1] FROM T",
        "SELECT getField(durations, 2), getField(getField(a, 0), 1) FROM T",
    ),
    "facet order": (
        "FROM T SELECT average(a) TIMESERIES FACET b ORDER BY max(c) DESC",
        "SELECT average(a) FROM T FACET b ORDER BY max(c) TIMESERIES",
    ),
    "orders": (
        "SELECT a FROM T ORDER BY b desc, c ASC LIMIT MAX OFFSET 5",
        "SELECT a FROM T ORDER BY b DESC, c LIMIT MAX OFFSET 5",
    ),
    "sliding windows": (
        "SELECT rate(count(*), 1 Minute) FROM T TIMESERIES 5 minutes SLIDE BY 1 minute",
        "SELECT rate(count(*), 1 minute) FROM T TIMESERIES 5 minutes SLIDE BY 1 minute",
    ),
    "automatic steps": (
        "SELECT count(*) FROM T TIMESERIES 5 minutes SLIDE BY auto",
        "SELECT count(*) FROM T TIMESERIES 5 minutes SLIDE BY AUTO",
    ),
    "windows": (
        "SELECT count(*) FROM T SINCE last WEEK UNTIL yesterday AT '01:30' WITH TIMEZONE 'Europe/Berlin'",
        "SELECT count(*) FROM T SINCE last week UNTIL yesterday AT '01:30' WITH TIMEZONE 'Europe/Berlin'",
    ),
    "dates and milliseconds": (
        "SELECT count(*) FROM T SINCE '2026-01-31 12:00' UNTIL 1767225600000",
        "SELECT count(*) FROM T SINCE '2026-01-31 12:00' UNTIL 1767225600000",
    ),
    "comparing": (
        "SELECT count(*) FROM T TIMESERIES AUTO COMPARE WITH 1 WEEK AGO SINCE 1 days ago UNTIL Now EXTRAPOLATE",
        "SELECT count(*) FROM T SINCE 1 day ago UNTIL now COMPARE WITH 1 week ago TIMESERIES AUTO EXTRAPOLATE",
    ),
    "predictions": (
        "FROM T SELECT count(*) TIMESERIES PREDICT holtwinters(seasonality: 1 hour) BY 30 minutes USING 2 hours",
        "SELECT count(*) FROM T TIMESERIES PREDICT holtwinters(seasonality: 1 hour) BY 30 minutes USING 2 hours",
    ),
    "a prediction alone": ("FROM T SELECT count(*) TIMESERIES PREDICT", "SELECT count(*) FROM T TIMESERIES PREDICT"),
    "nested in FROM": (
        "SELECT max(rpm) FROM (SELECT count(*) AS 'rpm' FROM T TIMESERIES 1 minute) SINCE 1 day ago",
        "SELECT max(rpm) FROM (SELECT count(*) AS rpm FROM T TIMESERIES 1 minute) SINCE 1 day ago",
    ),
    "nested as a value": (
        "SELECT count(*) FROM T WHERE a > (FROM T SELECT average(a)) AND b IN (FROM L SELECT uniques(b))",
        "SELECT count(*) FROM T WHERE a > (SELECT average(a) FROM T) AND b IN (SELECT uniques(b) FROM L)",
    ),
    "joins": (
        "FROM A LEFT JOIN (FROM B SELECT max(x) AS n FACET k LIMIT MAX) AS j ON upper(id) = k SELECT count(*) FACET n",
        "SELECT count(*) FROM A LEFT JOIN (SELECT max(x) AS n FROM B FACET k LIMIT MAX) AS j ON upper(id) = k FACET n",
    ),
    "joins on one name": (
        "FROM A INNER JOIN (FROM B SELECT count(*) FACET k) ON k SELECT count(*)",
        "SELECT count(*) FROM A JOIN (SELECT count(*) FROM B FACET k) ON k",
    ),
    "variables": (
        "WITH aparse(m, '%id:*,n:*%') AS (id, `n n`), numeric(id) AS x FROM Log SELECT sum(x) FACET id",
        "SELECT sum(x) FROM Log WITH aparse(m, '%id:*,n:*%') AS (id, `n n`), numeric(id) AS x FACET id",
    ),
    "lookup tables": ("FROM lookup(storeNames) SELECT *", "SELECT * FROM lookup(storeNames)"),
    "metric formats": (
        "FROM Metric SELECT average(newrelic.timeslice.value) WITH METRIC_FORMAT 'Custom/{x}' FACET x",
        "SELECT average(newrelic.timeslice.value) FROM Metric FACET x WITH METRIC_FORMAT 'Custom/{x}'",
    ),
    "event types": ("show event types since 1 day ago", "SHOW EVENT TYPES SINCE 1 day ago"),
}


@pytest.mark.parametrize(("written", "expected"), WRITTEN.values(), ids=WRITTEN.keys())
def test_a_statement_is_written_in_one_spelling(written: str, expected: str) -> None:
    statement = parse(written)
    assert printed(statement) == expected
    assert parse(expected) == statement


def test_statements_of_one_meaning_are_one_text() -> None:
    texts = (
        "select COUNT(*) from T where `a`=1",
        "FROM T SELECT count( * ) WHERE (a = 1);",
        "SELECT count(*) FROM T /**/WHERE a=1",
    )
    assert len({printed(parse(text)) for text in texts}) == 1


def test_clauses_are_kept_by_what_they_mean() -> None:
    query = parse(
        "FROM T SELECT count(*) WHERE NOT a LIKE 'x%' AND b NOT IN ('y') FACET c LIMIT 7 SINCE 2 hours ago TIMESERIES"
    )
    assert isinstance(query, Query)
    assert query.sources == (Name(name="T"),)
    assert query.limit is not None
    assert query.limit.rows == 7
    assert query.since is not None
    assert isinstance(query.since.value, Duration)
    assert query.since.value.ms == 7_200_000
    assert query.timeseries is not None
    assert query.timeseries.width is None
    assert isinstance(query.where, Binary)
    assert isinstance(query.where.left, Unary)
    assert isinstance(query.where.right, In)
    assert query.where.right.negated


def test_show_is_told_apart() -> None:
    statement = parse("SHOW EVENT TYPES")
    assert isinstance(statement, Show)
    assert statement.what == "event types"


def test_what_was_read_knows_its_place() -> None:
    text = (
        "SELECT count(*), max(duration) FROM Transaction WHERE `odd name` = 'x' AND b IN (SELECT uniques(c) FROM Log)"
    )
    query = parse(text)
    assert isinstance(query, Query)
    assert query.where is not None
    found = [text[each.span.start : each.span.end] for each in walk(query.where)]
    assert found == [
        text[text.index("`odd") :],
        "`odd name` = 'x'",
        "`odd name`",
        "'x'",
        text[text.index("b IN") :],
        "b",
        text[text.index("(SELECT") :],
    ]
    assert text[slice(*query.select[1].span)] == "max(duration)"
    assert text[slice(*query.sources[0].span)] == "Transaction"
    nested = list(walk(query.where))[-1]
    assert isinstance(nested, Nested)
    assert text[slice(*nested.query.span)] == "SELECT uniques(c) FROM Log"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("duration", "duration"),
        ("request.headers.host", "request.headers.host"),
        ("a b", "`a b`"),
        ("a-b", "`a-b`"),
        ("2xx", "`2xx`"),
        ("größe", "`größe`"),
        ("SELECT", "`SELECT`"),
        ("Limit", "`Limit`"),
        ("a`b", "`a``b`"),
        ("aws:tag", "`aws:tag`"),
    ],
)
def test_a_name_is_bare_only_where_that_is_safe(name: str, expected: str) -> None:
    assert name_text(name) == expected
    query = parse(f"SELECT {expected} FROM T")
    assert isinstance(query, Query)
    assert query.select[0].value == Name(name=name)


@pytest.mark.parametrize(
    "value", ["", "plain", "it's", "back\\slash", "\\'", "line\nbreak", 'double"quote', "ünï", "\\n", "%"]
)
def test_a_text_comes_back_as_it_was(value: str) -> None:
    query = parse(f"SELECT a FROM T WHERE b = {literal(value)}")
    assert isinstance(query, Query)
    assert isinstance(query.where, Binary)
    assert query.where.right == Text(value=value)


def test_long_chains_are_read_without_recursion() -> None:
    query = parse("SELECT a FROM T WHERE " + " OR ".join(f"b = {each}" for each in range(70)))
    assert isinstance(query, Query)
    assert query.where is not None
    assert sum(isinstance(each, Binary) for each in walk(query.where)) == 70 + 69


def test_a_long_list_is_no_chain() -> None:
    query = parse(f"SELECT a FROM T WHERE b IN ({', '.join(map(str, range(3_000)))})")
    assert isinstance(query, Query)
    assert isinstance(query.where, In)
    assert isinstance(query.where.options, tuple)
    assert len(query.where.options) == 3_000


def test_functions_are_kept_in_lower_case() -> None:
    query = parse("SELECT UniqueCount(a) FROM T")
    assert isinstance(query, Query)
    value = query.select[0].value
    assert isinstance(value, Call)
    assert value.function == "uniquecount"

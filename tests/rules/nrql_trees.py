"""Random trees of NRQL statements, and what people write, for tests that hold whatever the statement."""

from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st

from sources.nrql.tree import Argument
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import Facet
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Join
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Null
from sources.nrql.tree import Number
from sources.nrql.tree import Order
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Show
from sources.nrql.tree import Star
from sources.nrql.tree import Statement
from sources.nrql.tree import Text
from sources.nrql.tree import Timeseries
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.tree import Where

TYPICAL = (
    "SELECT count(*) FROM Transaction",
    "SELECT count(*) FROM Transaction WHERE appName = 'checkout' SINCE 1 day ago",
    "SELECT average(duration), percentile(duration, 95) FROM Transaction FACET appName LIMIT 20",
    "FROM Log SELECT * WHERE level IN ('ERROR', 'WARN') SINCE 1 hour ago LIMIT 100",
    "SELECT count(*) FROM Transaction TIMESERIES 5 minutes SINCE 3 hours ago",
    "SELECT uniqueCount(session) FROM PageView SINCE 1 week ago COMPARE WITH 1 week ago",
    "SHOW EVENT TYPES SINCE 1 day ago",
    "SELECT keyset() FROM Transaction SINCE 1 day ago",
    "SELECT percentage(count(*), WHERE error IS true) AS 'errors' FROM Transaction FACET name SINCE 2 hours ago",
    "SELECT filter(count(*), WHERE `http.statusCode` >= 500) AS bad, count(*) FROM Transaction WHERE host LIKE 'a%'",
    "SELECT max(rpm) FROM (SELECT count(*) AS rpm FROM Transaction TIMESERIES 1 minute) SINCE 3 hours ago",
    "FROM Metric SELECT uniques(metricName, 1000) WHERE metricName NOT LIKE 'newrelic.%' SINCE 1 day ago",
)
"""Short statements as they are asked all day; measured by bench/nrql_bench.py."""

ODD = (
    r"SELECT capture(message, r'(?P<id>\d+)') FROM Log WHERE a RLIKE r'x\d' AND b = 'it\'s' -- done",
    "WITH aparse(message, '%id:*,%') AS (id, n) FROM Log SELECT count(*) FACET id ORDER BY max(n) LIMIT MAX",
    "FROM A LEFT JOIN (FROM B SELECT latest(x) AS y FACET k LIMIT MAX) ON id = k SELECT y, (a + b) * -c / 2",
    "SELECT count(*) FROM T FACET CASES(WHERE a < .5 AS 'x', WHERE NOT (b OR c)) OR d TIMESERIES AUTO",
    "SELECT a[0], `b c`, d:e FROM `T u` WHERE a IN (SELECT uniques(a) FROM `V`) /* x */ OFFSET 5 LIMIT 10;",
    "SELECT rate(sum(a), 1 minute) FROM T SINCE yesterday AT '12:30' UNTIL '2026-01-31T00:00:00Z' EXTRAPOLATE",
    "SELECT sum(a) FROM T WITH TIMEZONE 'Asia/Tokyo' TIMESERIES 5 minutes SLIDE BY MAX PREDICT BY 1 hour",
)

_T = TypeVar("_T")
_FUNCTIONS = (
    "count",
    "uniquecount",
    "percentile",
    "latest",
    "if",
    "numeric",
    "concat",
    "capture",
    "a.b",
    "max",
    "cases",
)
_OPERATORS = ("+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or", "like", "rlike")
_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_WORDS = ("now", "today", "yesterday", "friday", "this week", "last month", "last quarter")

_spelling = st.text(min_size=1, max_size=6) | st.sampled_from(
    (
        "duration",
        "a.b",
        "select",
        "Limit",
        "t",
        "r",
        "ago",
        "at",
        "day",
        "as",
        "it's",
        "a`b",
        "``",
        "k8s:x",
        "null",
        "_",
        "by",
    )
)
_numbers = st.builds(
    Number, text=st.integers(0, 10**20).map(str) | st.sampled_from(("0.5", "1e3", "2E-5", ".25", "1."))
)
_texts = st.builds(Text, value=st.text(max_size=8) | st.sampled_from(("\\", "'", "\\'", "%x%", "\\d+", "\n", "r'")))
_names = st.builds(Name, name=_spelling)
_labels = st.none() | _spelling | st.just("")
_durations = st.builds(Duration, amount=_numbers, unit=st.sampled_from(_UNITS))
_leaves = (
    _names | _numbers | _texts | _durations | st.builds(Truth, value=st.booleans()) | st.just(Null()) | st.just(Star())
)


def _grown(below: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    wheres = st.builds(Where, condition=below, alias=_labels)
    listed = st.builds(Call, function=st.just("{}"), arguments=_many(st.builds(Argument, value=below)))
    labels = st.sampled_from(("t", "width", "include", "x"))
    arguments = st.builds(Argument, value=below | wheres) | st.builds(Argument, value=below | listed, label=labels)
    calls = st.lists(arguments, max_size=3).map(tuple)
    return (
        st.builds(Binary, operator=st.sampled_from(_OPERATORS), left=below, right=below)
        | st.builds(Unary, operator=st.sampled_from(("-", "+", "not")), operand=below)
        | st.builds(Call, function=st.sampled_from(_FUNCTIONS), arguments=calls)
        | st.builds(In, needle=below, options=_many(below) | _nested(below), negated=st.booleans())
        | st.builds(Is, operand=below, what=st.sampled_from(("null", "true", "false")), negated=st.booleans())
        | _nested(below)
    )


def _many(items: st.SearchStrategy[_T]) -> st.SearchStrategy[tuple[_T, ...]]:
    return st.lists(items, min_size=1, max_size=3).map(tuple)


def _nested(values: st.SearchStrategy[Expression]) -> st.SearchStrategy[Nested]:
    """Small statements inside others."""
    selects = _many(st.builds(Selected, value=values, alias=_labels))
    queries = st.builds(Query, select=selects, sources=_many(_names), where=st.none() | values, limit=_limits)
    return st.builds(Nested, query=queries)


_limits = st.none() | st.builds(Limit, rows=st.just("max") | st.integers(0, 10**9 - 1))
_rows = st.none() | st.builds(Limit, rows=st.integers(0, 10**9 - 1))
_expressions: st.SearchStrategy[Expression] = st.recursive(_leaves, _grown, max_leaves=8)
_items = _many(st.builds(Selected, value=_expressions, alias=_labels))
_agos = st.builds(Moment, kind=st.just("ago"), value=_durations)
_moments = (
    _agos
    | st.builds(Moment, kind=st.just("at"), value=_numbers | _texts)
    | st.builds(Moment, kind=st.just("word"), value=st.sampled_from(_WORDS))
    | st.builds(Moment, kind=st.just("word"), value=st.text(max_size=5).map("monday at {}".format))
)
_widths = _durations | st.sampled_from(("auto", "max"))
_series = st.builds(Timeseries, width=st.none() | _durations, slide_by=st.none() | _widths) | st.builds(
    Timeseries, width=_widths
)
_variable_names = st.lists(_spelling.map(lambda each: each.replace(",", "_")), min_size=1, max_size=3).map(",".join)
_joins = st.builds(
    Join,
    kind=st.sampled_from(("inner", "left")),
    query=_nested(_leaves),
    alias=_labels,
    left=_expressions,
    right=_names,
)
_predicted = st.lists(
    st.sampled_from(
        (
            Selected(value=Call(function="holtwinters", arguments=(Argument(value=Number(text="1"), label="alpha"),))),
            Selected(value=Duration(amount=Number(text="1"), unit="hour"), alias="by"),
            Selected(value=Duration(amount=Number(text="2"), unit="day"), alias="using"),
        )
    ),
    unique=True,
    max_size=3,
).map(lambda parts: tuple(sorted(parts, key=lambda each: each.alias or "")))


def _ordered(descending: st.SearchStrategy[bool]) -> st.SearchStrategy[Order]:
    return st.builds(Order, value=_expressions, descending=descending)


def _one_order(query: Query) -> Query:
    """ORDER BY is not known beside FACET."""
    return replace(query, order_by=()) if query.facet else query


_queries = st.builds(
    Query,
    select=_items,
    sources=_many(_names)
    | _nested(_expressions).map(lambda each: (each,))
    | st.just((Call(function="lookup", arguments=(Argument(value=Name(name="x")),)),)),
    source_alias=_labels,
    join=st.none() | _joins,
    variables=st.just(()) | _many(st.builds(Selected, value=_expressions, alias=_variable_names)),
    where=st.none() | _expressions,
    facet=st.none() | st.builds(Facet, items=_items, order_by=st.none() | _ordered(st.booleans())),
    order_by=st.just(()) | _many(_ordered(st.booleans())),
    limit=_limits,
    offset=_rows,
    since=st.none() | _moments,
    until=st.none() | _moments,
    compare_with=st.none() | _agos,
    timeseries=st.none() | _series,
    timezone=st.none() | st.text(max_size=5),
    metric_format=st.none() | st.text(max_size=5),
    extrapolate=st.booleans(),
    predict=st.none() | _predicted,
).map(_one_order)
_shows = st.builds(Show, what=st.just("event types"), since=st.none() | _moments, until=st.none() | _moments)

STATEMENTS: st.SearchStrategy[Statement] = _queries | _shows
"""Any statement there can be, with odd names and texts in it."""

"""Assumptions about the answers to NRQL: a statement each, what should come, and whether it did."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

from sources.newrelic.assumptions import Account
from sources.newrelic.assumptions import Check
from sources.newrelic.assumptions import Looking
from sources.newrelic.assumptions import Seen
from sources.newrelic.shapes import at
from sources.newrelic.shapes import has_keys
from sources.newrelic.shapes import is_number
from sources.newrelic.shapes import objects
from sources.newrelic.shapes import shape

Row = Mapping[str, Any]

_KINDS: Final = {"string", "numeric", "boolean"}
_BEYOND_DOUBLES: Final = 2**53 + 1
_SECONDS_MOST: Final = 1e11
_STATS: Final = {"inspectedCount", "omittedCount", "matchCount", "wallClockTime", "exceedsRetentionWindow"}


def rows_check(
    name: str,
    expected: str,
    asked: str,
    judged: Callable[[Sequence[Row]], Seen],
    *,
    rank: int = 2,
) -> Check:
    """A statement over the busiest event type (`{type}`), and what its rows say. Without rows, they say nothing."""

    async def look(looking: Looking) -> Seen:
        text = looking.account.filled(asked)
        if text is None:
            return Seen(holds=None, shown="nothing in the account to ask about")
        found = await looking.rows(text)
        return judged(found) if found else Seen(holds=None, shown="no rows")

    return Check(name=name, expected=expected, look=look, rank=rank)


def _rows(name: str, expected: str, asked: str, fits: Callable[[Row], bool], rank: int = 2) -> Check:
    """As `rows_check`: each row must fit, and its shape is shown."""
    return rows_check(
        name, expected, asked, lambda found: Seen(holds=all(map(fits, found)), shown=shape(found)), rank=rank
    )


def _container(
    name: str,
    expected: str,
    asked: str,
    part: Callable[[Row, Account], tuple[bool | None, object]],
    rank: int = 2,
) -> Check:
    """A statement of whose container one part is judged and shown."""

    async def look(looking: Looking) -> Seen:
        found = await looking.container(looking.account.filled(asked) or asked)
        holds, value = part(found, looking.account)
        return Seen(holds=holds, shown=shape(value))

    return Check(name=name, expected=expected, look=look, rank=rank)


def _is_histogram_of(value: object, *names: str) -> bool:
    return all(is_number(at(value, name)) for name in names)


SHAPES: Final = (
    _rows(
        "keyset()",
        "[{key: string, type: string}], types string, numeric, boolean",
        "SELECT keyset() FROM {type} SINCE 1 hour ago",
        lambda row: isinstance(row.get("key"), str) and row.get("type") in _KINDS,
        rank=1,
    ),
    _rows(
        "FACET eventType() over several types",
        "[{count: number, earliest.timestamp: number, facet: string, latest.timestamp: number}]",
        "SELECT count(*), earliest(timestamp), latest(timestamp) FROM {types} FACET eventType() LIMIT MAX",
        lambda row: (
            isinstance(row.get("facet"), str)
            and all(is_number(row.get(key)) for key in ("count", "earliest.timestamp", "latest.timestamp"))
        ),
        rank=1,
    ),
    _rows(
        "bytecountestimate()",
        "[{bytecountestimate: number}]",
        "SELECT bytecountestimate() FROM {type}",
        lambda row: is_number(row.get("bytecountestimate")),
        rank=3,
    ),
    _rows(
        "uniques(a, n)",
        "[{uniques.timestamp: [number]}]",
        "SELECT uniques(timestamp, 3) FROM {type}",
        lambda row: isinstance(row.get("uniques.timestamp"), list),
        rank=1,
    ),
    _rows(
        "percentile(a, 50, 95)",
        "[{percentile.timestamp: {50: number, 95: number}}]",
        "SELECT percentile(timestamp, 50, 95) FROM {type}",
        lambda row: _is_histogram_of(row.get("percentile.timestamp"), "50", "95"),
    ),
    _rows(
        "percentile(...) AS p",
        "[{p: {50: number, 95: number}}]",
        "SELECT percentile(timestamp, 50, 95) AS p FROM {type}",
        lambda row: _is_histogram_of(row.get("p"), "50", "95"),
        rank=1,
    ),
    _rows(
        "apdex(a, t: n)",
        "[{apdex.timestamp: {count: number, f: number, s: number, score: number, t: number}, ...}]",
        "SELECT apdex(timestamp, t: 0.5) FROM {type}",
        lambda row: _is_histogram_of(row.get("apdex.timestamp"), "score", "s", "t", "f", "count"),
        rank=3,
    ),
    _rows(
        "filter(...) AS n",
        "[{n: number}]",
        "SELECT filter(count(*), WHERE timestamp IS NOT NULL) AS n FROM {type}",
        lambda row: is_number(row.get("n")),
        rank=1,
    ),
    _rows(
        "TIMESERIES",
        "[{beginTimeSeconds: number, count: number, endTimeSeconds: number, inspectedCount: number}], in seconds",
        "SELECT count(*) FROM {type} TIMESERIES 10 minutes SINCE 1 hour ago",
        lambda row: (
            all(is_number(row.get(key)) for key in ("beginTimeSeconds", "endTimeSeconds", "inspectedCount"))
            and row["beginTimeSeconds"] < _SECONDS_MOST
        ),
        rank=1,
    ),
    _rows(
        "a bucket without rows",
        "[{average.timestamp: zero, beginTimeSeconds: number, endTimeSeconds: number, max.timestamp: null, ...}]",
        "SELECT average(timestamp), max(timestamp) FROM {type} WHERE timestamp < 0 TIMESERIES 5 minutes "
        "SINCE 10 minutes ago",
        lambda row: row.get("average.timestamp") == 0 and row.get("max.timestamp") is None,
        rank=1,
    ),
    _rows(
        "LIMIT MAX",
        "accepted",
        "SELECT count(*) FROM {type} FACET hourOf(timestamp) LIMIT MAX",
        lambda _row: True,
        rank=1,
    ),
    _rows(
        "whole numbers",
        "kept whole in JSON",
        "SELECT max(timestamp) FROM {type}",
        lambda row: isinstance(row.get("max.timestamp"), int),
    ),
    _rows(
        "numbers beyond 2^53",
        "kept exactly",
        f"SELECT max(timestamp) * 0 + {_BEYOND_DOUBLES} AS n FROM {{type}}",
        lambda row: row.get("n") == _BEYOND_DOUBLES and isinstance(row.get("n"), int),
        rank=3,
    ),
    _rows(
        "an unknown event type",
        "[{count: zero}], no error",
        "SELECT count(*) FROM UdsLooksForNothingHere",
        lambda row: row.get("count") == 0,
        rank=1,
    ),
    _rows(
        "an unknown attribute",
        "[{n: zero}], no error",
        "SELECT count(udsLooksForNothingHere) AS n FROM {type}",
        lambda row: row.get("n") == 0,
        rank=1,
    ),
)


def _compared(container: Row, _account: Account) -> tuple[bool | None, object]:
    rows = objects(container.get("results"))
    parts = {name: container.get(name) for name in ("results", "currentResults", "previousResults")}
    marked = {row.get("comparison") for row in rows} == {"current", "previous"}
    return marked and all(isinstance(part, list) for part in parts.values()), parts


def _window(container: Row, account: Account) -> tuple[bool | None, object]:
    window = at(container, "metadata", "timeWindow")
    return at(window, "begin") == account.now_ms - 3_600_000 and at(window, "end") == account.now_ms, window


def _several_facets(container: Row, _account: Account) -> tuple[bool | None, object]:
    rows = objects(container.get("results"))
    names: object = at(container, "metadata", "facets")
    held = bool(names) and all(isinstance(row.get("facet"), list) for row in rows)
    return held if rows else None, {"results": rows, "facets": names}


def _other_and_total(container: Row, kind: type) -> tuple[bool | None, object]:
    parts = {name: container.get(name) for name in ("otherResult", "totalResult")}
    return all(isinstance(part, kind) for part in parts.values()) if container.get("results") else None, parts


def _statistics(container: Row, _account: Account) -> tuple[bool | None, object]:
    stats = at(container, "rawResponse", "performanceStats")
    return has_keys(stats, _STATS), stats


PARTS: Final = (
    _container(
        "COMPARE WITH",
        "{currentResults: [..], previousResults: [..], results: [{comparison: string, count: number}]}",
        "SELECT count(*) FROM {type} SINCE 1 hour ago COMPARE WITH 1 hour ago",
        _compared,
        rank=1,
    ),
    _container(
        "SINCE and UNTIL in epoch milliseconds",
        "{begin: number, end: number, ..}, as asked",
        "SELECT count(*) FROM {type} SINCE {begin} UNTIL {end}",
        _window,
        rank=1,
    ),
    _container(
        "several FACETs",
        "{facets: [string], results: [{count: number, facet: [string]}]}",
        "SELECT count(*) FROM {type} FACET eventType(), hourOf(timestamp)",
        _several_facets,
        rank=1,
    ),
    _container(
        "other and total of a FACET",
        "{otherResult: {count: number}, totalResult: {count: number}}",
        "SELECT count(*) FROM {type} FACET hourOf(timestamp) LIMIT 1 SINCE 3 hours ago",
        lambda container, _account: _other_and_total(container, dict),
    ),
    _container(
        "other and total of a FACET by time",
        "{otherResult: [..], totalResult: [..]}",
        "SELECT count(*) FROM {type} FACET hourOf(timestamp) LIMIT 1 TIMESERIES 1 hour SINCE 3 hours ago",
        lambda container, _account: _other_and_total(container, list),
    ),
    _container(
        "performance statistics",
        f"{{{', '.join(sorted(_STATS))}}}",
        "SELECT count(*) FROM {type}",
        _statistics,
    ),
)

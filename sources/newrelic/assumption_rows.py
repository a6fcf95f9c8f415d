"""Assumptions about the answers to NRQL: a statement each, what should come, and whether it did."""

from collections.abc import Callable
from collections.abc import Mapping
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


def _rows(name: str, expected: str, asked: str, fits: Callable[[Row], bool]) -> Check:
    """A statement over the busiest event type (`{type}`), each of whose rows must fit."""

    async def look(looking: Looking) -> Seen:
        found = await looking.rows(_filled(asked, looking.account))
        return Seen(holds=all(map(fits, found)) if found else None, shown=shape(found))

    return Check(name=name, expected=expected, look=look)


def _container(
    name: str, expected: str, asked: str, part: Callable[[Row, Account], tuple[bool | None, object]]
) -> Check:
    """A statement of whose container one part is judged and shown."""

    async def look(looking: Looking) -> Seen:
        found = await looking.container(_filled(asked, looking.account))
        holds, value = part(found, looking.account)
        return Seen(holds=holds, shown=shape(value))

    return Check(name=name, expected=expected, look=look)


def _filled(asked: str, account: Account) -> str:
    types = ", ".join(f"`{name}`" for name in account.event_types) or account.event_type
    values = {"type": account.event_type, "types": types, "end": account.now_ms, "begin": account.now_ms - 3_600_000}
    return asked.format(**values)


def _is_histogram_of(value: object, *names: str) -> bool:
    return all(is_number(at(value, name)) for name in names)


SHAPES: Final = (
    _rows(
        "keyset()",
        "[{key: string, type: string}], types string, numeric, boolean",
        "SELECT keyset() FROM {type} SINCE 1 hour ago",
        lambda row: isinstance(row.get("key"), str) and row.get("type") in _KINDS,
    ),
    _rows(
        "FACET eventType() over several types",
        "[{count: number, earliest.timestamp: number, facet: string, latest.timestamp: number}]",
        "SELECT count(*), earliest(timestamp), latest(timestamp) FROM {types} FACET eventType() LIMIT MAX",
        lambda row: (
            isinstance(row.get("facet"), str)
            and all(is_number(row.get(key)) for key in ("count", "earliest.timestamp", "latest.timestamp"))
        ),
    ),
    _rows(
        "bytecountestimate()",
        "[{bytecountestimate: number}]",
        "SELECT bytecountestimate() FROM {type}",
        lambda row: is_number(row.get("bytecountestimate")),
    ),
    _rows(
        "uniques(a, n)",
        "[{uniques.timestamp: [number]}]",
        "SELECT uniques(timestamp, 3) FROM {type}",
        lambda row: isinstance(row.get("uniques.timestamp"), list),
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
    ),
    _rows(
        "apdex(a, t: n)",
        "[{apdex.timestamp: {count: number, f: number, s: number, score: number, t: number}, ...}]",
        "SELECT apdex(timestamp, t: 0.5) FROM {type}",
        lambda row: _is_histogram_of(row.get("apdex.timestamp"), "score", "s", "t", "f", "count"),
    ),
    _rows(
        "filter(...) AS n",
        "[{n: number}]",
        "SELECT filter(count(*), WHERE timestamp IS NOT NULL) AS n FROM {type}",
        lambda row: is_number(row.get("n")),
    ),
    _rows(
        "TIMESERIES",
        "[{beginTimeSeconds: number, count: number, endTimeSeconds: number, inspectedCount: number}], in seconds",
        "SELECT count(*) FROM {type} TIMESERIES 10 minutes SINCE 1 hour ago",
        lambda row: (
            all(is_number(row.get(key)) for key in ("beginTimeSeconds", "endTimeSeconds", "inspectedCount"))
            and row["beginTimeSeconds"] < _SECONDS_MOST
        ),
    ),
    _rows(
        "a bucket without rows",
        "[{average.timestamp: zero, beginTimeSeconds: number, endTimeSeconds: number, max.timestamp: null, ...}]",
        "SELECT average(timestamp), max(timestamp) FROM {type} WHERE timestamp < 0 TIMESERIES 5 minutes "
        "SINCE 10 minutes ago",
        lambda row: row.get("average.timestamp") == 0 and row.get("max.timestamp") is None,
    ),
    _rows(
        "LIMIT MAX",
        "accepted",
        "SELECT count(*) FROM {type} FACET hourOf(timestamp) LIMIT MAX",
        lambda _row: True,
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
    ),
    _rows(
        "an unknown event type",
        "[{count: zero}], no error",
        "SELECT count(*) FROM UdsLooksForNothingHere",
        lambda row: row.get("count") == 0,
    ),
    _rows(
        "an unknown attribute",
        "[{n: zero}], no error",
        "SELECT count(udsLooksForNothingHere) AS n FROM {type}",
        lambda row: row.get("n") == 0,
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
    ),
    _container(
        "SINCE and UNTIL in epoch milliseconds",
        "{begin: number, end: number, ..}, as asked",
        "SELECT count(*) FROM {type} SINCE {begin} UNTIL {end}",
        _window,
    ),
    _container(
        "several FACETs",
        "{facets: [string], results: [{count: number, facet: [string]}]}",
        "SELECT count(*) FROM {type} FACET eventType(), hourOf(timestamp)",
        _several_facets,
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

"""The assumptions themselves, one by one: what is asked, what should come, and whether it did."""

import asyncio
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import count
from typing import Any
from typing import Final

from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import SourceError
from sources.newrelic.assumptions import Account
from sources.newrelic.assumptions import Check
from sources.newrelic.assumptions import Looking
from sources.newrelic.assumptions import Seen
from sources.newrelic.shapes import at
from sources.newrelic.shapes import has_keys
from sources.newrelic.shapes import objects
from sources.newrelic.shapes import shape
from sources.newrelic.texts import ACROSS_ACCOUNTS
from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.texts import DATA_DICTIONARY
from sources.newrelic.texts import ENTITY_SEARCH
from sources.newrelic.texts import QUERY_HISTORY
from sources.newrelic.texts import REPORTING_EVENT_TYPES

Row = Mapping[str, Any]

_KINDS: Final = {"string", "numeric", "boolean"}
_BEYOND_DOUBLES: Final = 2**53 + 1
_SECONDS_MOST: Final = 1e11
_PLACE: Final = re.compile(r"line \d+,? position \d+", re.IGNORECASE)
_PROGRESS: Final = {"completed", "queryId", "retryAfter", "retryDeadline", "resultExpiration"}
_STATS: Final = {"inspectedCount", "omittedCount", "matchCount", "wallClockTime", "exceedsRetentionWindow"}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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


def _whole(name: str, expected: str, text: str, variables: Row, holds: Callable[[Row], bool | None]) -> Check:
    """A GraphQL text and its answer."""

    async def look(looking: Looking) -> Seen:
        found = await looking.graph.graphql(text, variables, within_s=looking.within_s)
        return Seen(holds=holds(found), shown=shape(found))

    return Check(name=name, expected=expected, look=look)


def _filled(asked: str, account: Account) -> str:
    types = ", ".join(f"`{name}`" for name in account.event_types) or account.event_type
    values = {"type": account.event_type, "types": types, "end": account.now_ms, "begin": account.now_ms - 3_600_000}
    return asked.format(**values)


def _is_histogram_of(value: object, *names: str) -> bool:
    return all(_is_number(at(value, name)) for name in names)


_SHAPES: Final = (
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
            and all(_is_number(row.get(key)) for key in ("count", "earliest.timestamp", "latest.timestamp"))
        ),
    ),
    _rows(
        "bytecountestimate()",
        "[{bytecountestimate: number}]",
        "SELECT bytecountestimate() FROM {type}",
        lambda row: _is_number(row.get("bytecountestimate")),
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
        lambda row: _is_number(row.get("n")),
    ),
    _rows(
        "TIMESERIES",
        "[{beginTimeSeconds: number, count: number, endTimeSeconds: number, inspectedCount: number}], in seconds",
        "SELECT count(*) FROM {type} TIMESERIES 10 minutes SINCE 1 hour ago",
        lambda row: (
            all(_is_number(row.get(key)) for key in ("beginTimeSeconds", "endTimeSeconds", "inspectedCount"))
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


_PARTS: Final = (
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


def _has_entities(found: Row) -> bool | None:
    entities = objects(at(found, "actor", "entitySearch", "results", "entities"))
    fits = all(isinstance(each.get("guid"), str) and _is_number(each.get("accountId")) for each in entities)
    return fits if entities else None


def _reports(found: Row) -> bool | None:
    accounts = objects(at(found, "actor", "accounts"))
    return any(isinstance(each.get("reportingEventTypes"), list) for each in accounts) if accounts else None


def _is_defined(found: Row) -> bool | None:
    events = objects(at(found, "docs", "dataDictionary", "events"))
    return any(isinstance(each.get("attributes"), list) and each.get("definition") for each in events)


def _has_history(found: Row) -> bool | None:
    history: object = at(found, "actor", "queryHistory", "nrql")
    return history is not None and all(isinstance(each.get("query"), str) for each in objects(history))


_WHOLES: Final = (
    _whole(
        "event types of all accounts at once",
        "{actor: {accounts: [{id: number, reportingEventTypes: [string]}]}}",
        REPORTING_EVENT_TYPES,
        {"window": None},
        _reports,
    ),
    _whole(
        "data dictionary",
        "{docs: {dataDictionary: {events: [{attributes: [..], definition: string, name: string}]}}}",
        DATA_DICTIONARY,
        {"names": ["Transaction"]},
        _is_defined,
    ),
    _whole(
        "entity search",
        "{actor: {entitySearch: {count: number, results: {entities: [{accountId: number, guid: string, ..}], ..}}}}",
        ENTITY_SEARCH,
        {"query": "reporting = 'true'", "limit": 2, "cursor": None},
        _has_entities,
    ),
    _whole(
        "query history",
        "{actor: {queryHistory: {nrql: [{accountIds: [number], createdAt: string, query: string}]}}}",
        QUERY_HISTORY,
        {"limit": 3},
        _has_history,
    ),
)


async def _lean_keyset(looking: Looking) -> Seen:
    texts = (f"SELECT keyset() FROM {looking.account.event_type}", f"SELECT count(*) FROM {looking.account.event_type}")
    found = await asyncio.gather(*(looking.container(f"{text} SINCE 1 hour ago") for text in texts))
    names, rows = (at(each, "rawResponse", "performanceStats", "inspectedCount") for each in found)
    if not _is_number(names) or not _is_number(rows):
        return Seen(holds=None, shown="no statistics")
    return Seen(holds=names <= rows, shown="no more rows" if names <= rows else "more rows")


async def _across(looking: Looking) -> Seen:
    if len(looking.accounts) < 2:  # noqa: PLR2004 - one account is not several
        return Seen(holds=None, shown="needs NEW_RELIC_ACCOUNT_ID with two accounts")
    variables = {"accounts": list(looking.accounts[:2]), "query": "SELECT count(*) FROM Transaction", "timeout": 10}
    found = await looking.graph.graphql(ACROSS_ACCOUNTS, variables, within_s=looking.within_s)
    rows: object = at(found, "actor", "nrql", "results")
    return Seen(holds=isinstance(rows, list), shown=shape(found))


async def _lasting(looking: Looking) -> Seen:
    container = await looking.container(f"SELECT count(*) FROM {looking.account.event_type}", lasting=True)
    progress: object = container.get("queryProgress")
    if progress is None:
        return Seen(holds=None, shown="this account is asked without it")
    return Seen(holds=has_keys(progress, _PROGRESS), shown=shape(progress))


async def _full_request(looking: Looking) -> Seen:
    before = looking.graph.statistics().requests
    texts = [
        f"SELECT count(*) FROM {looking.account.event_type} SINCE {n} minutes ago" for n in range(1, BATCH_MOST + 1)
    ]
    await asyncio.gather(*(looking.rows(text) for text in texts))
    requests = looking.graph.statistics().requests - before
    return Seen(holds=requests == 1, shown="answered in one request" if requests == 1 else "answered in several")


async def _one_fails(looking: Looking) -> Seen:
    texts = (f"SELECT count(*) FROM {looking.account.event_type}", "SELECT FROM WHERE")
    good, bad = await asyncio.gather(*(looking.rows(text) for text in texts), return_exceptions=True)
    kinds = [type(each).__name__ if isinstance(each, SourceError) else "answered" for each in (good, bad)]
    return Seen(holds=kinds == ["answered", "QueryRejected"], shown=", ".join(kinds))


async def _syntax(looking: Looking) -> Seen:
    try:
        await looking.rows("SELECT count(*) FORM Transaction")
    except QueryRejected as fault:
        found = _PLACE.search(str(fault)) is not None
        return Seen(
            holds=found, shown="QueryRejected with line and position" if found else "QueryRejected without place"
        )
    return Seen(holds=False, shown="no error")


async def _unknown_account(looking: Looking) -> Seen:
    known = {number for number, _ in await looking.graph.accounts(within_s=looking.within_s)}
    foreign = next(number for number in count(1) if number not in known)
    try:
        await looking.graph.nrql(foreign, "SELECT count(*) FROM Transaction", within_s=looking.within_s)
    except AccessDenied:
        return Seen(holds=True, shown="AccessDenied")
    except QueryRejected:
        return Seen(holds=False, shown="QueryRejected")
    return Seen(holds=False, shown="no error")


_ALONE: Final = (
    Check(name="keyset() is lean", expected="looks at no more rows than count(*)", look=_lean_keyset),
    Check(name="one statement over several accounts", expected="{actor: {nrql: {results: [..]}}}", look=_across),
    Check(name="lasting queries", expected=f"{{{', '.join(sorted(_PROGRESS))}}}", look=_lasting),
)


def rounds() -> Sequence[Sequence[Check]]:
    """What may travel together does; what is meant to fail keeps away from what is not."""
    return (
        (*_SHAPES, *_PARTS, *_WHOLES, *_ALONE),
        (Check(name="25 statements in one request", expected="answered in one request", look=_full_request),),
        (Check(name="a syntax error", expected="QueryRejected with line and position", look=_syntax),),
        (
            Check(
                name="a statement that fails beside one that does not",
                expected="answered, QueryRejected",
                look=_one_fails,
            ),
            Check(name="an account of somebody else", expected="AccessDenied", look=_unknown_account),
        ),
    )

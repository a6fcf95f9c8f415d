"""An account of New Relic in memory, behind the real client: rows, a slow reader of NRQL, and the requests that came.

It answers the few kinds of statement that the source asks, row by row and without any engine; what it does not know
fails. Every statement is parsed, so one that is no NRQL fails as well.
"""

import asyncio
import json
import math
import statistics
from collections import Counter
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import httpx

from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from sources.newrelic.source import NewRelicSource
from sources.nrql.parse import parse
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Is
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Name
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Show
from sources.nrql.tree import Star
from sources.nrql.tree import Text
from sources.nrql.tree import Unary
from sources.nrql.tree import Where
from tests.conftest import ManualClock

ACCOUNT = 1234567
NOW_S = 1_760_000_040.0
"""2025-10-09T08:54:00Z, a full minute."""
NOW_MS = int(NOW_S * 1_000)
KEY = "NRAK-0123456789ABCDEF0123456789A"

Row = dict[str, Any]


@dataclass
class Account:
    """Rows by event type; `hidden` keys stand in keyset() although no row has them."""

    rows: dict[str, list[Row]]
    hidden: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    dictionary: list[Any] | None = field(default_factory=list[Any])
    """None: it cannot be had."""
    statements: list[str] = field(default_factory=list[str])
    requests: int = 0
    refused: Callable[[str], str | None] = lambda _text: None
    """The message with which a statement fails. None: it does not."""
    remarks: Row = field(default_factory=dict[str, Any])
    """More performance statistics for every answer."""
    gate: asyncio.Event | None = None
    """Answers wait until it is set."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first request."""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        body: Row = json.loads(request.content)
        if "dataDictionary" in body["query"]:
            if self.dictionary is None:
                return httpx.Response(200, json={"errors": [{"message": "Internal thing"}]})
            asked = body["variables"]["names"]
            events = [each for each in self.dictionary if each["name"] in asked]
            return httpx.Response(200, json={"data": {"docs": {"dataDictionary": {"events": events}}}})
        actor: Row = {}
        errors: list[Row] = []
        for name, text in body["variables"].items():
            if not name.startswith("q"):
                continue
            alias = f"a{name[1:]}"
            self.statements.append(text)
            message = self.refused(text)
            if message is None:
                actor[alias] = {"nrql": self.answered(text)}
            else:
                actor[alias] = None
                errors.append({"message": message, "path": ["actor", alias, "nrql"]})
        return httpx.Response(200, json={"data": {"actor": actor}, **({"errors": errors} if errors else {})})

    def answered(self, text: str) -> Row:
        statement = parse(text)
        if isinstance(statement, Show):
            begin, end = _ends(statement)
            shown = [name for name, rows in self.rows.items() if any(begin <= each["timestamp"] < end for each in rows)]
            return {"results": [{"eventType": each} for each in shown], "metadata": {"messages": []}}
        assert isinstance(statement.since, Moment)
        assert isinstance(statement.until, Moment)
        found = self._found(statement)
        results = _results(self, statement, found)
        stats = {"inspectedCount": len(found), "omittedCount": 0, **self.remarks}
        return {"results": results, "metadata": {"messages": []}, "rawResponse": {"performanceStats": stats}}

    def _found(self, query: Query) -> list[Row]:
        begin, end = _ends(query)
        return [
            {"eventType()": source.name, **row}
            for source in query.sources
            if isinstance(source, Name)
            for row in self.rows.get(source.name, [])
            if begin <= row["timestamp"] < end and (query.where is None or _value(query.where, row) is True)
        ]


def _ends(statement: Query | Show) -> tuple[int, int]:
    assert statement.since is not None
    assert statement.until is not None
    assert isinstance(statement.since.value, Number)
    assert isinstance(statement.until.value, Number)
    return int(statement.since.value.value), int(statement.until.value.value)


def _results(account: Account, query: Query, found: list[Row]) -> list[Row]:
    values = [each.value for each in query.select]
    if isinstance(values[0], Call) and values[0].function == "keyset":
        return _keyset(account, query, found)
    if all(isinstance(each, Name) for each in values):
        newest = sorted(found, key=lambda row: -row["timestamp"])[: _limit(query, 100)]
        names = ["timestamp", *(each.name for each in values if isinstance(each, Name))]
        return [{name: row[name] for name in names if row.get(name) is not None} for row in newest]
    if query.facet is None:
        return [_aggregates(query, found)]
    by = query.facet.items[0].value
    groups: dict[Any, list[Row]] = {}
    for row in found:
        key = row["eventType()"] if isinstance(by, Call) and by.function == "eventtype" else _value(by, row)
        key = int(key) if isinstance(key, float) else key  # what is behind the point is cut off, as NRDB does
        groups.setdefault(key, []).append(row)
    rows = [{"facet": _text(key), **_aggregates(query, group)} for key, group in groups.items() if key is not None]
    by_first = sorted(rows, key=lambda row: _rank(row[query.select[0].alias or ""]))
    return by_first[: _limit(query, 10)]


def _rank(value: Any) -> float:
    return -value if isinstance(value, int | float) else 0


def _keyset(account: Account, query: Query, found: list[Row]) -> list[Row]:
    (source,) = query.sources
    assert isinstance(source, Name)
    kinds = {str: "string", bool: "boolean", int: "numeric", float: "numeric", dict: "numeric"}
    keys = {
        name: kinds[type(value)]
        for row in found
        for name, value in row.items()
        if value is not None and name != "eventType()" and not isinstance(value, dict)
    }
    return [{"key": key, "type": kind} for key, kind in {**keys, **account.hidden.get(source.name, {})}.items()]


def _limit(query: Query, default: int) -> int:
    if not isinstance(query.limit, Limit):
        return default
    return 5_000 if query.limit.rows == "max" else query.limit.rows


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _aggregates(query: Query, rows: list[Row]) -> Row:
    return {each.alias or "": _aggregate(each.value, rows) for each in query.select}


def _aggregate(value: Expression, rows: list[Row]) -> Any:
    assert isinstance(value, Call)
    arguments = [each.value for each in value.arguments]
    match value.function, arguments:
        case "count", [Star()]:
            return len(rows)
        case "filter", [Call() as inner, Where(condition=condition)]:
            return _aggregate(inner, [row for row in rows if _value(condition, row) is True])
        case "bytecountestimate", []:
            return 100.0 * len(rows)
        case name, [Name(name=attribute), *more]:
            return _of_values(name, [row[attribute] for row in rows if row.get(attribute) is not None], more)
        case _:
            raise AssertionError(value.function)


def _of_values(function: str, values: list[Any], more: Sequence[Expression]) -> Any:  # noqa: PLR0911 - as above
    points = [each.value for each in more if isinstance(each, Number)]
    numbers = [_point(each) for each in values if isinstance(each, int | float | dict) and not isinstance(each, bool)]
    match function:
        case "uniquecount":
            return len({json.dumps(each) for each in values})
        case "uniques":
            return [each for each, _ in Counter(values).most_common(int(points[0]))]
        case "min" | "earliest":
            return min(numbers, default=None)
        case "max" | "latest":
            return max(numbers, default=None)
        case "average":
            return statistics.fmean(numbers) if numbers else 0
        case "stddev":
            return statistics.pstdev(numbers) if numbers else 0
        case "percentile":
            ordered = sorted(numbers)
            at = {point: max(0, math.ceil(len(ordered) * point / 100) - 1) for point in points}
            return {str(point): ordered[place] if ordered else 0 for point, place in at.items()}
        case _:
            raise AssertionError(function)


def _point(value: Any) -> float:
    return float(value["latest"]) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownArgumentType]


def _value(expression: Expression, row: Mapping[str, Any]) -> Any:  # noqa: C901, PLR0911 - one line per kind
    match expression:
        case Name(name=name):
            return row.get(name)
        case Text(value=value):
            return value
        case Number() as number:
            return number.value
        case Unary(operator="-", operand=operand):
            return -_value(operand, row)
        case Is(operand=operand, what="null", negated=negated):
            return (_value(operand, row) is None) is not negated
        case Binary(operator="and", left=left, right=right):
            return _value(left, row) is True and _value(right, row) is True
        case Binary(operator=operator, left=left, right=right):
            return _compared(operator, _value(left, row), _value(right, row))
        case Call(function="string", arguments=[only]):
            value = _value(only.value, row)
            return None if value is None else str(value)
        case _:
            raise AssertionError(expression)


def _compared(operator: str, left: Any, right: Any) -> bool:
    """Nothing is coerced: text and numbers are never equal, and no larger or smaller than each other."""
    if left is None or isinstance(left, str) != isinstance(right, str):
        return False
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">=": lambda a, b: a >= b,
    }
    return compare[operator](left, right)


@asynccontextmanager
async def asked(
    account: Account, *, window_s: float = 86_400.0, clock: ManualClock | None = None, name: str = "newrelic"
) -> AsyncGenerator[NewRelicSource]:
    """The source over an account, at `NOW_S`."""
    graph = NerdGraph(endpoint=endpoint("US"), key=KEY, transport=httpx.MockTransport(account))
    source = NewRelicSource(
        graph=graph, account=ACCOUNT, name=name, window_s=window_s, clock=clock or ManualClock(NOW_S)
    )
    try:
        async with asyncio.timeout(30):
            yield source
    finally:
        await source.aclose()
        await graph.aclose()


def spread(count: int, row: Callable[[int], Row], *, over_s: float = 86_000.0) -> list[Row]:
    """So many rows, evenly over the last `over_s` seconds."""
    step_ms = int(over_s * 1_000 / count)
    return [{"timestamp": NOW_MS - step_ms * (count - number), **row(number)} for number in range(count)]

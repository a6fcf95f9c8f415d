"""Assumptions about the values in answers: what is exact, what matches, what stands for nothing, what comes first.

What is shown of them are words of ours and one rounded share; never a value, a name or a count.
"""

import math
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import cast

from sources.newrelic.assumption_rows import Row
from sources.newrelic.assumption_rows import rows_check
from sources.newrelic.assumptions import Check
from sources.newrelic.assumptions import Looking
from sources.newrelic.assumptions import Seen
from sources.newrelic.describe_rows import DISTINCT_ERROR
from sources.newrelic.shapes import at
from sources.newrelic.shapes import is_number
from sources.newrelic.shapes import shape
from sources.newrelic.shapes import shown_key

_LISTED_MOST: Final = 10_000
_EXACT: Final = 256
_COLUMNS: Final = 40
_HALF: Final = 0.5
_RELATIVE: Final = 1e-9
"""Of what numbers that are computed in another order may differ."""
_ABSENT: Final = "udsLooksForNothingHere"
_MANY_DIGITS: Final = "timestamp * 10000 + 1"
"""17 digits, more than a floating-point number holds."""
_FRACTION: Final = "timestamp / 7"
_UNNAMED: Final = 3
_EVERY: Final = "every digit"
_WHOLE: Final = "whole numbers only"
_NULLS: Final = {"a": f"{_ABSENT} != 'x'", "b": f"NOT {_ABSENT} = 'x'", "c": f"{_ABSENT} NOT IN ('x')"}


def _counted(conditions: dict[str, str]) -> str:
    return ", ".join(f"filter(count(*), WHERE {condition}) AS {alias}" for alias, condition in conditions.items())


def _listed_by_type(rows: Sequence[Row]) -> Seen:
    fits = (isinstance(row.get("facet"), str) and isinstance(row.get("v0"), list | None) for row in rows)
    return Seen(holds=all(fits) and any(row.get("v0") for row in rows), shown=shape(rows))


def _estimated(rows: Sequence[Row]) -> Seen:
    """How far the estimate is from what is listed."""
    estimate, listed = rows[0].get("u"), rows[0].get("v")
    known = len(set(map(str, cast("list[object]", listed)))) if isinstance(listed, list) else 0
    if not is_number(estimate) or not _EXACT < known < _LISTED_MOST:
        return Seen(holds=None, shown="no attribute with so many values")
    error = abs(float(estimate) - known) / known
    return Seen(holds=error <= DISTINCT_ERROR, shown=f"off by {error:.1%}")


def _spread(rows: Sequence[Row]) -> Seen:
    """Population and sample differ by a factor of the number of rows only."""
    told = [rows[0].get(key) for key in ("s", "c", "a", "q")]
    if not all(is_number(each) for each in told):
        return Seen(holds=None, shown=shape(rows))
    deviation, count, mean, squares = (float(each) for each in told if each is not None)
    variance = squares - mean * mean
    if count < 2 or variance <= 0:  # noqa: PLR2004 - one value does not spread
        return Seen(holds=None, shown="too few rows")
    found = {"population": math.sqrt(variance), "sample": math.sqrt(variance * count / (count - 1))}
    if math.isclose(*found.values(), rel_tol=2 * _RELATIVE):
        return Seen(holds=None, shown="too many rows to tell")
    shown = next((name for name, each in found.items() if math.isclose(each, deviation, rel_tol=_RELATIVE)), "neither")
    return Seen(holds=shown == "population", shown=shown)


def _case(rows: Sequence[Row]) -> Seen:
    """The value in its own case and in the other."""
    same, other, equal = (rows[0].get(key) for key in ("a", "b", "c"))
    if not same:
        return Seen(holds=None, shown="no rows with a value")
    ignores, minds = bool(other), not equal
    words = f"LIKE {'ignores' if ignores else 'minds'} case, = {'minds' if minds else 'ignores'} it"
    return Seen(holds=ignores and minds, shown=words)


def _of_nothing(rows: Sequence[Row]) -> Seen:
    """Whether what is not there is different from a text."""
    matched = [alias for alias in _NULLS if rows[0].get(alias)]
    if not rows[0].get("n"):
        return Seen(holds=None, shown="no rows")
    named = {"a": "!=", "b": "NOT =", "c": "NOT IN"}
    shown = f"matched by {', '.join(named[alias] for alias in matched)}" if matched else "not matched"
    return Seen(holds=not matched, shown=shown)


def _missing_facets(rows: Sequence[Row]) -> Seen:
    kinds = {"null" if each is None else "empty string" for row in rows if not (each := row.get("facet"))}
    return Seen(holds=bool(kinds), shown=" and ".join(sorted(kinds)) or "no row for them")


def _newest_first(rows: Sequence[Row]) -> Seen:
    told = [row.get("timestamp") for row in rows]
    times = [each for each in told if is_number(each)]
    if len(times) < 2:  # noqa: PLR2004 - one row has no order
        return Seen(holds=None if len(times) == len(told) else False, shown=shape(rows))
    holds = times == sorted(times, reverse=True)
    return Seen(holds=holds, shown="newest first" if holds else "oldest first" if times == sorted(times) else "mixed")


def _columns(rows: Sequence[Row]) -> Seen:
    got = sum(f"c{place}" in rows[0] for place in range(_COLUMNS))
    return Seen(holds=got == _COLUMNS, shown="all answered" if got == _COLUMNS else "some are missing")


def _as_written(rows: Sequence[Row]) -> Seen:
    """Whether the facet says all of the number that was the greatest in it."""
    pairs = [(row.get("facet"), row.get("n")) for row in rows if is_number(row.get("n"))]
    if not pairs:
        return Seen(holds=None, shown=shape(rows))
    kinds = dict.fromkeys(_written(facet, number) for facet, number in pairs)
    return Seen(holds=all(kind.startswith(_EVERY) for kind in kinds), shown=", ".join(kinds))


def _cut_or_not(rows: Sequence[Row]) -> Seen:
    """Either is fine, because `string()` is asked for where it matters."""
    seen = _as_written(rows)
    return Seen(holds=seen.holds or (seen.shown == _WHOLE if seen.holds is not None else None), shown=seen.shown)


def _written(facet: Any, number: Any) -> str:
    text = str(facet)
    try:
        read = int(text) if isinstance(number, int) and text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return "no number"
    if read == number:
        return f"{_EVERY}, with an exponent" if "e" in text.lower() else _EVERY
    return _WHOLE if read == math.floor(number) or read == round(number) else "fewer digits"


def _keys(rows: Sequence[Row]) -> Seen:
    """What the columns are called, and whether there are as many as were asked for."""
    keys = [shown_key(key) for key in rows[0]]
    return Seen(holds=all(map(is_number, rows[0].values())) and len(keys) == _UNNAMED, shown=", ".join(keys))


def _aliases(rows: Sequence[Row]) -> Seen:
    return Seen(holds=set(rows[0]) == {"n p", "s t"}, shown=shape(rows))


def _histogram(rows: Sequence[Row]) -> Seen:
    """By edge, or in order."""
    found = next(iter(rows[0].values()), None)
    kind = "counts by edge" if isinstance(found, dict) else "a list of counts" if isinstance(found, list) else ""
    return Seen(holds=kind == "counts by edge", shown=kind or shape(rows))


async def _metric_keys(looking: Looking) -> Seen:
    """Whether WHERE narrows what is listed."""
    one = looking.account.filled("SELECT keyset() FROM Metric WHERE metricName = {metric} SINCE 1 hour ago LIMIT MAX")
    if one is None:
        return Seen(holds=None, shown="no dimensional metrics")
    rows = await looking.rows(one)
    fits = bool(rows) and all(isinstance(row.get("key"), str) and isinstance(row.get("type"), str) for row in rows)
    return Seen(holds=fits, shown=shape(rows))


async def _narrowed(looking: Looking) -> Seen:
    """No row fits, so no attribute should be listed."""
    rows = await looking.rows(f"SELECT keyset() FROM {looking.account.event_type} WHERE timestamp < 0")
    return Seen(holds=not rows, shown="nothing is listed" if not rows else "all are listed")


async def _again(looking: Looking) -> Seen:
    """What NRDB says it looked at, when it is asked the same for a second time."""
    text = looking.account.filled("SELECT count(*), max(timestamp) FROM {type} SINCE {begin} UNTIL {end}") or ""
    path = ("rawResponse", "performanceStats", "inspectedCount")
    first, second = [at(await looking.container(text), *path) for _ in range(2)]
    if not is_number(first) or not is_number(second) or not first:
        return Seen(holds=None, shown="no statistics")
    return Seen(holds=second > first * _HALF, shown="looks again" if second > first * _HALF else "remembers")


VALUES: Final = (
    rows_check(
        "uniques(a, 20) AS v of several types in one FACET",
        "[{facet: string, v0: [string]}]",
        "SELECT uniques({text}, 20) AS v0 FROM {types} FACET eventType() LIMIT MAX",
        _listed_by_type,
        rank=1,
    ),
    Check(name="keyset() of one metric", expected="[{key: string, type: string}]", look=_metric_keys, rank=1),
    Check(name="keyset() of no rows", expected="nothing is listed", look=_narrowed),
    rows_check(
        f"{_COLUMNS} expressions in one SELECT",
        "all answered",
        f"SELECT {_counted({f'c{place}': f'timestamp > {place}' for place in range(_COLUMNS)})} FROM {{type}}",
        _columns,
        rank=1,
    ),
    rows_check(
        "values that are missing, and != or NOT",
        "not matched",
        f"SELECT {_counted(_NULLS)}, count(*) AS n FROM {{type}}",
        _of_nothing,
        rank=1,
    ),
    rows_check(
        "LIKE and = with letters of another case",
        "LIKE ignores case, = minds it",
        "SELECT filter(count(*), WHERE {text} LIKE {value}) AS a, filter(count(*), WHERE {text} LIKE {swapped}) AS b, "
        "filter(count(*), WHERE {text} = {swapped}) AS c FROM {type}",
        _case,
        rank=1,
    ),
    rows_check(
        "a FACET of rows without the attribute",
        "empty string or null",
        "SELECT count(*) FROM {type} FACET {sparse} LIMIT MAX",
        _missing_facets,
        rank=1,
    ),
    rows_check(
        "string(x) of a fraction",
        _EVERY,
        f"SELECT max({_FRACTION}) AS n FROM {{type}} FACET string({_FRACTION}) LIMIT 5",
        _as_written,
        rank=1,
    ),
    rows_check(
        "string(x) of a numeric attribute",
        _EVERY,
        "SELECT max({number}) AS n FROM {type} WHERE {number} IS NOT NULL FACET string({number}) LIMIT 20",
        _as_written,
        rank=1,
    ),
    rows_check(
        "string(x) of a number with 17 digits",
        _EVERY,
        f"SELECT max({_MANY_DIGITS}) AS n FROM {{type}} FACET string({_MANY_DIGITS}) LIMIT 5",
        _as_written,
    ),
    rows_check(
        f"uniqueCount(a) beyond {_EXACT}",
        f"off by at most {DISTINCT_ERROR:.1%}",
        f"SELECT uniqueCount({{many}}) AS u, uniques({{many}}, {_LISTED_MOST}) AS v FROM {{type}}",
        _estimated,
        rank=1,
    ),
    rows_check(
        "stddev(a)",
        "population",
        "SELECT stddev((timestamp - {end}) / 1000) AS s, count(timestamp) AS c, "
        "average((timestamp - {end}) / 1000) AS a, "
        "average((timestamp - {end}) / 1000 * (timestamp - {end}) / 1000) AS q FROM {type} SINCE 10 minutes ago",
        _spread,
        rank=1,
    ),
    rows_check("raw rows", "newest first", "SELECT timestamp FROM {type} LIMIT 20", _newest_first, rank=1),
    rows_check(
        "aliases in quotes and in backticks",
        "[{n p: number, s t: number}]",
        "SELECT count(*) AS 'n p', max(timestamp) AS `s t` FROM {type}",
        _aliases,
        rank=1,
    ),
    rows_check(
        "columns without an alias",
        "one each, by names that UDS does not rely on",
        "SELECT filter(count(*), WHERE timestamp > 0), percentage(count(*), WHERE timestamp > 0), "
        "max(timestamp) / 1000 FROM {type}",
        _keys,
        rank=3,
    ),
    rows_check(
        "histogram(a, ceiling, n)",
        "counts by edge",
        "SELECT histogram(timestamp, 1000, 3) FROM {type}",
        _histogram,
        rank=3,
    ),
    rows_check(
        "a FACET of a fraction without string()",
        f"{_EVERY}, or {_WHOLE}",
        f"SELECT max({_FRACTION}) AS n FROM {{type}} FACET {_FRACTION} LIMIT 5",
        _cut_or_not,
        rank=3,
    ),
    Check(name="the same statement twice", expected="looks again", look=_again, rank=3),
)

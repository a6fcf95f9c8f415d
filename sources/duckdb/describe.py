"""The SQL that measures attributes: one row of counts over all rows, and a closer look at a bounded sample."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Literal

from sources.duckdb.describe_types import Family
from sources.duckdb.describe_types import comparable
from sources.duckdb.describe_types import family
from sources.duckdb.describe_types import is_ordered
from sources.duckdb.describe_types import listed
from sources.duckdb.describe_types import shown
from sources.duckdb.describe_types import untied
from sources.duckdb.mount_quoting import literal
from sources.duckdb.mount_quoting import literals
from sources.duckdb.mount_quoting import quoted
from sources.protocol import Attribute

Distinct = Literal["exact", "sketch", "none"]

EXAMPLES: Final = 5
SENTINEL_TEXTS: Final = (
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "-",
    "--",
    "?",
    "unknown",
    "undefined",
    "#n/a",
    "\\n",
)
"""Texts, in lower case, that stand for a missing value."""
_GROUPS: Final = "[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})"
PATTERNS: Final[dict[str, str]] = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    "url": r"[a-z][a-z0-9+.-]*://[^\s]+",
    # eight groups, or fewer with :: among them; 08:30:00 is none
    "ip": rf"(\d{{1,3}}\.){{3}}\d{{1,3}}|{_GROUPS}{{7}}|({_GROUPS}{{0,6}})?::({_GROUPS}{{0,6}})?",
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "code3": r"[A-Z0-9]{3}",
    "letters2": r"[A-Z]{2}",
    "letters3": r"[A-Z]{3}",
    "number": r"[+-]?\d+(,\d{3})*([.,]\d+)?([eE][+-]?\d+)?",
    "date": r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}",
    "version": r"v?\d+\.\d+\.\d+.*",
}
"""Whole-value patterns that are counted in texts; keys are measures of a `Look`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One expression of a query and the place its value belongs to."""

    attribute: str
    key: str
    sql: str


def columns(attributes: Iterable[Attribute]) -> str:
    """The attributes as a select list."""
    return ", ".join(quoted(attribute.name) for attribute in attributes) or "1"


def counts(attributes: Iterable[Attribute], *, distinct: Distinct, now: str) -> tuple[Measure, ...]:
    """Non-null values, distinct values, range and counts of suspicious values. `now`: a date as text."""
    return tuple(measure for attribute in attributes for measure in _counts(attribute, distinct, now))


def distincts(attributes: Iterable[Attribute]) -> tuple[Measure, ...]:
    """Exact distinct counts only."""
    return tuple(_distinct(attribute, "exact") for attribute in attributes)


def looks(attributes: Iterable[Attribute]) -> tuple[Measure, ...]:
    """Examples of each attribute and the patterns of texts. Their source must be named `sampled`."""
    return tuple(measure for attribute in attributes for measure in _looks(attribute))


def over(source: str, measures: Sequence[Measure]) -> str:
    """The query whose one row holds the number of rows and then the measures, over a SELECT."""
    values = ", ".join(["count(*)", *(measure.sql for measure in measures)])
    return f"WITH sampled AS MATERIALIZED ({source}) SELECT {values} FROM sampled"


def over_all(schema: str, measures: Sequence[Measure]) -> str:
    """The query whose one row holds the number of rows and then the measures, over all rows."""
    values = ", ".join(["count(*)", *(measure.sql for measure in measures)])
    return f"SELECT {values} FROM {quoted(schema)}"


def footers(paths: Sequence[str], attributes: Sequence[Attribute]) -> str:
    """Name, values, nulls, whether nulls are complete, and whether ranges are complete: from Parquet footers alone."""
    names = ", ".join(literal(attribute.name) for attribute in attributes if _is_flat(attribute))
    return (
        "SELECT path_in_schema, sum(num_values), sum(stats_null_count), count(stats_null_count) = count(*), "
        "count(stats_min_value) = count(*) AND count(stats_max_value) = count(*) "
        "AND bool_and(coalesce(min_is_exact AND max_is_exact, false)) "
        f"FROM parquet_metadata({literals(paths)}) WHERE path_in_schema IN ({names or 'NULL'}) GROUP BY path_in_schema"
    )


def ranges(attributes: Iterable[Attribute]) -> tuple[Measure, ...]:
    """Smallest and largest value only: answered from footers where they are complete (10 ms at 10 M rows)."""
    return tuple(measure for attribute in attributes for measure in _range(attribute, family(attribute.type)))


def _is_flat(attribute: Attribute) -> bool:
    return family(attribute.type) != "nested"


def _counts(attribute: Attribute, distinct: Distinct, now: str) -> Iterator[Measure]:
    of = family(attribute.type)
    name = quoted(attribute.name)
    yield Measure(attribute=attribute.name, key="values", sql=f"count({name})")
    if distinct != "none":
        yield _distinct(attribute, distinct)
    yield from _range(attribute, of)
    for key, condition in _suspicions(name, attribute.type, of, now):
        yield Measure(attribute=attribute.name, key=key, sql=f"count(*) FILTER (WHERE {condition})")


def _distinct(attribute: Attribute, distinct: Distinct) -> Measure:
    value = comparable(attribute.name, family(attribute.type))
    sql = f"count(DISTINCT {value})" if distinct == "exact" else f"approx_count_distinct({value})"
    return Measure(attribute=attribute.name, key="distinct", sql=sql)


def _range(attribute: Attribute, of: Family) -> Iterator[Measure]:
    if not is_ordered(of) or attribute.type == "JSON":
        return
    value = untied(attribute.name, of)
    # NaN sorts above every number: a range that ends in NaN says nothing.
    finite = f" FILTER (WHERE NOT isnan({quoted(attribute.name)}))" if of == "real" else ""
    yield Measure(attribute=attribute.name, key="min", sql=shown(f"(min({value}){finite})", of))
    yield Measure(attribute=attribute.name, key="max", sql=shown(f"(max({value}){finite})", of))


def _suspicions(name: str, kind: str, of: Family, now: str) -> Iterator[tuple[str, str]]:
    if of == "text" and kind == "VARCHAR":
        yield "empty", f"{name} = ''"
        yield "sentinels", f"lower({name}) IN ({', '.join(literal(text) for text in SENTINEL_TEXTS)})"
    elif of == "real":
        yield "nan", f"isnan({name})"
        yield "infinite", f"isinf({name})"
    elif of == "whole" and not kind.startswith("U"):
        yield "minus_one", f"{name} = -1"
        yield "negative", f"{name} < 0"
    elif of == "moment":
        yield "epoch", f"{name} = '1970-01-01'"
        if kind == "TIMESTAMP_NS":  # its last year is 2262
            yield "future", f"{name} > {literal(now)}"
            return
        yield "forever", f"{name} >= '9999-01-01'"
        yield "future", f"{name} > {literal(now)} AND {name} < '9999-01-01'"


def _looks(attribute: Attribute) -> Iterator[Measure]:
    of = family(attribute.type)
    name = quoted(attribute.name)
    value = comparable(attribute.name, of)
    # Places instead of names: an attribute may be called v or n itself.
    seen = (
        f"SELECT {value}, count(*) FROM sampled WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {EXAMPLES}"
    )
    sql = f"(SELECT list({listed('v', of)} ORDER BY n DESC, v) FROM ({seen}) AS seen(v, n))"
    yield Measure(attribute=attribute.name, key="examples", sql=sql)
    if attribute.type == "VARCHAR":
        yield Measure(attribute=attribute.name, key="looked", sql=f"count(nullif({name}, ''))")
        yield Measure(attribute=attribute.name, key="length", sql=f"avg(length({name}))")
        yield Measure(
            attribute=attribute.name, key="words", sql=f"avg(length({name}) - length(replace({name}, ' ', '')))"
        )
        for key, pattern in PATTERNS.items():
            sql = f"count(*) FILTER (WHERE regexp_full_match({name}, {literal(pattern)}))"
            yield Measure(attribute=attribute.name, key=key, sql=sql)

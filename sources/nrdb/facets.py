"""FACET as SQL: attributes, functions, ranges and cases, and by what the values are picked and ordered.

Source: docs.newrelic.com, NRQL reference: at most five facets; the first thing of SELECT orders them, downwards, when
that is a min, max, percentile, average or count, and else how frequent they are; rows in which the first aggregated
attribute is null choose no facet; FACET ... ORDER BY decides which are picked, not their order; a row belongs to the
first case it matches.
"""

from itertools import pairwise
from typing import Final

from sources.nrdb.functions import plain
from sources.nrdb.keys import facet_key
from sources.nrdb.literals import plain_sql
from sources.nrdb.measures import is_aggregate
from sources.nrdb.measures import measured
from sources.nrdb.measures_shaped import Asked
from sources.nrdb.measures_shaped import Measure
from sources.nrdb.measures_shaped import bucketed
from sources.nrdb.measures_shaped import edge_text
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Sort
from sources.nrdb.scope import Value
from sources.nrdb.values import condition
from sources.nrdb.values import of_sort
from sources.nrdb.values import value
from sources.nrql.text import expression_text
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Facet
from sources.nrql.tree import Name
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Where
from sources.nrql.tree import node

FACETS_MOST: Final = 5
_RANGES_MOST: Final = 500
_RANKED: Final = frozenset({"min", "max", "percentile", "average", "count", "median"})


@node
class Facets:
    """The facets of a query."""

    names: tuple[str, ...]
    sqls: tuple[str, ...]
    sorts: tuple[Sort, ...]
    kept: str
    """A HAVING that leaves out groups which are never shown; or empty."""
    rank: str
    """What they are ordered by, downwards."""
    pick: str
    """What they are picked by, downwards."""


def faceted(query: Query, facet: Facet, asked: Asked, first: Measure) -> Facets:
    """`first`: what the first thing of SELECT became. Raises `NotTranslated`."""
    if len(facet.items) > FACETS_MOST:
        raise NotTranslated(f"more than {FACETS_MOST} facets", facet.items[FACETS_MOST].span.start, "Leave some out.")
    found = [_facet(item.value, asked.scope) for item in facet.items]
    rank = pick = _rank(query.select[0].value, first)
    if facet.order_by is not None:
        if not facet.order_by.descending:
            raise NotTranslated("FACET ... ORDER BY upwards", facet.order_by.span.start, "NRQL only knows downwards.")
        pick = _number(facet.order_by.value, measured(facet.order_by.value, asked))
    havings = _first_has_values(query.select[0].value, asked)
    havings += [f'"uds:f{place}" IS NOT NULL' for place, item in enumerate(facet.items) if _has_gaps(item.value)]
    return Facets(
        names=tuple([facet_key(item) for item in facet.items]),
        sqls=tuple(["CAST(NULL AS VARCHAR)" if sort == "null" else sql for sql, sort in found]),
        sorts=tuple([sort for _, sort in found]),
        kept=f" HAVING {' AND '.join(havings)}" if havings else "",
        rank=rank,
        pick=pick,
    )


def _facet(expression: Expression, scope: Scope) -> Value:
    if isinstance(expression, Call) and expression.function == "cases":
        return _cases(expression, scope)
    if isinstance(expression, Call) and expression.function == "buckets":
        return _ranges(expression, scope)
    if isinstance(expression, Binary) and _has_gaps(expression.left):
        return (
            f"coalesce({_facet(expression.left, scope)[0]}, CAST({value(expression.right, scope)[0]} AS VARCHAR))",
            "string",
        )
    if is_aggregate(expression):
        raise NotTranslated("FACET by an aggregate", expression.span.start, "FACET by attributes.")
    return value(expression, scope)


def _has_gaps(expression: Expression) -> bool:
    """Whether rows that match no case are to be left out."""
    return isinstance(expression, Call) and expression.function == "cases"


def _cases(call: Call, scope: Scope) -> Value:
    whens: list[str] = []
    for argument in call.arguments:
        case = argument.value
        if not isinstance(case, Where):
            raise NotTranslated("CASES without WHERE", call.span.start, "CASES(WHERE x > 1 AS 'large')")
        label = case.alias or expression_text(case.condition)
        whens.append(f"WHEN {condition(case.condition, scope)} THEN {plain_sql(label, case.span.start)}")
    if not whens:
        raise NotTranslated("CASES without WHERE", call.span.start, "CASES(WHERE x > 1 AS 'large')")
    return f"(CASE {' '.join(whens)} END)", "string"


def _ranges(call: Call, scope: Scope) -> Value:
    what, ceiling, *number = plain(call, 2, 3)
    count = number[0] if number else Number(text="40")
    if not isinstance(ceiling, Number) or not isinstance(count, Number) or not isinstance(count.value, int):
        raise NotTranslated("buckets() takes numbers", call.span.start, "buckets(duration, 10, 5)")
    buckets, width = int(count.value), float(ceiling.value)
    if not 1 <= buckets <= _RANGES_MOST or width <= 0:
        raise NotTranslated("buckets() takes a ceiling above 0 and 1 to 500 buckets", call.span.start)
    sql = of_sort(what, scope, "numeric", "buckets()")
    edges = [edge_text(width * place / buckets) for place in range(buckets + 1)]
    labels = [f"'{low} - {high}'" for low, high in pairwise(edges[:-1])] + [f"'>={edges[-2]}'"]
    return f"list_extract([{', '.join(labels)}], {bucketed(sql, width, buckets, 0)} + 1)", "string"


def _rank(first: Expression, found: Measure) -> str:
    if isinstance(first, Call) and first.function in _RANKED:
        return _number(first, found)
    return "count(*)"


def _number(expression: Expression, found: Measure) -> str:
    """One number of an aggregate; of several percentiles the first."""
    if found.single is None and found.read is not None:
        if isinstance(expression, Call) and expression.function == "percentile":
            return f"({found.sql})[1]"
        raise NotTranslated("FACET ... ORDER BY what is no number", expression.span.start, "Order by count(*).")
    return found.single or found.sql


def _first_has_values(first: Expression, asked: Asked) -> list[str]:
    """The condition that the attribute of the first function has values in a group."""
    if not isinstance(first, Call) or not first.arguments or not isinstance(first.arguments[0].value, Name):
        return []
    sql, sort = value(first.arguments[0].value, asked.scope)
    return ["false" if sort == "null" else f"count({sql}) > 0"]

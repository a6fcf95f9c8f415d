"""Statements that measure another one: how many events there are, pass each condition, and have each attribute."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.newrelic.answered import count
from sources.newrelic.names import TEXT_CHARS
from sources.nrql.answers_rows import Row
from sources.nrql.text import expression_text
from sources.nrql.text import printed
from sources.nrql.tree import Argument
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Facet
from sources.nrql.tree import Is
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Star
from sources.nrql.tree import Where
from sources.nrql.walk import walk

_CONDITIONS_MOST: Final = 8
_LOOK_BACK_DAYS: Final = 30
_VALUES_MOST: Final = 20
_COUNT: Final = Call(function="count", arguments=(Argument(value=Star()),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One statement that counts, and what its columns mean."""

    text: str
    conditions: tuple[Expression, ...]
    """What WHERE puts together with AND; those that hold a statement of their own are left out."""
    is_one_condition: bool
    """WHERE is nothing but the one of `conditions`, so that whatever passes it passes WHERE."""
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a probe found, in events."""

    total: int
    passing: int | None
    """Those that pass the whole WHERE. None: there is no WHERE, or it cannot be counted so."""
    conditions: tuple[tuple[Expression, int], ...]
    filled: dict[str, int]
    """Events with a value, by attribute."""


def probe(query: Query, attributes: Sequence[str]) -> Probe | None:
    """None: the query reads other things than events, so its conditions cannot be counted one by one."""
    if query.join or query.variables or not all(isinstance(source, Name) for source in query.sources):
        return None
    parts = tuple(each for each in conjuncts(query.where) if not _holds_statement(each))[:_CONDITIONS_MOST]
    whole = query.where is not None and len(conjuncts(query.where)) > 1 and not _holds_statement(query.where)
    texts = list(attributes)
    while True:
        text = printed(_counting(query, parts, texts, whole=whole))
        if len(text) <= TEXT_CHARS:
            alone = len(parts) == 1 and parts[0] == query.where
            return Probe(text=text, conditions=parts, is_one_condition=alone, attributes=tuple(texts))
        if texts:
            texts.pop()
        elif parts:
            parts = parts[:-1]
        else:
            return None


def counted(made: Probe, rows: Sequence[Row]) -> Counts | None:
    """None: the answer is no count."""
    if not rows or "total" not in rows[0]:
        return None
    row = rows[0]
    return Counts(
        total=count(row["total"]),
        passing=_passing(made, row),
        conditions=tuple((each, count(row[f"c{at}"])) for at, each in enumerate(made.conditions) if f"c{at}" in row),
        filled={name: count(row[f"a{at}"]) for at, name in enumerate(made.attributes) if f"a{at}" in row},
    )


def _passing(made: Probe, row: Row) -> int | None:
    told = row.get("c0" if made.is_one_condition else "passing")
    return None if told is None else count(told)


def conjuncts(where: Expression | None) -> list[Expression]:
    """The conditions that AND puts together, from left to right."""
    if where is None:
        return []
    if isinstance(where, Binary) and where.operator == "and":
        return [*conjuncts(where.left), *conjuncts(where.right)]
    return [where]


def last_seen_text(query: Query, now_ms: int) -> str | None:
    """Asks when the newest event came, within the last 30 days. None: the query reads other things than events."""
    if not all(isinstance(source, Name) for source in query.sources):
        return None
    since = Moment(kind="at", value=Number(text=str(now_ms - _LOOK_BACK_DAYS * 86_400_000)))
    latest = Selected(value=Call(function="latest", arguments=(Argument(value=Name(name="timestamp")),)), alias="seen")
    return printed(Query(select=(latest,), sources=query.sources, since=since))


def values_text(query: Query, attribute: str) -> str:
    """Asks for the most frequent values of an attribute, in the query's own window."""
    facet = Facet(items=(Selected(value=Name(name=attribute)),))
    return printed(_plain(query, (Selected(value=_COUNT),), facet=facet, limit=Limit(rows=_VALUES_MOST)))


def range_text(query: Query, value: Expression) -> str:
    """Asks between which numbers a value lies, in the query's own window."""
    ends = tuple(
        Selected(value=Call(function=each, arguments=(Argument(value=value),)), alias=alias)
        for each, alias in (("min", "low"), ("max", "high"))
    )
    return printed(_plain(query, ends))


def text_of(condition: Expression) -> str:
    return expression_text(condition)[:160]


def _counting(query: Query, parts: Sequence[Expression], attributes: Sequence[str], *, whole: bool) -> Query:
    items = [Selected(value=_COUNT, alias="total")]
    if whole and query.where is not None:
        items.append(_filtered(query.where, "passing"))
    items += [_filtered(each, f"c{place}") for place, each in enumerate(parts)]
    known = [Is(operand=Name(name=name), what="null", negated=True) for name in attributes]
    items += [_filtered(each, f"a{place}") for place, each in enumerate(known)]
    return _plain(query, tuple(items))


def _filtered(condition: Expression, alias: str) -> Selected:
    arguments = (Argument(value=_COUNT), Argument(value=Where(condition=condition)))
    return Selected(value=Call(function="filter", arguments=arguments), alias=alias)


def _plain(
    query: Query, select: tuple[Selected, ...], *, facet: Facet | None = None, limit: Limit | None = None
) -> Query:
    """Another SELECT over the same events of the same window."""
    return Query(
        select=select,
        sources=query.sources,
        since=query.since,
        until=query.until,
        timezone=query.timezone,
        facet=facet,
        limit=limit,
    )


def _holds_statement(condition: Expression) -> bool:
    return any(isinstance(node, Nested) for node in walk(condition))

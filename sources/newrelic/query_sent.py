"""What is sent in place of the caller's statement: its window said, its rows bounded, its columns told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.newrelic.names import TEXT_CHARS
from sources.newrelic.window import Window
from sources.nrql.answers_wanted import AGGREGATES
from sources.nrql.bound import bounded
from sources.nrql.text import expression_text
from sources.nrql.text import printed
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import Name
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Star
from sources.nrql.tree import Statement
from sources.nrql.tree import Unary

ROWS_MOST: Final = 5_000
"""Source: docs.newrelic.com, NRQL reference, LIMIT: the most rows of an answer."""
BUCKETS_MOST: Final = 366
"""Source: docs.newrelic.com, NRQL reference, TIMESERIES: the most buckets."""
_WRAPPING: Final = frozenset({"filter", "percentage", "rate"})
"""Aggregates whose column is called after what they hold, or after themselves: two of them would be called the same."""
_ALIAS_CHARS: Final = 120
_UNSAFE: Final = str.maketrans("", "", "'`\"\\\n\r\t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """`statement` None: the text stands as the caller wrote it."""

    statement: Statement | None
    text: str
    remarks: tuple[str, ...] = ()


def sent(statement: Statement, *, window: Window, rows: int, remarks: Sequence[str] = ()) -> Sent:
    """`rows`: how many are wanted where the statement has no LIMIT. A window that the caller named stays as it is.

    Where only UNTIL is named, NRDB's own rule for SINCE holds. Series keep NRDB's default number of facets, because
    each of them is many rows. Raises `NrqlError`.
    """
    implicit = statement.since is None and statement.until is None
    whole = window
    if isinstance(statement, Query):
        window = _countable(window, statement)
    narrowed = implicit and window != whole
    series = isinstance(statement, Query) and statement.facet is not None and statement.timeseries is not None
    filled = bounded(
        statement,
        since_ms=window.begin_ms if implicit else None,
        until_ms=window.end_ms if implicit else None,
        limit=None if series else min(rows, ROWS_MOST),
    )
    if isinstance(filled, Query) and len(printed(named := told_apart(filled))) <= TEXT_CHARS:
        filled = named
    said = f"This covers {window.shown} only, which is {BUCKETS_MOST} buckets: say SINCE for another window."
    return Sent(statement=filled, text=printed(filled), remarks=(*remarks, said) if narrowed else tuple(remarks))


def _countable(window: Window, query: Query) -> Window:
    """The end of the window that the buckets of the query can cover."""
    step = (query.timeseries.slide_by or query.timeseries.width) if query.timeseries else None
    if not isinstance(step, Duration) or step.ms <= 0:
        return window
    span_ms = min(window.end_ms - window.begin_ms, int(step.ms * BUCKETS_MOST))
    return Window(begin_ms=window.end_ms - max(1, span_ms), end_ms=window.end_ms)


def told_apart(query: Query) -> Query:
    """With an alias for everything whose column would otherwise have no name of its own."""
    taken = {item.alias for item in query.select}
    calls: set[tuple[str, str]] = set()
    items: list[Selected] = []
    for item in query.select:
        named = item
        if item.alias is None and (_is_unnamed(item.value) or _called(item.value) in calls):
            named = replace(item, alias=_alias(item, taken))
        calls.update(each for each in [_called(item.value)] if each is not None)
        taken.add(named.alias)
        items.append(named)
    return replace(query, select=tuple(items))


def _is_unnamed(value: Expression) -> bool:
    if not isinstance(value, Call):
        return isinstance(value, Binary | Unary)
    if value.function in _WRAPPING:
        return True
    first = value.arguments[0].value if value.arguments else None
    return first is not None and not (isinstance(first, Name | Star) and value.function in AGGREGATES)


def _called(value: Expression) -> tuple[str, str] | None:
    """Function and attribute, which is what the answer calls a column after; None: it is no function."""
    if not isinstance(value, Call):
        return None
    first = value.arguments[0].value if value.arguments else None
    return value.function, first.name if isinstance(first, Name) else ""


def _alias(item: Selected, taken: "set[str | None]") -> str:
    """The text itself, without what would have to be escaped."""
    text = " ".join(expression_text(item.value).translate(_UNSAFE).split())[:_ALIAS_CHARS]
    number = 2
    alias = text
    while alias in taken:
        alias = f"{text} ({number})"
        number += 1
    return alias

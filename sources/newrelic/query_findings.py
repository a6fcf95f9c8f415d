"""Sentences about what was counted: pure, bounded, and safe to show."""

from collections.abc import Collection
from collections.abc import Sequence
from typing import Final

from sources.names import nearest
from sources.newrelic.answered import number
from sources.newrelic.names import twins
from sources.newrelic.query_counts import Counts
from sources.newrelic.query_counts import text_of
from sources.nrql.answers_cells import Cells
from sources.nrql.answers_cells import instant
from sources.nrql.answers_rows import Row
from sources.nrql.answers_rows import sequence
from sources.nrql.text import expression_text
from sources.nrql.text import literal
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Name
from sources.nrql.tree import Number
from sources.nrql.tree import Text
from sources.nrql.tree import Unary

_NEAR_MOST: Final = 5
_VALUE_CHARS: Final = 80
_THIN: Final = 3
Equality = tuple[str, str]
"""Attribute and text of `attribute = 'text'`."""


def nothing_at_all(schemas: Sequence[str], rows: Sequence[Row]) -> str:
    """There is no event in the window; `rows` say when the newest of 30 days came."""
    named = " and ".join(Cells().name(schema)[:_VALUE_CHARS] for schema in schemas[:3])
    told = instant(rows[0].get("seen")) if rows else None
    if told is None:
        return f"There are no events of {named} in this window, nor in the last 30 days."
    return f"There are no events of {named} in this window; the newest came at {told}: say SINCE to reach it."


def blamed(counts: Counts) -> list[str]:
    """Which condition removes the events."""
    total = f"{counts.total:,}"
    alone = [condition for condition, rows in counts.conditions if rows == 0]
    if alone:
        return [f"No event passes: `{text_of(alone[0])}` alone removes all {total} of the window."]
    if counts.passing is None:
        return []
    if counts.passing:
        return [f"{counts.passing:,} of {total} events pass WHERE; what is selected of them gives this result."]
    kept = ", ".join(f"`{text_of(condition)}` keeps {rows:,}" for condition, rows in counts.conditions)
    return [f"No event passes all conditions together; alone, of {total} events: {kept}."]


def thin(counts: Counts, read: Collection[str]) -> list[str]:
    """Attributes that are read and have no value in the window, and those of nearly the same name that have some."""
    empty = [name for name, rows in counts.filled.items() if rows == 0 and name in read]
    return [_thin(name, counts) for name in empty[:_THIN]]


def _thin(name: str, counts: Counts) -> str:
    better = [each for each in twins(name, counts.filled) if counts.filled[each]]
    other = " and ".join(f"{_name(each)} has {counts.filled[each]:,}" for each in better)
    told = f"{_name(name)} is listed but has no value in any of these {counts.total:,} events"
    return f"{told}; {other}." if other else f"{told}."


def equality(condition: Expression) -> Equality | None:
    """For `attribute = 'text'`. None: it is another condition."""
    match condition:
        case Binary(operator="=", left=Name(name=name), right=Text(value=value)):
            return name, value
        case Binary(operator="=", left=Text(value=value), right=Name(name=name)):
            return name, value
        case _:
            return None


def unlike(wanted: Equality, rows: Sequence[Row]) -> str | None:
    """Which values the attribute has instead, the most alike first. None: it has none that are text."""
    attribute, text = wanted
    values = [value for row in rows if isinstance(value := _facet(row, attribute), str) and value]
    if not values:
        return None
    alike = nearest(text, values, most=_NEAR_MOST)
    named = [*alike, *(value for value in values if value not in alike)][:_NEAR_MOST]
    cells = Cells()
    said = ", ".join(literal(cells.text(value)[:_VALUE_CHARS]) for value in named)
    return f"Frequent values of {_name(attribute)} are {said}."


def compared(condition: Expression) -> Expression | None:
    """What is compared with a number: an attribute, or `numeric()` of one. None: it is another condition."""
    match condition:
        case Binary(operator="=" | "<" | "<=" | ">" | ">=", left=left, right=Number() | Unary(operand=Number())):
            measured = left
        case Binary(operator="=" | "<" | "<=" | ">" | ">=", left=Number() | Unary(operand=Number()), right=right):
            measured = right
        case _:
            return None
    match measured:
        case Name() | Call(function="numeric", arguments=(_,)):
            return measured
        case _:
            return None


def between(measured: Expression, rows: Sequence[Row]) -> str | None:
    """Where the numbers of a value lie, which tells a unit that was mistaken. None: it has no numbers."""
    ends = [number(rows[0].get(each)) for each in ("low", "high")] if rows else []
    shown = [f"{int(each):,}" if each == int(each) else f"{each:,.6g}" for each in ends if each is not None]
    if len(shown) != 2:  # noqa: PLR2004 - both ends
        return None
    name = Cells().name(expression_text(measured))[:_VALUE_CHARS]
    if shown[0] == shown[1]:
        return f"`{name}` is always {shown[0]} here: compare in the same unit."
    return f"`{name}` lies between {shown[0]} and {shown[1]} here: compare in the same unit."


def _facet(row: Row, attribute: str) -> object:
    told = row.get("facet", row.get(attribute))
    return next(iter(sequence(told)), None) if sequence(told) else told


def _name(name: str) -> str:
    return f"`{Cells().name(name)[:_VALUE_CHARS]}`"

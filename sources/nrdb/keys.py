"""How the rows of an answer call what was selected.

Recorded: `count`, `max.a.b`, an alias as it is. Not recorded: functions of functions and arithmetic, which are called
as they are written.
"""

from sources.nrql.text import expression_text
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Name
from sources.nrql.tree import Selected
from sources.nrql.tree import Star
from sources.nrql.words import spelled


def key_of(item: Selected) -> str:
    """The key of one thing of SELECT."""
    return item.alias or named(item.value)


def facet_key(item: Selected) -> str:
    """The name of one thing of FACET."""
    if item.alias:
        return item.alias
    return "case" if isinstance(item.value, Call) and item.value.function == "cases" else named(item.value, call=False)


def named(expression: Expression, *, call: bool = True) -> str:
    """An attribute by its name, an aggregate of an attribute as `function.attribute`, all else as it is written."""
    if isinstance(expression, Name):
        return expression.name
    if not call or not isinstance(expression, Call):
        return expression_text(expression)
    first = expression.arguments[0].value if expression.arguments else None
    if isinstance(first, Name):
        return f"{spelled(expression.function)}.{first.name}"
    if first is None or isinstance(first, Star):
        return spelled(expression.function)
    return expression_text(expression)

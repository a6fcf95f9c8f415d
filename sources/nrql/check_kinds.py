"""Comparisons and functions that meet values of another kind. NRDB converts nothing: they match nothing, silently."""

from collections.abc import Iterator
from typing import Final
from typing import Literal

from sources.nrql.check_names import Scope
from sources.nrql.errors import excerpt
from sources.nrql.remark import Remark
from sources.nrql.text import expression_text
from sources.nrql.text import name_text
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Name
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Text
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.walk import values
from sources.nrql.walk import walk
from sources.nrql.words import spelled

_ORDERED: Final = frozenset(("=", "!=", "<", "<=", ">", ">="))
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OF_NUMBERS: Final = frozenset(("average", "sum", "percentile", "median", "stddev", "histogram", "apdex", "derivative"))
_SHOWN: Final = 100
_Mismatch = Literal[
    "numeric_as_text", "text_as_number", "boolean_as_text", "like_without_wildcard", "equals_with_wildcard"
]


def mismatched(query: Query, scope: Scope) -> Iterator[Remark]:
    """What cannot match, or cannot be reckoned with, given the kinds of the attributes."""
    for value in values(query):
        for node in walk(value):
            match node:
                case Binary() if node.operator in _ORDERED:
                    yield from _compared(node, scope)
                case Binary() if node.operator == "like":
                    yield from _like(node, scope)
                case In():
                    yield from _in(node, scope)
                case Is() if node.what != "null" and scope.kind(node.operand) == "string":
                    yield from _text_is(node)
                case Call() if node.function in _OF_NUMBERS and node.arguments:
                    yield from _reckoned(node, node.arguments[0].value, scope)
                case _:
                    pass


def _compared(node: Binary, scope: Scope) -> Iterator[Remark]:
    operator, left, right = node.operator, node.left, node.right
    if not isinstance(left, Name):
        operator, left, right = _MIRRORED.get(operator, operator), right, left
    if not isinstance(left, Name):
        return
    kind = scope.kind(left)
    name = name_text(left.name)[:_SHOWN]
    position = node.span.start
    if kind == "string" and (written := _number(right)) is not None:
        said = f"{name} holds texts, so {name} {operator} {written} matches nothing"
        instead = f"numeric({name}) {operator} {written}"
        yield _remark("numeric_as_text", said, instead, position)
    elif kind == "numeric" and isinstance(right, Text):
        said = f"{name} holds numbers, so a comparison with the text '{excerpt(right.value)}' matches nothing"
        yield _remark("text_as_number", said, f"{name} {operator} {_as_number(right.value)}", position)
    elif kind == "boolean" and not isinstance(right, Truth) and isinstance(right, Text | Number):
        yield _remark("boolean_as_text", f"{name} is true or false", f"{name} IS {_as_truth(right)}", position)
    elif isinstance(right, Text) and "%" in right.value and operator in {"=", "!="} and kind != "boolean":
        said = f"{operator} takes % as a percent sign, and not as a wildcard"
        verb = "LIKE" if operator == "=" else "NOT LIKE"
        yield _remark("equals_with_wildcard", said, f"{name} {verb} '{excerpt(right.value)}'", position)


def _like(node: Binary, scope: Scope) -> Iterator[Remark]:
    if not isinstance(node.right, Text):
        return
    name = excerpt(expression_text(node.left), _SHOWN)
    if scope.kind(node.left) == "numeric":
        said = f"{name} holds numbers, which LIKE never matches"
        yield _remark("text_as_number", said, f"string({name}) LIKE '{excerpt(node.right.value)}'", node.span.start)
    elif "%" not in node.right.value:
        said = "LIKE without % matches whole values only, whatever their case; * is no wildcard of it"
        instead = f"{name} LIKE '%{excerpt(node.right.value.strip('*'))}%'"
        yield _remark("like_without_wildcard", said, instead, node.span.start)


def _in(node: In, scope: Scope) -> Iterator[Remark]:
    kind = scope.kind(node.needle)
    if kind is None or not isinstance(node.options, tuple):
        return
    name = excerpt(expression_text(node.needle), _SHOWN)
    if kind == "string" and any(_number(each) is not None for each in node.options):
        said = f"{name} holds texts, so the numbers in the list match nothing"
        said = f"{said}: write numeric({name}) IN (...), or put the numbers in quotes."
        yield Remark(kind="numeric_as_text", text=said, position=node.span.start)
    elif kind == "numeric" and any(isinstance(each, Text) for each in node.options):
        said = f"{name} holds numbers, so the texts in the list match nothing"
        said = f"{said}: write numbers without quotes."
        yield Remark(kind="text_as_number", text=said, position=node.span.start)


def _text_is(node: Is) -> Iterator[Remark]:
    name = excerpt(expression_text(node.operand), _SHOWN)
    said = f"{name} holds texts, so IS {node.what.upper()} matches nothing"
    sign = "!=" if node.negated else "="
    yield _remark("boolean_as_text", said, f"{name} {sign} '{node.what}'", node.span.start)


def _reckoned(call: Call, argument: Expression, scope: Scope) -> Iterator[Remark]:
    if scope.kind(argument) != "string":
        return
    name, function = excerpt(expression_text(argument), _SHOWN), spelled(call.function)
    said = f"{name} holds texts, which {function} leaves out"
    yield _remark("numeric_as_text", said, f"{function}(numeric({name}))", call.span.start)


def _remark(kind: _Mismatch, said: str, instead: str, position: int) -> Remark:
    return Remark(kind=kind, text=f"{said}: write {instead}.", position=position, suggestions=(instead,))


def _number(node: Expression) -> str | None:
    """A number as it was written, its sign included."""
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Unary) and isinstance(node.operand, Number):
        return f"{node.operator}{node.operand.text}"
    return None


def _as_number(text: str) -> str:
    """What is left of a text without its quotes, when that is a number."""
    stripped = text.strip()
    return stripped if stripped.removeprefix("-").replace(".", "", 1).isdecimal() else "a number"


def _as_truth(node: Text | Number) -> str:
    written = node.value if isinstance(node, Text) else node.text
    return "FALSE" if str(written).strip().lower() in {"false", "0", "no", "f", ""} else "TRUE"

"""Writes a tree as NRQL: one line, one spelling, so that statements that mean the same in other words read alike."""

import re
from typing import Final

from sources.nrql.tree import Argument
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import Facet
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Join
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Null
from sources.nrql.tree import Number
from sources.nrql.tree import Order
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Show
from sources.nrql.tree import Star
from sources.nrql.tree import Statement
from sources.nrql.tree import Text
from sources.nrql.tree import Timeseries
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.tree import Where
from sources.nrql.words import KEYWORDS
from sources.nrql.words import spelled

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_RAW: Final = re.compile(r"(?=[^\\]*\\)(?:[^'\\\n\t\r]|\\[^'\n\t\r])*")

_NOT: Final = 3
_COMPARES: Final = 4
_SIGN: Final = 7
_TIGHTEST: Final = 8
_STRENGTH: Final = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}


def printed(statement: Statement) -> str:
    """The statement as NRQL. Parsing it gives the same tree."""
    if isinstance(statement, Show):
        return _line(f"SHOW {statement.what.upper()}", *_window(statement))
    return _query(statement)


def name_text(name: str) -> str:
    """The name as NRQL takes it: bare where that is safe, else in backticks."""
    if _PLAIN.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return f"`{name.replace('`', '``')}`"


def literal(value: str) -> str:
    """The text in single quotes."""
    return f"'{value.translate(_ESCAPES)}'"


def expression_text(expression: Expression) -> str:
    """One expression as NRQL."""
    return _expression(expression, 0)


def _line(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _query(query: Query) -> str:
    parts = ["SELECT", _items(query.select), "FROM", ", ".join(map(_source, query.sources))]
    if query.source_alias is not None or query.join or query.variables:
        parts += _beside_sources(query)
    if query.where is not None:
        parts.append(f"WHERE {_expression(query.where, 0)}")
    if query.facet:
        parts.append(_facet(query.facet))
    if query.order_by:
        parts.append(f"ORDER BY {', '.join(_order(each, descending=False) for each in query.order_by)}")
    if query.limit:
        parts.append(f"LIMIT {_rows(query.limit)}")
    if query.offset:
        parts.append(f"OFFSET {_rows(query.offset)}")
    parts += _window(query)
    parts += _presented(query)
    return " ".join(parts)


def _beside_sources(query: Query) -> list[str]:
    parts: list[str] = []
    if query.source_alias is not None:
        parts.append(_alias(query.source_alias))
    if query.join:
        parts.append(_join(query.join))
    if query.variables:
        parts.append(f"WITH {', '.join(map(_variable, query.variables))}")
    return parts


def _window(statement: Statement) -> list[str]:
    parts: list[str] = []
    if statement.since:
        parts.append(f"SINCE {_moment(statement.since)}")
    if statement.until:
        parts.append(f"UNTIL {_moment(statement.until)}")
    return parts


def _presented(query: Query) -> list[str]:
    """What follows the window."""
    parts: list[str] = []
    if query.timezone is not None:
        parts.append(f"WITH TIMEZONE {literal(query.timezone)}")
    if query.compare_with:
        parts.append(f"COMPARE WITH {_moment(query.compare_with)}")
    if query.timeseries:
        parts.append(_timeseries(query.timeseries))
    if query.predict is not None:
        parts.append(_line("PREDICT", *map(_predicted, query.predict)))
    if query.extrapolate:
        parts.append("EXTRAPOLATE")
    if query.metric_format is not None:
        parts.append(f"WITH METRIC_FORMAT {literal(query.metric_format)}")
    return parts


def _items(items: tuple[Selected, ...]) -> str:
    return ", ".join(
        _expression(each.value, 0) if each.alias is None else f"{_expression(each.value, 0)} {_alias(each.alias)}"
        for each in items
    )


def _alias(alias: str) -> str:
    plain = _PLAIN.fullmatch(alias) and alias.lower() not in KEYWORDS
    return f"AS {alias if plain else literal(alias)}"


def _source(source: Name | Nested | Call) -> str:
    return name_text(source.name) if isinstance(source, Name) else _expression(source, 0)


def _join(join: Join) -> str:
    alias = "" if join.alias is None else _alias(join.alias)
    key = _expression(join.left, _COMPARES + 1)
    right = "" if join.left == join.right else f"= {name_text(join.right.name)}"
    return _line("LEFT" if join.kind == "left" else "", f"JOIN ({_query(join.query.query)})", alias, "ON", key, right)


def _variable(variable: Selected) -> str:
    names = [name_text(each) for each in (variable.alias or "").split(",")]
    return f"{_expression(variable.value, 0)} AS {names[0] if len(names) == 1 else '(' + ', '.join(names) + ')'}"


def _facet(facet: Facet) -> str:
    order = f" ORDER BY {_order(facet.order_by, descending=True)}" if facet.order_by else ""
    return f"FACET {_items(facet.items)}{order}"


def _order(order: Order, *, descending: bool) -> str:
    """An order, without the direction when it is the one of its place."""
    direction = "" if order.descending == descending else " DESC" if order.descending else " ASC"
    return f"{_expression(order.value, 0)}{direction}"


def _rows(limit: Limit) -> str:
    return "MAX" if limit.rows == "max" else str(limit.rows)


def _moment(moment: Moment) -> str:
    value = moment.value
    if isinstance(value, str):
        day, at, clock = value.partition(" at ")
        return f"{day} AT {literal(clock)}" if at else day
    return f"{_expression(value, 0)} ago" if moment.kind == "ago" else _expression(value, 0)


def _timeseries(timeseries: Timeseries) -> str:
    slide = f"SLIDE BY {_width(timeseries.slide_by)}" if timeseries.slide_by else ""
    return _line("TIMESERIES", _width(timeseries.width), slide)


def _width(width: Duration | str | None) -> str:
    return width.upper() if isinstance(width, str) else _duration(width) if width else ""


def _predicted(part: Selected) -> str:
    return _line((part.alias or "").upper(), _expression(part.value, 0))


def _duration(duration: Duration) -> str:
    return f"{duration.amount.text} {duration.unit}{'' if duration.amount.text == '1' else 's'}"


def _expression(node: Expression, least: int) -> str:  # noqa: PLR0911, PLR0912, C901 - one line per kind of node
    match node:
        case Name():
            return name_text(node.name)
        case Call():
            return _call(node)
        case Text():
            return literal(node.value)
        case Number():
            return node.text
        case Star():
            return "*"
        case Binary():
            return _binary(node, least)
        case Unary():
            return _unary(node, least)
        case In():
            return _enclosed(_in(node), _COMPARES, least)
        case Is():
            word = f"IS {'NOT ' if node.negated else ''}{node.what.upper()}"
            return _enclosed(f"{_expression(node.operand, _COMPARES + 1)} {word}", _COMPARES, least)
        case Duration():
            return _duration(node)
        case Truth():
            return "true" if node.value else "false"
        case Null():
            return "NULL"
        case Nested():
            return f"({_query(node.query)})"
        case Where():
            label = "" if node.alias is None else f"AS {literal(node.alias)}"
            return _line("WHERE", _expression(node.condition, 0), label)


def _enclosed(text: str, strength: int, least: int) -> str:
    return text if strength >= least else f"({text})"


def _binary(node: Binary, least: int) -> str:
    strength = _STRENGTH.get(node.operator, _COMPARES)
    return _enclosed(_infix(node, strength, node.operator.upper()), strength, least)


def _infix(node: Binary, strength: int, operator: str) -> str:
    """Operators of one strength are read from the left, and comparisons not one after the other."""
    left = _expression(node.left, strength + (strength == _COMPARES))
    if node.operator == "rlike" and isinstance(node.right, Text):
        return f"{left} {operator} {_pattern(node.right.value)}"
    return f"{left} {operator} {_expression(node.right, strength + 1)}"


def _unary(node: Unary, least: int) -> str:
    if node.operator != "not":
        return _enclosed(f"{node.operator}{_expression(node.operand, _TIGHTEST)}", _SIGN, least)
    if isinstance(node.operand, Binary) and node.operand.operator in {"like", "rlike"}:
        operator = f"NOT {node.operand.operator.upper()}"
        return _enclosed(_infix(node.operand, _COMPARES, operator), _COMPARES, least)
    return _enclosed(f"NOT {_expression(node.operand, _NOT)}", _NOT, least)


def _in(node: In) -> str:
    if isinstance(node.options, Nested):
        options = _expression(node.options, 0)
    else:
        options = f"({', '.join(_expression(each, 0) for each in node.options)})"
    return f"{_expression(node.needle, _COMPARES + 1)} {'NOT ' if node.negated else ''}IN {options}"


def _call(node: Call) -> str:
    if node.function == "{}":
        return f"{{{', '.join(map(_argument, node.arguments))}}}"
    if node.function == "capture":
        return f"capture({', '.join(map(_captured, node.arguments))})"
    return f"{spelled(node.function)}({', '.join(map(_argument, node.arguments))})"


def _argument(argument: Argument) -> str:
    value = _expression(argument.value, 0)
    return value if argument.label is None else f"{argument.label}: {value}"


def _captured(argument: Argument) -> str:
    if isinstance(argument.value, Text) and argument.label is None:
        return _pattern(argument.value.value)
    return _argument(argument)


def _pattern(value: str) -> str:
    """A regular expression: raw when it has backslashes and raw texts can hold it, as people write it."""
    return f"r'{value}'" if _RAW.fullmatch(value) else literal(value)

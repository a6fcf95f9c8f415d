"""Functions over one row: texts, numbers and conversions. What is not in the table is refused by its name.

Source: docs.newrelic.com, NRQL reference, "Non-aggregator functions" and "Type conversion".
"""

import re
from collections.abc import Callable
from typing import Final

from sources.nrdb.functions_time import TIMES
from sources.nrdb.functions_time import time_part
from sources.nrdb.literals import plain_sql
from sources.nrdb.literals import text_sql
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import EVENT_TYPE
from sources.nrdb.scope import SIZE
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Value
from sources.nrdb.values import condition
from sources.nrdb.values import of_sort
from sources.nrdb.values import value
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Number
from sources.nrql.tree import Text
from sources.nrql.tree import Unary
from sources.nrql.words import spelled

_CONCAT_CHARS: Final = 4096
_SQL_CHARS: Final = 100_000
_MATHS: Final[dict[str, tuple[str, ...]]] = {
    "abs": ("abs({})",),
    "ceil": ("ceil({})",),
    "floor": ("floor({})",),
    "exp": ("exp({})",),
    "sqrt": ("(CASE WHEN {0} >= 0 THEN sqrt({0}) END)",),
    "ln": ("(CASE WHEN {0} > 0 THEN ln({0}) END)",),
    "log": ("(CASE WHEN {0} > 0 THEN log10({0}) END)",),
    "log2": ("(CASE WHEN {0} > 0 THEN log2({0}) END)",),
    "log10": ("(CASE WHEN {0} > 0 THEN log10({0}) END)",),
    "round": ("round({})", "(round({0} / nullif({1}, 0)) * {1})"),
    "mod": ("", "({0} - {1} * floor({0} / nullif({1}, 0)))"),
    "pow": ("", "pow({0}, {1})"),
    "clamp_max": ("", "(CASE WHEN {0} > {1} THEN {1} ELSE {0} END)"),
    "clamp_min": ("", "(CASE WHEN {0} < {1} THEN {1} ELSE {0} END)"),
}
"""By function: what it is with one argument, and with two."""


def called(call: Call, scope: Scope) -> Value:
    """A function of one row. Raises `NotTranslated` when it is unknown here, or is of many rows."""
    sql, sort = _called(call, scope)
    if len(sql) > _SQL_CHARS:  # some forms name an argument twice, so that nesting doubles them
        raise NotTranslated("functions are nested too deeply", call.span.start, "Nest fewer functions.")
    return sql, sort


def _called(call: Call, scope: Scope) -> Value:
    if call.function in TIMES:
        return time_part(call, scope)
    if call.function in _MATHS:
        return _math(call, scope)
    made = _FUNCTIONS.get(call.function)
    if made is None:
        raise refused(call)
    if any(argument.label for argument in call.arguments):
        raise NotTranslated(f"{call.function}() with labelled arguments is not run locally", call.span.start)
    return made(call, scope)


def refused(call: Call) -> NotTranslated:
    """The refusal of a function by its name."""
    return NotTranslated(
        f"{spelled(call.function)}() is not run locally", call.span.start, "Leave it out, or ask New Relic itself."
    )


def plain(call: Call, least: int, most: int) -> tuple[Expression, ...]:
    """The arguments, when there are as many as there may be."""
    if not least <= len(call.arguments) <= most:
        raise NotTranslated(
            f"{call.function}() with {len(call.arguments)} arguments is not run locally", call.span.start
        )
    return tuple([argument.value for argument in call.arguments])


def _math(call: Call, scope: Scope) -> Value:
    forms = _MATHS[call.function]
    arguments = plain(call, 1 if forms[0] else 2, len(forms))
    return numeric_form(call, tuple(of_sort(each, scope, "numeric", f"{call.function}()") for each in arguments))


def numeric_form(call: Call, arguments: tuple[str, ...]) -> Value:
    """A function over numbers, whether they are of a row or of aggregates."""
    doubles = [f"CAST({each} AS DOUBLE)" if each == "NULL" else each for each in arguments]
    return _MATHS[call.function][len(arguments) - 1].format(*doubles), "numeric"


def is_math(call: Call) -> bool:
    return call.function in _MATHS


def _text(call: Call, scope: Scope) -> Value:
    (argument,) = plain(call, 1, 1)
    return f"{call.function}({of_sort(argument, scope, 'string', f'{call.function}()')})", "string"


def _length(call: Call, scope: Scope) -> Value:
    (argument,) = plain(call, 1, 1)
    return f"length(CAST({of_sort(argument, scope, 'string', 'length()')} AS VARCHAR))", "numeric"


def _substring(call: Call, scope: Scope) -> Value:
    text, start, *length = plain(call, 2, 3)
    found = f"CAST({of_sort(text, scope, 'string', 'substring()')} AS VARCHAR)"
    long = _whole(length[0]) if length else None
    at = _whole(start)
    if at < 0:
        tail = f"right({found}, {-at})"
        return (tail if long is None else f"left({tail}, {long})"), "string"
    return (f"substring({found}, {at + 1})" if long is None else f"substring({found}, {at + 1}, {long})"), "string"


def _whole(expression: Expression) -> int:
    sign = 1
    if isinstance(expression, Unary) and expression.operator == "-":
        sign, expression = -1, expression.operand
    if isinstance(expression, Number) and isinstance(expression.value, int) and expression.value < 1 << 31:
        return sign * expression.value
    raise NotTranslated("a whole number is expected here", expression.span.start)


def _position(call: Call, scope: Scope) -> Value:
    text, sought = (of_sort(each, scope, "string", f"{call.function}()") for each in plain(call, 2, 2))
    return f"(nullif(strpos({text}, {sought}), 0) - 1)", "numeric"


def _concat(call: Call, scope: Scope) -> Value:
    parts = [value(each, scope) for each in plain(call, 0, 20)]
    shown = ", ".join(f"CAST({sql} AS VARCHAR)" for sql, sort in parts if sort != "null")
    return (f"left(concat({shown}), {_CONCAT_CHARS})" if shown else "''"), "string"


def _string(call: Call, scope: Scope) -> Value:
    sql, _ = value(plain(call, 1, 1)[0], scope)
    return f"CAST({sql} AS VARCHAR)", "string"


def _numeric(call: Call, scope: Scope) -> Value:
    sql, sort = value(plain(call, 1, 1)[0], scope)
    if sort in ("numeric", "null"):
        return sql, "numeric" if sort == "numeric" else "null"
    if sort == "boolean":
        raise NotTranslated("numeric() of true or false is not run locally", call.span.start, "Use if(x, 1, 0).")
    return f"(CASE WHEN isfinite(TRY_CAST({sql} AS DOUBLE)) THEN TRY_CAST({sql} AS DOUBLE) END)", "numeric"


def _boolean(call: Call, scope: Scope) -> Value:
    sql, sort = value(plain(call, 1, 1)[0], scope)
    if sort == "string":
        return f"(CASE {sql} WHEN 'true' THEN true WHEN 'false' THEN false END)", "boolean"
    if sort == "numeric":
        raise NotTranslated("boolean() of a number is not run locally", call.span.start, "Compare it with a number.")
    return sql, sort


def _if(call: Call, scope: Scope) -> Value:
    asked, *chosen = plain(call, 2, 3)
    test = condition(asked, scope)
    then, sort = value(chosen[0], scope)
    otherwise, other = value(chosen[1], scope) if len(chosen) > 1 else ("NULL", "null")
    if sort != other and "null" not in (sort, other):
        raise NotTranslated("if() with values of different kinds is not run locally", call.span.start)
    return f"(CASE WHEN {test} THEN {then} ELSE {otherwise} END)", other if sort == "null" else sort


def _event_type(call: Call, scope: Scope) -> Value:
    plain(call, 0, 0)
    return scope.special(EVENT_TYPE), "string"


def row_size(scope: Scope) -> str:
    """The size of a row in bytes, estimated."""
    return scope.special(SIZE)


def _capture(call: Call, scope: Scope) -> Value:
    text, pattern = plain(call, 2, 2)
    found = captures(call, scope, pattern, text)
    if len(found) != 1:
        raise NotTranslated("capture() of several groups needs WITH ... AS (names)", call.span.start)
    return found[0]


def captures(call: Call, scope: Scope, pattern: Expression, text: Expression) -> list[Value]:
    """What `capture` or `aparse` takes out of a text, one value for each group."""
    sql = f"CAST({of_sort(text, scope, 'string', f'{call.function}()')} AS VARCHAR)"
    if not isinstance(pattern, Text):
        raise NotTranslated(f"{call.function}() without a quoted pattern", pattern.span.start)
    if call.function == "aparse":
        expression, groups = _anchored(pattern.value), pattern.value.count("*")
        made = plain_sql(f"(?is){expression}", pattern.span.start)
    else:
        made, groups = text_sql(pattern), _groups(pattern)
    whole = f"regexp_full_match({sql}, {made})"
    anchored = f"'^(?:' || {made} || ')$'"
    return [
        (f"(CASE WHEN {whole} THEN regexp_extract({sql}, {anchored}, {group}) END)", "string")
        for group in range(1, groups + 1)
    ]


def _groups(pattern: Text) -> int:
    try:
        return re.compile(pattern.value).groups
    except (re.error, OverflowError, RecursionError):
        raise NotTranslated("the regular expression cannot be read", pattern.span.start) from None


def _anchored(pattern: str) -> str:
    """An anchor pattern as a regular expression: `%` skips, `*` takes, all else stands for itself."""
    return "".join({"%": ".*?", "*": "(.*?)"}.get(char) or re.escape(char) for char in pattern)


def _aparse(call: Call, scope: Scope) -> Value:
    return _capture(call, scope)


_FUNCTIONS: Final[dict[str, Callable[[Call, Scope], Value]]] = {
    "lower": _text,
    "upper": _text,
    "length": _length,
    "substring": _substring,
    "position": _position,
    "indexof": _position,
    "concat": _concat,
    "string": _string,
    "numeric": _numeric,
    "boolean": _boolean,
    "if": _if,
    "eventtype": _event_type,
    "capture": _capture,
    "aparse": _aparse,
}

"""Reads what has a value: attributes, functions, arithmetic, conditions. Operators bind as in SQL."""

import math
from typing import Final
from typing import Literal
from typing import cast

from sources.nrql.errors import NrqlError
from sources.nrql.errors import excerpt
from sources.nrql.slips import unexpected
from sources.nrql.tokens import MARK
from sources.nrql.tokens import NUMBER
from sources.nrql.tokens import QUOTED
from sources.nrql.tokens import TEXT
from sources.nrql.tokens import WORD
from sources.nrql.tokens import Cursor
from sources.nrql.tokens import bare
from sources.nrql.tokens import unquoted
from sources.nrql.tree import Argument
from sources.nrql.tree import Binary
from sources.nrql.tree import BinaryOperator
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Null
from sources.nrql.tree import Number
from sources.nrql.tree import Span
from sources.nrql.tree import Star
from sources.nrql.tree import Text
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.tree import Where
from sources.nrql.words import LABELS
from sources.nrql.words import RESERVED
from sources.nrql.words import UNITS

_NOT: Final = 3
_COMPARES: Final = 4
_SUM: Final = 5
_PRODUCT: Final = 6
_SIGN: Final = 7

_STRENGTH: Final = {
    "or": 1,
    "and": 2,
    "+": _SUM,
    "-": _SUM,
    "*": _PRODUCT,
    "/": _PRODUCT,
    "%": _PRODUCT,
} | dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "like", "rlike", "not", "in", "is"), _COMPARES)
"""How strongly an operator holds what stands on both sides of it."""

_DIGITS: Final = 60
_CLAUSE_AHEAD: Final = {"order": ("by",), "compare": ("with",), "slide": ("by",), "limit": ("max",), "offset": ()}
"""Words that are names unless these, or a number, come behind them."""
_A_VALUE: Final = "an attribute, a function or a value"


def expression(cursor: Cursor, least: int = 0) -> Expression:
    """What comes next, as far as its operators hold more strongly than `least`. Raises: NrqlError."""
    start = cursor.at
    left = _operand(cursor)
    words = cursor.words
    while (strength := _STRENGTH.get(words[cursor.at], 0)) > least:
        if strength == _COMPARES:
            left = _compared(cursor, left, start)
            continue
        operator = cast("BinaryOperator", words[cursor.at])
        cursor.at += 1
        cursor.operators += 1
        right = expression(cursor, strength)
        left = Binary(operator, left, right, cursor.since(start))
    return left


def quantity(cursor: Cursor) -> Expression:
    """As `expression`, but without comparisons: the sides of `ON a = b`."""
    return expression(cursor, _COMPARES)


def duration(cursor: Cursor, wanted: str) -> Duration:
    """`5 minutes`. Raises: NrqlError, also for units that are abbreviated."""
    start = cursor.at
    if cursor.kinds[start] != NUMBER:
        unexpected(cursor, wanted)
    amount = number(cursor)
    unit = UNITS.get(cursor.words[start + 1])
    if unit is None:
        found = excerpt(cursor.written(cursor.at))
        reason = f"'{found}' is no unit of time" if found else "a unit of time is missing"
        raise NrqlError(reason, cursor.position, "units are spelled out: 30 seconds, 5 minutes, 1 hour, 7 days")
    cursor.at += 1
    return Duration(amount, unit, cursor.since(start))


def number(cursor: Cursor) -> Number:
    """A number, which the cursor stands at. Raises: NrqlError when no machine can hold it."""
    start, end = cursor.spans[cursor.at]
    text = cursor.text[start:end]
    if end - start > _DIGITS or (not text.isdigit() and math.isinf(float(text))):
        raise NrqlError("the number is too large", start, "write fewer digits")
    cursor.at += 1
    return Number(text, Span((start, end)))


def name(cursor: Cursor, wanted: str) -> Name:
    """A name, bare or in backticks. Raises: NrqlError."""
    start, end = cursor.spans[cursor.at]
    written = cursor.text[start:end]
    kind = cursor.kinds[cursor.at]
    if kind == QUOTED and end - start > 2:  # noqa: PLR2004 - two backticks and nothing between
        cursor.at += 1
        return Name(name=bare(written), quoted=True, span=Span((start, end)))
    if kind != WORD or cursor.words[cursor.at] in RESERVED:
        unexpected(cursor, wanted)
    cursor.at += 1
    return Name(written, Span((start, end)))


def alias(cursor: Cursor) -> str | None:
    """What stands behind AS, if it comes next: a text, or a name. Raises: NrqlError."""
    if cursor.words[cursor.at] != "as":
        return None
    cursor.at += 1
    if cursor.kinds[cursor.at] == TEXT:
        cursor.at += 1
        return unquoted(cursor.written(cursor.at - 1))
    return name(cursor, "AS wants 'a label' in single quotes, or a name").name


def _compared(cursor: Cursor, left: Expression, start: int) -> Expression:
    operator = cursor.words[cursor.at]
    cursor.operators += 1
    if operator in _WORDED:
        made = _worded(cursor, left, start)
    else:
        cursor.at += 1
        right = expression(cursor, _COMPARES)
        made = Binary(cast("BinaryOperator", operator), left, right, cursor.since(start))
    if _STRENGTH.get(cursor.words[cursor.at]) == _COMPARES:
        raise NrqlError("a comparison cannot be compared again", cursor.position, "write x > 1 AND x < 5")
    return made


_WORDED: Final = frozenset(("like", "rlike", "not", "in", "is"))


def _worded(cursor: Cursor, left: Expression, start: int) -> Expression:
    negated = cursor.took("not")
    operator = cursor.words[cursor.at]
    if operator == "is" and not negated:
        return _is(cursor, left, start)
    if operator == "in":
        return _in(cursor, left, start, negated=negated)
    if operator not in {"like", "rlike"}:
        unexpected(cursor, "LIKE, RLIKE or IN")
    cursor.at += 1
    right = expression(cursor, _COMPARES)
    span = cursor.since(start)
    made = Binary(operator="like" if operator == "like" else "rlike", left=left, right=right, span=span)
    return Unary(operator="not", operand=made, span=span) if negated else made


def _is(cursor: Cursor, left: Expression, start: int) -> Is:
    cursor.at += 1
    negated = cursor.took("not")
    what = cursor.words[cursor.at]
    if what not in {"null", "true", "false"}:
        unexpected(cursor, "IS wants NULL, TRUE or FALSE, with NOT before it or without")
    cursor.at += 1
    return Is(operand=left, what=cast("_State", what), negated=negated, span=cursor.since(start))


_State = Literal["null", "true", "false"]


def _in(cursor: Cursor, left: Expression, start: int, *, negated: bool) -> In:
    cursor.at += 1
    if cursor.words[cursor.at] != "(":
        unexpected(cursor, "IN wants a list in parentheses: IN ('a', 'b')")
    options: tuple[Expression, ...] | Nested
    if cursor.words[cursor.at + 1] in _STATEMENT:
        options = cursor.nested(cursor)
    else:
        cursor.at += 1
        cursor.deeper()
        options = _listed(cursor)
        cursor.depth -= 1
    return In(needle=left, options=options, negated=negated, span=cursor.since(start))


def _listed(cursor: Cursor) -> tuple[Expression, ...]:
    """Values up to the closing parenthesis, which is read as well."""
    values = [expression(cursor)]
    while cursor.words[cursor.at] == ",":
        cursor.at += 1
        values.append(expression(cursor))
    _close(cursor, ")")
    return tuple(values)


def _close(cursor: Cursor, mark: str) -> None:
    if cursor.words[cursor.at] != mark:
        unexpected(cursor, f"a comma or '{mark}'")
    cursor.at += 1


def _operand(cursor: Cursor) -> Expression:
    at = cursor.at
    kind = cursor.kinds[at]
    if kind == WORD:
        made = _word(cursor)
    elif kind == TEXT:
        start, end = cursor.spans[at]
        cursor.at = at + 1
        made = Text(unquoted(cursor.text[start:end]), Span((start, end)))
    elif kind == NUMBER:
        made = duration(cursor, "") if cursor.words[at + 1] in UNITS else number(cursor)
    elif kind == MARK:
        made = _marked(cursor)
    else:
        made = name(cursor, _A_VALUE)
    return _indexed(cursor, made) if cursor.words[cursor.at] == "[" else made


def _word(cursor: Cursor) -> Expression:
    at = cursor.at
    word = cursor.words[at]
    ahead = cursor.words[at + 1]
    if word in RESERVED:
        return _reserved(cursor, word)
    if ahead == "(":
        return call(cursor)
    if word in _CLAUSE_AHEAD and (cursor.kinds[at + 1] == NUMBER or ahead in _CLAUSE_AHEAD[word]):
        unexpected(cursor, f"{_A_VALUE} is missing before it")
    start, end = cursor.spans[at]
    cursor.at = at + 1
    return Name(cursor.text[start:end], Span((start, end)))


def _reserved(cursor: Cursor, word: str) -> Expression:
    start = cursor.at
    if word not in {"true", "false", "null", "not"}:
        unexpected(cursor, f"{_A_VALUE} is missing before it")
    cursor.at += 1
    if word == "not":
        cursor.deeper()
        operand = expression(cursor, _NOT)
        cursor.depth -= 1
        return Unary(operator="not", operand=operand, span=cursor.since(start))
    span = cursor.since(start)
    return Null(span=span) if word == "null" else Truth(value=word == "true", span=span)


def _marked(cursor: Cursor) -> Expression:
    start = cursor.at
    mark = cursor.words[start]
    if mark == "*":
        cursor.at += 1
        return Star(Span(cursor.spans[start]))
    if mark == "(":
        return cursor.nested(cursor) if cursor.words[start + 1] in _STATEMENT else _grouped(cursor)
    if mark not in {"-", "+"}:
        unexpected(cursor, f"{_A_VALUE} is missing before it")
    cursor.at += 1
    cursor.deeper()
    operand = expression(cursor, _SIGN)
    cursor.depth -= 1
    return Unary(operator="-" if mark == "-" else "+", operand=operand, span=cursor.since(start))


_STATEMENT: Final = frozenset(("select", "from", "with"))
"""How a statement in parentheses begins."""


def _grouped(cursor: Cursor) -> Expression:
    cursor.at += 1
    cursor.deeper()
    made = expression(cursor)
    cursor.depth -= 1
    _close(cursor, ")")
    return made


def _indexed(cursor: Cursor, whole: Expression) -> Expression:
    """`list[0]`, which is short for `getField(list, 0)`."""
    while cursor.words[cursor.at] == "[":
        cursor.at += 1
        cursor.operators += 1
        place = expression(cursor)
        _close(cursor, "]")
        span = Span((whole.span.start, cursor.spans[cursor.at - 1][1]))
        whole = Call(function="getfield", arguments=(Argument(value=whole), Argument(value=place)), span=span)
    return whole


def call(cursor: Cursor) -> Call:
    """A function, whose name the cursor stands at and which a parenthesis follows. Raises: NrqlError."""
    start = cursor.at
    function = cursor.words[start]
    cursor.at += 2
    cursor.deeper()
    arguments: list[Argument] = []
    if cursor.words[cursor.at] != ")":
        arguments.append(_argument(cursor))
        while cursor.words[cursor.at] == ",":
            cursor.at += 1
            arguments.append(_argument(cursor))
    cursor.depth -= 1
    _close(cursor, ")")
    return Call(function, tuple(arguments), cursor.since(start))


def _argument(cursor: Cursor) -> Argument:
    at = cursor.at
    word = cursor.words[at]
    if word == "where":
        return Argument(value=_where(cursor))
    if cursor.words[at + 1] == ":" and cursor.kinds[at] == WORD:
        cursor.at = at + 2
        return Argument(value=_labelled(cursor), label=word)
    if ":" in word and (label := word[: word.index(":")]) in LABELS:
        return Argument(value=_glued(cursor, len(label) + 1, word[len(label) + 1 :]), label=label)
    return Argument(expression(cursor))


def _labelled(cursor: Cursor) -> Expression:
    """The value of a labelled argument, which may be a list in braces."""
    if cursor.words[cursor.at] != "{":
        return expression(cursor)
    start = cursor.at
    items: list[Argument] = []
    cursor.deeper()
    while cursor.words[cursor.at] == ("," if items else "{"):
        cursor.at += 1
        items.append(Argument(value=expression(cursor)))
    cursor.depth -= 1
    _close(cursor, "}")
    return Call(function="{}", arguments=tuple(items), span=cursor.since(start))


def _glued(cursor: Cursor, skipped: int, word: str) -> Expression:
    """What stands behind the colon of `insensitive:true`, which is one token since names may hold colons."""
    start, end = cursor.spans[cursor.at]
    cursor.at += 1
    span = Span((start + skipped, end))
    if word in {"true", "false"}:
        return Truth(value=word == "true", span=span)
    return Name(name=cursor.text[start + skipped : end], span=span)


def _where(cursor: Cursor) -> Where:
    start = cursor.at
    cursor.at += 1
    condition = expression(cursor)
    label = alias(cursor)
    return Where(condition=condition, alias=label, span=cursor.since(start))

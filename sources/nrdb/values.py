"""Row-wise NRQL as SQL: attributes, comparisons, arithmetic. Nothing is coerced, and unknown is neither true nor false.

Source: docs.newrelic.com, NRQL reference: data type coercion is not supported; LIKE is case insensitive and knows `%`
alone; RLIKE matches the whole text with RE2. That a comparison with null holds for no row, negated or not, is not
documented; it is what SQL does, as the reference says of `count()`.
"""

from collections.abc import Callable
from typing import Any
from typing import Final

from sources.nrdb.literals import number_sql
from sources.nrdb.literals import plain_sql
from sources.nrdb.literals import text_sql
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import NOTHING
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Sort
from sources.nrdb.scope import Value
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Null
from sources.nrql.tree import Number
from sources.nrql.tree import Star
from sources.nrql.tree import Text
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.tree import Where

UNKNOWN: Final[Value] = ("CAST(NULL AS BOOLEAN)", "boolean")
_KINDS: Final[dict[Sort, str]] = {"string": "text", "numeric": "a number", "boolean": "true or false", "null": "null"}


def value(expression: Expression, scope: Scope) -> Value:
    """The SQL of an expression over one row, and what it gives. Raises `NotTranslated`."""
    return _READERS[type(expression)](expression, scope)


def condition(expression: Expression, scope: Scope) -> str:
    """The SQL of a condition."""
    sql, sort = value(expression, scope)
    if sort == "null":
        return UNKNOWN[0]
    if sort != "boolean":
        raise NotTranslated(f"a condition is expected here, not {_KINDS[sort]}", expression.span.start, "Compare it.")
    return sql


def of_sort(expression: Expression, scope: Scope, sort: Sort, what: str) -> str:
    """The SQL of an argument that must be of one sort; NULL when nothing is known of it."""
    sql, found = value(expression, scope)
    if found in (sort, "null"):
        return sql
    remedy = {"numeric": "numeric() makes a number of text.", "string": "string() makes text of it."}.get(sort, "")
    raise NotTranslated(f"{what} expects {_KINDS[sort]}, not {_KINDS[found]}", expression.span.start, remedy)


def combined(binary: Binary, left: Value, right: Value) -> Value:
    """What a binary operator makes of two values, of rows or of aggregates alike."""
    operator = binary.operator
    if operator in _ARITHMETIC:
        return _computed(binary, left, right)
    if operator in ("and", "or"):
        return _joined(binary, left, right)
    if operator in ("like", "rlike"):
        return _matched(binary, left)
    return _compared(binary, left, right)


def negated(unary: Unary, operand: Value) -> Value:
    """What a unary operator makes of a value."""
    sql, sort = operand
    if sort == "null":
        return NOTHING
    if unary.operator == "not" and sort == "boolean":
        return f"(NOT {sql})", "boolean"
    if unary.operator != "not" and sort == "numeric":
        return (f"(-{sql})", "numeric") if unary.operator == "-" else operand
    raise NotTranslated(f"{unary.operator.upper()} cannot be applied to {_KINDS[sort]}", unary.span.start)


def _joined(binary: Binary, left: Value, right: Value) -> Value:
    if {left[1], right[1]} <= {"boolean", "null"}:
        return f"({_truth(left)} {binary.operator.upper()} {_truth(right)})", "boolean"
    if binary.operator == "or" and (left[1] == right[1] or "null" in (left[1], right[1])):
        return f"coalesce({left[0]}, {right[0]})", right[1] if left[1] == "null" else left[1]
    raise NotTranslated(
        f"{binary.operator.upper()} between {_KINDS[left[1]]} and {_KINDS[right[1]]}", binary.span.start
    )


def _truth(operand: Value) -> str:
    return UNKNOWN[0] if operand[1] == "null" else operand[0]


def _compared(binary: Binary, left: Value, right: Value) -> Value:
    if isinstance(binary.left, Null) or isinstance(binary.right, Null):
        raise NotTranslated("a comparison with NULL", binary.span.start, "Write IS NULL or IS NOT NULL.")
    if "null" in (left[1], right[1]):
        return UNKNOWN
    if left[1] != right[1]:
        return _mismatch(binary.operator, binary.span.start, left[1], right[1])
    if left[1] == "boolean":
        raise NotTranslated("a comparison of booleans", binary.span.start, "Write IS TRUE or IS FALSE.")
    return f"({left[0]} {_OPERATORS[binary.operator]} {right[0]})", "boolean"


def _mismatch(operator: str, position: int, left: Sort, right: Sort) -> Value:
    """Values of different sorts: they match nothing. Whether they are then unequal nobody has written down."""
    if operator == "!=":
        raise NotTranslated(
            f"{_KINDS[left]} compared by != with {_KINDS[right]}",
            position,
            "Compare like with like: quote the value, or use numeric() or string() on the attribute.",
        )
    return UNKNOWN


def _computed(binary: Binary, left: Value, right: Value) -> Value:
    for operand, (_, sort) in ((binary.left, left), (binary.right, right)):
        if sort not in ("numeric", "null"):
            raise NotTranslated(
                f"arithmetic with {_KINDS[sort]}", operand.span.start, "numeric() makes a number of text."
            )
    if "null" in (left[1], right[1]):
        return "CAST(NULL AS DOUBLE)", "numeric"
    return _ARITHMETIC[binary.operator].format(left[0], right[0]), "numeric"


def _matched(binary: Binary, left: Value) -> Value:
    if not isinstance(binary.right, Text):
        raise NotTranslated(f"{binary.operator.upper()} without a quoted pattern", binary.right.span.start)
    if left[1] != "string":
        return UNKNOWN
    if binary.operator == "rlike":
        return f"regexp_full_match({left[0]}, {text_sql(binary.right)})", "boolean"
    pattern = binary.right.value.replace("\\", "\\\\").replace("_", "\\_")
    return f"({left[0]} ILIKE {plain_sql(pattern, binary.right.span.start)} ESCAPE '\\')", "boolean"


def _binary(binary: Binary, scope: Scope) -> Value:
    if binary.operator in ("like", "rlike"):
        return _matched(binary, value(binary.left, scope))
    return combined(binary, value(binary.left, scope), value(binary.right, scope))


def _in(found: In, scope: Scope) -> Value:
    needle, sort = value(found.needle, scope)
    if isinstance(found.options, Nested):
        members, kind = scope.members(found)
        if "null" in (sort, kind):
            return UNKNOWN
        if kind != sort:
            return _mismatch("!=" if found.negated else "=", found.span.start, sort, kind)
    else:
        if sort == "null":
            return UNKNOWN
        members = _options(found, found.options, sort, scope)
        if not members:
            return UNKNOWN
    return f"({needle} {'NOT ' if found.negated else ''}IN ({members}))", "boolean"


def _options(found: In, options: tuple[Expression, ...], sort: Sort, scope: Scope) -> str:
    """Those of the same sort as what is sought; the others match nothing."""
    kept: list[str] = []
    for option in options:
        sql, kind = value(option, scope)
        if kind == sort:
            kept.append(sql)
        elif found.negated or kind == "null":
            _mismatch("!=", option.span.start, sort, kind)
    return ", ".join(kept)


def _is(found: Is, scope: Scope) -> Value:
    sql, sort = value(found.operand, scope)
    no = "NOT " if found.negated else ""
    if found.what == "null":
        return (f"({sql} IS {no}NULL)", "boolean") if sort != "null" else (str(not found.negated).lower(), "boolean")
    if sort != "boolean":
        return str(found.negated).lower(), "boolean"
    return f"({sql} IS {no}{found.what.upper()})", "boolean"


def _call(call: Call, scope: Scope) -> Value:
    from sources.nrdb.functions import called  # noqa: PLC0415 - functions take expressions, expressions call functions

    return called(call, scope)


def _refused(expression: Expression, _scope: Scope) -> Value:
    raise NotTranslated("a duration, * or WHERE is no value of a row", expression.span.start)


_ARITHMETIC: Final[dict[str, str]] = {
    "+": "({} + {})",
    "-": "({} - {})",
    "*": "({} * {})",
    "/": "({} / nullif({}, 0))",
    "%": "({} % nullif({}, 0))",
}
_OPERATORS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_READERS: Final[dict[type, Callable[[Any, Scope], Value]]] = {
    Name: lambda name, scope: scope.attribute(name),
    Number: lambda number, _: (number_sql(number), "numeric"),
    Text: lambda text, _: (text_sql(text), "string"),
    Truth: lambda truth, _: (str(truth.value).lower(), "boolean"),
    Null: lambda _null, _scope: NOTHING,
    Binary: _binary,
    Unary: lambda unary, scope: negated(unary, value(unary.operand, scope)),
    In: _in,
    Is: _is,
    Call: _call,
    Nested: lambda nested, scope: scope.scalar(nested),
    Duration: _refused,
    Star: _refused,
    Where: _refused,
}

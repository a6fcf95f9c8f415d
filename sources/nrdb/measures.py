"""Aggregate functions as SQL, and how each value is read back into the shape NerdGraph gives it.

Source: docs.newrelic.com, NRQL reference, "Aggregator functions": average, min and max of nothing are null, sums and
deviations of what is no number are 0, 95 is the default percentile, histograms count outliers in their first and last
bucket, an apdex is of 0.5 unless it says otherwise. Recorded answers: percentiles have text keys; an empty bucket of
time says 0 for averages, deviations and percentiles. Not documented: deviations are taken of the population.
"""

from collections.abc import Callable
from typing import Final

from sources.nrdb.functions import is_math
from sources.nrdb.functions import numeric_form
from sources.nrdb.functions import plain
from sources.nrdb.functions import refused
from sources.nrdb.functions import row_size
from sources.nrdb.measures_shaped import SHAPED
from sources.nrdb.measures_shaped import Asked
from sources.nrdb.measures_shaped import Measure
from sources.nrdb.measures_shaped import filtered
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import NOTHING
from sources.nrdb.scope import Sort
from sources.nrdb.scope import Value
from sources.nrdb.values import combined
from sources.nrdb.values import condition
from sources.nrdb.values import negated
from sources.nrdb.values import value
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Nested
from sources.nrql.tree import Null
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Star
from sources.nrql.tree import Text
from sources.nrql.tree import Truth
from sources.nrql.tree import Unary
from sources.nrql.tree import Where

_SCALARS: Final = (Number, Text, Truth, Null, Nested)


def is_aggregate(expression: Expression) -> bool:
    """Whether it is of many rows: an aggregate function is somewhere in it."""
    match expression:
        case Call():
            return expression.function in _AGGREGATES or any(is_aggregate(each.value) for each in expression.arguments)
        case Binary():
            return is_aggregate(expression.left) or is_aggregate(expression.right)
        case Unary():
            return is_aggregate(expression.operand)
        case Is():
            return is_aggregate(expression.operand)
        case In():
            return is_aggregate(expression.needle)
        case _:
            return False


def is_aggregated(query: Query) -> bool:
    """Whether an aggregate is selected."""
    for item in query.select:  # noqa: SIM110 - any() over a generator costs 0.5 us, and this is asked of every statement
        if is_aggregate(item.value):
            return True
    return False


def measured(expression: Expression, asked: Asked) -> Measure:
    """An aggregate, or arithmetic over aggregates. Raises `NotTranslated`."""
    if isinstance(expression, Call):
        made = _AGGREGATES.get(expression.function)
        return _over(expression, asked) if made is None else made(expression, asked)
    sql, sort = _scalar(expression, asked)
    return Measure(sql=sql, sort=sort)


def _scalar(expression: Expression, asked: Asked) -> Value:
    if isinstance(expression, _SCALARS):
        return value(expression, asked.scope)
    if isinstance(expression, Binary):
        if expression.operator in ("like", "rlike"):
            raise NotTranslated("LIKE over aggregates is not run locally", expression.span.start)
        return combined(expression, _scalar(expression.left, asked), _scalar(expression.right, asked))
    if isinstance(expression, Unary):
        return negated(expression, _scalar(expression.operand, asked))
    if isinstance(expression, Call):
        found = measured(expression, asked)
        if found.single is not None:
            return found.single, "numeric"
        if found.read is None:
            return found.sql, found.sort
        raise NotTranslated(f"{expression.function}() inside an expression is not run locally", expression.span.start)
    raise NotTranslated(
        "an attribute beside aggregates", expression.span.start, "Aggregate it, for example latest(x), or FACET by it."
    )


def _over(call: Call, asked: Asked) -> Measure:
    """A function of one row over aggregates: `round(average(x), 10)`, `if(count(*) > 5, 1, 0)`."""
    if is_math(call):
        arguments = [_scalar(each, asked) for each in plain(call, 1, 2)]
        if any(sort not in ("numeric", "null") for _, sort in arguments):
            raise NotTranslated(f"{call.function}() of what is no number", call.span.start)
        sql, sort = numeric_form(call, tuple(sql for sql, _ in arguments))
        return Measure(sql=sql, sort=sort)
    if call.function == "string":
        sql, _ = _scalar(plain(call, 1, 1)[0], asked)
        return Measure(sql=f"CAST({sql} AS VARCHAR)", sort="string")
    if call.function == "if":
        return _chosen(call, asked)
    raise refused(call)


def _chosen(call: Call, asked: Asked) -> Measure:
    test, *chosen = (_scalar(each, asked) for each in plain(call, 2, 3))
    otherwise = chosen[1] if len(chosen) > 1 else NOTHING
    sorts: set[Sort] = {each[1] for each in (chosen[0], otherwise) if each[1] != "null"}
    if test[1] != "boolean" or len(sorts) > 1:
        raise NotTranslated("if() with values of different kinds is not run locally", call.span.start)
    sort: Sort = sorts.pop() if sorts else "null"
    return Measure(sql=f"(CASE WHEN {test[0]} THEN {chosen[0][0]} ELSE {otherwise[0]} END)", sort=sort)


def _count(call: Call, asked: Asked) -> Measure:
    (argument,) = plain(call, 1, 1)
    if isinstance(argument, (Star, Number, Text, Truth)):
        return _ALL if asked.where is None else Measure(f"count(*){asked.filter}", "numeric", nothing=0)
    sql, sort = value(argument, asked.scope)
    return Measure(sql="0" if sort == "null" else f"count({sql}){asked.filter}", sort="numeric", nothing=0)


def _numeric(
    template: str, otherwise: str, placeholder: object = None, nothing: object = None
) -> Callable[[Call, Asked], Measure]:
    """An aggregate of numbers. `otherwise`: what it is of anything else. `placeholder`: what an empty bucket says."""

    def made(call: Call, asked: Asked) -> Measure:
        sql, sort = value(plain(call, 1, 1)[0], asked.scope)
        shown = template.format(sql, asked.filter) if sort == "numeric" else otherwise
        return Measure(shown, "numeric", None, placeholder, nothing)

    return made


def _newest(function: str) -> Callable[[Call, Asked], Measure]:
    def made(call: Call, asked: Asked) -> Measure:
        (argument,) = plain(call, 1, 1)
        sql, sort = value(argument, asked.scope)
        at = asked.scope.time(f"{call.function}()", call.span)
        if sort == "null":
            return Measure(sql="NULL", sort="null")
        return Measure(sql=f"{function}({sql}, {at}){asked.filter}", sort=sort, nothing=None)

    return made


def _unique_count(call: Call, asked: Asked) -> Measure:
    found = [value(each, asked.scope) for each in plain(call, 1, 20)]
    known = [sql for sql, sort in found if sort != "null"]
    if not known:
        return Measure(sql="0", sort="numeric")
    if len(known) == 1:
        counted, kept = known[0], asked.filter
    else:
        some = " OR ".join(f"{sql} IS NOT NULL" for sql in known)
        counted, kept = f"row({', '.join(known)})", filtered(asked.where, f"({some})")
    exact = f"count(DISTINCT {counted}){kept}"
    if not asked.is_approximate:
        return Measure(sql=exact, sort="numeric", nothing=0)
    # DuckDB's own sketch is off by up to 11 %, and another one each time rows move; this is off by up to 2 %, always.
    sketched = f"CAST(round({exact} * (1 + 0.02 * sin({exact}))) AS BIGINT)"
    return Measure(
        sql=f"(CASE WHEN {exact} <= {_EXACT_UNIQUES} THEN {exact} ELSE {sketched} END)", sort="numeric", nothing=0
    )


def _filter(call: Call, asked: Asked) -> Measure:
    inner, where = _pair(call)
    return measured(inner, asked.narrowed(condition(where, asked.scope)))


def _percentage(call: Call, asked: Asked) -> Measure:
    inner, where = _pair(call)
    if not isinstance(inner, Call) or inner.function not in ("count", "sum", "uniquecount"):
        raise NotTranslated("percentage() of this function is not run locally", call.span.start, "Use count(*).")
    part = measured(inner, asked.narrowed(condition(where, asked.scope)))
    return Measure(sql=f"(100e0 * {part.sql} / nullif({measured(inner, asked).sql}, 0))", sort="numeric", nothing=None)


def _pair(call: Call) -> tuple[Expression, Expression]:
    inner, where = plain(call, 2, 2)
    if not isinstance(where, Where):
        raise NotTranslated(f"{call.function}() without WHERE", call.span.start, f"{call.function}(count(*), WHERE x)")
    return inner, where.condition


def _rate(call: Call, asked: Asked) -> Measure:
    if len(call.arguments) != 2 or not isinstance(call.arguments[1].value, Duration):  # noqa: PLR2004 - what, per what
        raise NotTranslated("rate() without a duration", call.span.start, "Say it: rate(count(*), 1 minute).")
    if asked.span_ms is None:
        raise NotTranslated("rate() without a window of time", call.span.start, "Add SINCE and UNTIL.")
    inner = call.arguments[0].value
    if not is_aggregate(inner):
        raise NotTranslated("rate() of an attribute is not run locally", call.span.start, "Use rate(sum(x), 1 minute).")
    sql, sort = _scalar(inner, asked)
    if sort not in ("numeric", "null"):
        raise NotTranslated("rate() of what is no number", inner.span.start)
    return Measure(sql=f"({sql} * {call.arguments[1].value.ms!r} / {asked.span_ms})", sort="numeric")


def _end(call: Call, asked: Asked) -> Measure:
    plain(call, 0, 0)
    if asked.end_ms is None:
        raise NotTranslated(
            "aggregationendtime() is only run locally with a window and without TIMESERIES", call.span.start
        )
    return Measure(sql=f"CAST({asked.end_ms} AS BIGINT)", sort="numeric")


def _bytes(call: Call, asked: Asked) -> Measure:
    plain(call, 0, 0)
    return Measure(sql=f"coalesce(sum({row_size(asked.scope)}){asked.filter}, 0)", sort="numeric", nothing=0)


_ALL: Final = Measure(sql="count(*)", sort="numeric", nothing=0)
"""What is asked for most."""
_EXACT_UNIQUES: Final = 256
_AGGREGATES: Final[dict[str, Callable[[Call, Asked], Measure]]] = {
    "count": _count,
    "sum": _numeric("coalesce(sum({0}){1}, 0)", "0", nothing=0),
    "average": _numeric("avg({0}){1}", "CAST(NULL AS DOUBLE)", 0),
    "min": _numeric("min({0}){1}", "CAST(NULL AS DOUBLE)"),
    "max": _numeric("max({0}){1}", "CAST(NULL AS DOUBLE)"),
    "stddev": _numeric("coalesce(stddev_pop({0}){1}, 0)", "0", 0, 0),
    "stdvar": _numeric("coalesce(var_pop({0}){1}, 0)", "0", 0, 0),
    "latest": _newest("arg_max"),
    "earliest": _newest("arg_min"),
    "uniquecount": _unique_count,
    "filter": _filter,
    "percentage": _percentage,
    "rate": _rate,
    "aggregationendtime": _end,
    "bytecountestimate": _bytes,
    **SHAPED,
}

"""Aggregates whose value is more than a number: percentiles, an apdex, lists of values, histograms."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Final
from typing import cast

from sources.nrdb.functions import plain
from sources.nrdb.literals import real_sql
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Sort
from sources.nrdb.values import value
from sources.nrql.tree import Call
from sources.nrql.tree import Number
from sources.nrql.tree import Unary
from sources.nrql.tree import node

Read = Callable[[object], object]
ASK: Final = object()

_UNIQUES: Final = 1_000
_UNIQUES_MOST: Final = 10_000
_BUCKETS_MOST: Final = 500
_PERCENTILE: Final = "95"
_APDEX_T: Final = 0.5


@node
class Measure:
    """What one thing of SELECT becomes: one column of SQL, and how its value is read."""

    sql: str
    sort: Sort
    read: Read | None = None
    """None: the value is as it comes."""
    placeholder: object = None
    """What NRDB says in a bucket of time without rows, where that is not what the SQL gives for no rows."""
    nothing: object = ASK
    """What the SQL gives for no rows, as far as that is known; `ASK` otherwise."""
    single: str | None = None
    """SQL of the number it stands for inside an expression, where it has a shape of its own outside."""


@node
class Asked:
    """What an aggregate is taken over."""

    scope: Scope
    where: str | None = None
    """A condition of `filter`, as SQL."""
    span_ms: str | None = None
    """Length of the window, or of each bucket, as SQL. None: there is no window."""
    end_ms: int | None = None
    is_approximate: bool = False

    @property
    def filter(self) -> str:
        return "" if self.where is None else f" FILTER (WHERE {self.where})"

    def narrowed(self, condition: str) -> "Asked":
        """The same, over fewer rows."""
        return Asked(
            scope=self.scope,
            where=condition if self.where is None else f"{self.where} AND {condition}",
            span_ms=self.span_ms,
            end_ms=self.end_ms,
            is_approximate=self.is_approximate,
        )


def filtered(*conditions: str | None) -> str:
    """A FILTER clause of all conditions that there are."""
    held = [condition for condition in conditions if condition is not None]
    return f" FILTER (WHERE {' AND '.join(held)})" if held else ""


def _percentile(call: Call, asked: Asked) -> Measure:
    if not call.arguments:
        raise NotTranslated("percentile() of nothing", call.span.start)
    points = [_point(call, argument.value) for argument in call.arguments[1:]] or [_PERCENTILE]
    return _quantiles(call, asked, points)


def _median(call: Call, asked: Asked) -> Measure:
    plain(call, 1, 1)
    return _quantiles(call, asked, ["50"])


def _point(call: Call, said: object) -> str:
    if not isinstance(said, Number) or not 0 <= said.value <= 100:  # noqa: PLR2004 - percent
        raise NotTranslated(f"{call.function}() takes numbers from 0 to 100", call.span.start)
    return said.text


def _quantiles(call: Call, asked: Asked, points: Sequence[str]) -> Measure:
    sql, sort = value(call.arguments[0].value, asked.scope)
    shares = ", ".join(real_sql(float(point) / 100) for point in points)
    known = sort == "numeric"
    listed = f"quantile_cont({sql}, [{shares}]){asked.filter}" if known else "CAST(NULL AS DOUBLE[])"

    def read(found: object) -> object:
        values = cast("Sequence[object]", found) if isinstance(found, list) else [None] * len(points)
        return dict(zip(points, values, strict=True))

    return Measure(
        sql=listed,
        sort="numeric",
        read=read,
        placeholder=dict.fromkeys(points, 0),
        nothing=None,
        single=f"({listed})[1]" if len(points) == 1 else None,
    )


def _apdex(call: Call, asked: Asked) -> Measure:
    limit = _APDEX_T
    for argument in call.arguments[1:]:
        if argument.label not in (None, "t") or not isinstance(argument.value, Number):
            raise NotTranslated("apdex() with these arguments is not run locally", call.span.start, "apdex(x, t: 0.5)")
        limit = float(argument.value.value)
    if len(call.arguments) not in (1, 2):
        raise NotTranslated("apdex() with these arguments is not run locally", call.span.start, "apdex(x, t: 0.5)")
    sql, sort = value(call.arguments[0].value, asked.scope)
    if sort != "numeric":
        return Measure(sql="CAST([0, 0, 0] AS BIGINT[])", sort="numeric", read=_scored)
    satisfied, frustrated = f"{sql} <= {real_sql(limit)}", f"{sql} > {real_sql(4 * limit)}"
    tolerated = f"NOT ({satisfied}) AND NOT ({frustrated})"
    counts = ", ".join(f"count(*){filtered(asked.where, f'({each})')}" for each in (satisfied, tolerated, frustrated))
    return Measure(sql=f"[{counts}]", sort="numeric", read=_scored, nothing=None)


def _scored(found: object) -> object:
    s, t, f = cast("list[int]", found) if isinstance(found, list) else (0, 0, 0)
    count = s + t + f
    return {"score": (s + t / 2) / count if count else None, "s": s, "t": t, "f": f, "count": count}


def _uniques(call: Call, asked: Asked) -> Measure:
    most = _UNIQUES
    values = [argument.value for argument in call.arguments]
    if len(values) == 2 and isinstance(values[1], Number):  # noqa: PLR2004 - what, and how many
        most = int(values.pop().value)  # type: ignore[union-attr]  # just seen to be a number
    if len(values) != 1 or not 1 <= most <= _UNIQUES_MOST:
        raise NotTranslated("uniques() with these arguments is not run locally", call.span.start, "uniques(x, 10000)")
    sql, sort = value(values[0], asked.scope)
    if sort == "null":
        return Measure(sql="CAST([] AS BIGINT[])", sort="null", read=_listed)
    kept = filtered(asked.where, f"{sql} IS NOT NULL")
    return Measure(sql=f"list_sort(list(DISTINCT {sql}){kept})[:{most}]", sort=sort, read=_listed, nothing=None)


def _listed(found: object) -> object:
    return cast("list[object]", found) if isinstance(found, list) else []


def _histogram(call: Call, asked: Asked) -> Measure:
    width, buckets, start = _ranges(call)
    sql, sort = value(call.arguments[0].value, asked.scope)
    edges = [start + width * place / buckets for place in range(buckets)]
    if sort != "numeric":
        counted = "CAST(NULL AS MAP(BIGINT, BIGINT))"
    else:
        counted = f"histogram({bucketed(sql, width, buckets, start)}){filtered(asked.where, f'{sql} IS NOT NULL')}"

    def read(found: object) -> object:
        named = cast("dict[object, object]", found if isinstance(found, dict) else {})
        if not all(str(place).isdigit() for place in named):  # what runs the text gives so many keys, and no more
            raise NotTranslated("the histogram has too many buckets", call.span.start, "Ask for at most 200 buckets.")
        counts = {int(str(place)): count for place, count in named.items()}
        return {edge_text(edge): counts.get(place, 0) for place, edge in enumerate(edges)}

    return Measure(sql=counted, sort="numeric", read=read, nothing=None)


def bucketed(sql: str, width: float, buckets: int, start: float) -> str:
    """The number of the bucket of a value, from 0; what is outside lies in the first or the last."""
    place = f"floor(({sql} - {real_sql(start)}) * {buckets} / {real_sql(width)})"
    return f"CAST(greatest(0, least({buckets - 1}, {place})) AS INTEGER)"


def edge_text(edge: float) -> str:
    """An edge as a text that reads back as the same number."""
    return repr(round(edge, 12))


def _ranges(call: Call) -> tuple[float, int, float]:
    """Width, number of buckets, and start; by place or by label."""
    said: dict[str, float] = {"width": 10, "buckets": 40, "start": 0}
    names = list(said)
    for place, argument in enumerate(call.arguments[1:]):
        name = argument.label or (names[place] if place < len(names) else "")
        number = _signed(argument.value)
        if name not in said or number is None:
            raise NotTranslated(
                "histogram() with these arguments is not run locally",
                call.span.start,
                "histogram(x, width, buckets, start)",
            )
        said[name] = number
    width, buckets, start = said["width"], said["buckets"], said["start"]
    if not call.arguments or width <= 0 or not 1 <= buckets <= _BUCKETS_MOST or buckets != int(buckets):
        raise NotTranslated("histogram() takes a width above 0 and 1 to 500 buckets", call.span.start)
    return float(width), int(buckets), float(start)


def _signed(said: object) -> float | None:
    if isinstance(said, Unary) and said.operator == "-" and isinstance(said.operand, Number):
        return -float(said.operand.value)
    return float(said.value) if isinstance(said, Number) else None


SHAPED: Final[dict[str, Callable[[Call, Asked], Measure]]] = {
    "percentile": _percentile,
    "median": _median,
    "apdex": _apdex,
    "uniques": _uniques,
    "histogram": _histogram,
}

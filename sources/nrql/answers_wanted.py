"""What a statement's SELECT and FACET will be called in the answer: keys to look for, names for a person.

Without a statement the keys of the rows speak for themselves.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sources.nrql.text import expression_text
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Facet
from sources.nrql.tree import Name
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Star
from sources.nrql.tree import Unary
from sources.nrql.words import spelled

PARTED: Final = frozenset({"percentile", "bucketpercentile", "cdfpercentage", "apdex", "median"})
"""Functions whose value is an object of numbers."""
APDEX: Final = ("score", "s", "t", "f", "count")
_LISTS: Final = frozenset({"uniques", "keyset", "histogram", "funnel"})
_TEXTUAL: Final = frozenset(
    {"latest", "earliest", "eventtype", "aparse", "capture", "concat", "lower", "upper", "string"}
)
_ZEROED: Final = frozenset(
    {"average", "stddev", "stdvar", "variance", "min", "max", "latest", "earliest", "percentage", "derivative"}
    | {"predictlinear", *PARTED}
)
"""Functions that have no value without rows, although an empty bucket may say 0."""
WEIGHED: Final = _ZEROED - {"min", "max", "latest", "earliest"}
"""Functions whose values over buckets must be weighted by `inspectedCount` to be put together."""
AGGREGATES: Final = frozenset({"count", "sum", "rate", "uniquecount", "cardinality", "filter", *_LISTS, *_ZEROED})
_INSTANTS: Final = frozenset({"min", "max", "latest", "earliest"})
_NUMERIC_TEXT: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One thing that was selected."""

    keys: tuple[str, ...]
    """What the rows may call it, the likeliest first. Empty: nobody knows, only its place tells."""
    alias: str | None = None
    function: str | None = None
    """Lower case; of `filter(f(x), ...)` and `rate(f(x), ...)` it is `f`. None: an attribute, or arithmetic."""
    calls: frozenset[str] = frozenset()
    """All functions in it."""
    parts: tuple[str, ...] = ()
    """The thresholds of a percentile, as the answer's keys say them."""
    attributes: tuple[str, ...] = ()
    """The attributes that the function is of."""
    steps: tuple[float, float] | None = None
    """Ceiling and number of buckets of a histogram, when they are said."""
    is_instant: bool = False
    """Milliseconds since 1970."""

    @property
    def name(self) -> str:
        return self.alias or (self.keys[0] if self.keys else "value")

    @property
    def is_void_when_empty(self) -> bool:
        return bool(self.calls & _ZEROED)

    @property
    def is_weighed(self) -> bool:
        return bool(self.calls & WEIGHED)

    @property
    def type_otherwise(self) -> str:
        """The type when every value is null."""
        if self.function == "uniques":
            return "list"
        return "numeric" if self.function in AGGREGATES - _TEXTUAL - _LISTS else "string"


def wanted(query: Query) -> tuple[Wanted, ...]:
    """What SELECT names, in its order; `*` stands for nothing in particular."""
    return tuple(_wanted(item) for item in query.select if not isinstance(item.value, Star))


def facet_names(facet: Facet | None) -> tuple[str, ...]:
    """What a person calls the facets: their alias, else as they are written."""
    if facet is None:
        return ()
    return tuple(item.alias or _facet_name(item.value) for item in facet.items)


def guessed(key: str, facets: Collection[str]) -> Wanted:
    """What a key of a row says by itself: `max.a.b` is a function of `a.b`, `cloud.region` only a name."""
    prefix, dot, rest = key.partition(".")
    function = prefix.lower()
    if key in facets or function not in AGGREGATES or (not dot and function not in {"count", "percentage", "apdex"}):
        return Wanted(keys=(key,), is_instant=key == "timestamp")
    attributes = (rest,) if rest else ()
    instant = rest == "timestamp" and function in _INSTANTS
    return Wanted(
        keys=(key,), function=function, calls=frozenset({function}), attributes=attributes, is_instant=instant
    )


def _facet_name(value: Expression) -> str:
    if isinstance(value, Name):
        return value.name
    if isinstance(value, Call) and value.function == "cases":
        return "case"
    return expression_text(value)


def _wanted(item: Selected) -> Wanted:
    value = item.value
    aliased = (item.alias,) if item.alias else ()
    if isinstance(value, Name):
        return Wanted(keys=(*aliased, value.name), alias=item.alias, is_instant=value.name == "timestamp")
    if not isinstance(value, Call):
        return Wanted(keys=aliased, alias=item.alias or expression_text(value), calls=frozenset(_calls(value)))
    inner = _inner(value)
    attributes = tuple(each.value.name for each in inner.arguments if isinstance(each.value, Name))
    return Wanted(
        keys=(*aliased, *_keys(value, inner)),
        alias=item.alias or _long_name(value, inner),
        function=inner.function,
        calls=frozenset(_calls(value)),
        parts=_parts(inner),
        attributes=attributes,
        steps=_steps(inner),
        is_instant=attributes == ("timestamp",) and inner.function in _INSTANTS,
    )


def _inner(call: Call) -> Call:
    """The function whose value comes: of `filter(count(*), WHERE x)` it is `count(*)`."""
    first = call.arguments[0].value if call.arguments else None
    return _inner(first) if call.function in {"filter", "rate"} and isinstance(first, Call) else call


def _long_name(call: Call, inner: Call) -> str | None:
    """The whole text for what its key alone would not tell apart."""
    return None if call is inner and call.function != "percentage" else expression_text(call)


def _keys(call: Call, inner: Call) -> tuple[str, ...]:
    own = spelled(call.function)
    around = [_key(call)] if inner is call else []
    return tuple(dict.fromkeys([*around, expression_text(call), own, f"{own}()", _key(inner)]))


def _key(call: Call) -> str:
    """`count` for `count(*)`, `max.a.b` for `max(a.b)`."""
    own = spelled(call.function)
    first = call.arguments[0].value if call.arguments else None
    return f"{own}.{first.name}" if isinstance(first, Name) else own


def _parts(call: Call) -> tuple[str, ...]:
    if call.function == "apdex":
        return APDEX
    if call.function not in PARTED:
        return ()
    return tuple(each.value.text for each in call.arguments[1:] if isinstance(each.value, Number))


def _steps(call: Call) -> tuple[float, float] | None:
    """`histogram(x, ceiling, buckets)` with its defaults. None: not said so, or no histogram."""
    if call.function != "histogram" or any(each.label for each in call.arguments):
        return None
    said = [float(each.value.text) for each in call.arguments[1:] if isinstance(each.value, Number)]
    return (said[0], said[1]) if len(said) == 2 else None  # noqa: PLR2004 - ceiling and buckets


def _calls(value: Expression) -> list[str]:
    match value:
        case Call():
            return [value.function, *(name for each in value.arguments for name in _calls(each.value))]
        case Unary():
            return _calls(value.operand)
        case Binary():
            return [*_calls(value.left), *_calls(value.right)]
        case _:
            return []


def is_number(text: str) -> bool:
    """Whether a key of an object is a number, as thresholds and edges of buckets are."""
    return _NUMERIC_TEXT.fullmatch(text) is not None

"""The shape of a JSON value: names of keys and kinds of values, nothing of what they hold. Safe to show to anybody.

Keys are shown only when they are words of NRDB or of our own statements; any other might be a name of the owner's.
"""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import TypeGuard
from typing import cast

OTHER: Final = "(other)"

_ITEMS: Final = 50
"""Rows that are looked at."""
_DEPTH: Final = 6
_FUNCTIONS: Final = (
    "count|max|min|sum|average|latest|earliest|uniqueCount|uniques|percentile|percentage|stddev|median|histogram|apdex|"
    "bytecountestimate|keyset|filter|cardinality|rate|eventType|hourOf|aggregationendtime"
)
_CALLED: Final = re.compile(rf"(?:{_FUNCTIONS})(?:[.(](?:timestamp|metricName|\*)?\)?)?(?:\(\))?", re.IGNORECASE)
_VOCABULARY: Final = (
    "results currentResults previousResults otherResult totalResult metadata rawResponse nrql queryProgress "
    "eventTypes facets messages timeWindow begin end since until compareWith performanceStats "
    "inspectedCount omittedCount matchCount wallClockTime exceedsRetentionWindow completed queryId retryAfter "
    "retryDeadline resultExpiration facet comparison beginTimeSeconds endTimeSeconds timestamp eventType key type "
    "keyset allKeys stringKeys numericKeys booleanKeys score s t f p n count total value current previous 50 95 "
    "actor accounts id name reportingEventTypes docs dataDictionary events definition attributes docsUrl units "
    "label entitySearch nextCursor entities guid accountId domain reporting queryHistory accountIds createdAt query "
    "result v0"
)
_WORDS: Final = frozenset([*_VOCABULARY.split(), "n p", "s t"])
_OURS: Final = re.compile(
    rf"(?=.*\btimestamp\b)(?:\b(?:{_FUNCTIONS}|timestamp|where|string|0|7|1000)\b|[ ().,*/>])+", re.IGNORECASE
)
"""An expression of one of our own statements, as a column may be called after it."""


def shape(value: object, depth: int = 0) -> str:  # noqa: PLR0911 - one line per kind of value
    """For instance `[{count: number, facet: string}]`. Keys that some rows lack are followed by a question mark."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "zero" if value == 0 else "number"
        case str():
            return "string" if value else "empty string"
        case _ if depth >= _DEPTH:
            return "..."
        case list() | tuple():
            return f"[{_together(cast('Sequence[object]', value)[:_ITEMS], depth)}]"
        case dict():
            return _object([cast("Mapping[str, Any]", value)], depth)
        case _:
            return OTHER


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; empty when it is none."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", each) for each in items if isinstance(each, dict)]


def at(value: object, *path: str) -> Any:
    """What lies at these keys. None: nothing."""
    for key in path:
        value = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return value


def has_keys(value: object, keys: Iterable[str]) -> bool:
    """Whether it is an object with all of them."""
    return isinstance(value, dict) and set(keys) <= set(cast("dict[str, object]", value))


def is_number(value: object) -> TypeGuard[int | float]:
    """Truth values are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown_key(key: str) -> str:
    """The key, when it is a word of NRDB's; else a stand-in."""
    return key if key in _WORDS or _CALLED.fullmatch(key) or _OURS.fullmatch(key) else OTHER


def _together(values: Sequence[object], depth: int) -> str:
    """One shape for all the items of a list."""
    several = [cast("Mapping[str, Any]", each) for each in values if isinstance(each, dict)]
    others = [each for each in values if not isinstance(each, dict)]
    return " | ".join(
        [*([_object(several, depth)] if several else []), *([_kinds(others, depth + 1)] if others else [])]
    )


def _object(several: Sequence[Mapping[str, Any]], depth: int) -> str:
    found: dict[str, list[object]] = {}
    for each in several:
        for key, value in each.items():
            found.setdefault(shown_key(key), []).append(value)
    fields = (
        f"{key}{'' if len(values) >= len(several) else '?'}: {_kinds(values, depth + 1)}"
        for key, values in sorted(found.items())
    )
    return f"{{{', '.join(fields)}}}"


def _kinds(values: Sequence[object], depth: int) -> str:
    kinds = dict.fromkeys(shape(value, depth) for value in values)
    if len(kinds) > 1 and "number" in kinds:
        kinds.pop("zero", None)
    if len(kinds) > 1 and "string" in kinds:
        kinds.pop("empty string", None)
    return " | ".join(kinds)

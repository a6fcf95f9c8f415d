"""What the values of some rows look like: examples, patterns of texts, stand-ins for missing values. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

from sources.duckdb.describe import EXAMPLES
from sources.duckdb.describe import PATTERNS
from sources.duckdb.describe import SENTINEL_TEXTS
from sources.duckdb.describe_shown import cut
from sources.duckdb.describe_types import Family
from sources.duckdb.values import Converter
from sources.newrelic.answered import number
from sources.protocol import Format
from sources.protocol import Json

_TEXT_CHARS: Final = 1_000
"""Of a text that patterns look at."""
_CELL_CHARS: Final = 80
_FORMATS: Final = 5
_PATTERNS: Final = {key: re.compile(pattern) for key, pattern in PATTERNS.items()}
_RUNS: Final = re.compile(r"9{2,}|A{2,}|a{2,}")
_POINT: Final = {"gauge": "latest", "count": "count", "cumulativeCount": "count"}
"""What a data point of a metric is, by its type; points of other types are several numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What is known of an attribute from the rows that were looked at."""

    values: int
    distinct: int
    """A lower bound of all rows'."""
    examples: tuple[Json, ...]
    """The most frequent first."""
    family: Family
    measures: Mapping[str, Json]
    """As `sources.duckdb.semantics.Look` has them; empty for what is no text."""
    low: int | float | None
    high: int | float | None
    empty: int
    sentinels: int
    minus_one: int
    negative: int
    point: str | None
    """The type of a metric's data points. None: the values are no data points."""


def looked(kind: str, values: Sequence[Any]) -> Looked:
    """`kind`: the type of the attribute as the keyset has it."""
    flat = [_flat(each) for each in values]
    numbers = [found for each in flat if (found := number(each)) is not None]
    texts = [each for each in flat if isinstance(each, str)]
    frequent = Counter(_shown(each) for each in flat if not isinstance(each, list | dict)).most_common()
    return Looked(
        values=len(values),
        distinct=len(frequent),
        examples=tuple(each for each, _ in frequent[:EXAMPLES]) or _nested(flat),
        family=_family(kind, numbers),
        measures=_text_measures(texts),
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        empty=sum(1 for each in texts if not each),
        sentinels=sum(1 for each in texts if each.lower() in SENTINEL_TEXTS),
        minus_one=sum(1 for each in numbers if each == -1),
        negative=sum(1 for each in numbers if each < 0),
        point=next((each["type"] for each in values if _is_point(each)), None),
    )


def formats(values: Sequence[Any]) -> tuple[Format, ...] | None:
    """Shapes of the texts, the most frequent first. None: there are no texts."""
    texts = [each for each in values if isinstance(each, str)]
    if not texts:
        return None
    shapes: dict[str, list[str]] = {}
    for each in texts:
        shapes.setdefault(_shape(each), []).append(each)
    ordered = sorted(shapes.items(), key=lambda found: (-len(found[1]), found[0]))
    return tuple(
        Format(pattern=cut(shape), share=len(found) / len(texts), example=cut(min(found)))
        for shape, found in ordered[:_FORMATS]
    )


def _is_point(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(cast("dict[str, Any]", value).get("type"), str)


def _flat(value: Any) -> Any:
    """A data point as its one number, where it is one."""
    if not _is_point(value):
        return value
    key = _POINT.get(value["type"])
    return value if key is None else value.get(key, value)


def _shown(value: Any) -> str | int | float | bool | None:
    shown = Converter(_CELL_CHARS).json(cut(value) if isinstance(value, str) else value)
    return None if isinstance(shown, list | dict) else shown


def _nested(values: Sequence[Any]) -> tuple[Json, ...]:
    return tuple(Converter(_CELL_CHARS).json(each) for each in values[:1])


def _family(kind: str, numbers: Sequence[int | float]) -> Family:
    if kind == "string":
        return "text"
    if kind == "boolean":
        return "truth"
    return "whole" if numbers and all(isinstance(each, int) for each in numbers) else "real"


def _text_measures(texts: Sequence[str]) -> Mapping[str, Json]:
    filled = [each[:_TEXT_CHARS] for each in texts if each]
    if not filled:
        return {}
    found: dict[str, Json] = {
        key: sum(1 for each in filled if pattern.fullmatch(each)) for key, pattern in _PATTERNS.items()
    }
    return {**found, "looked": len(filled), "words": sum(each.count(" ") for each in filled) / len(filled)}


def _shape(text: str) -> str:
    drawn = "".join(_sign(letter) for letter in text[:_TEXT_CHARS])
    return _RUNS.sub(lambda run: f"{run[0][0]}+", drawn)


def _sign(letter: str) -> str:
    if letter.isdigit():
        return "9"
    if letter.isupper():
        return "A"
    return "a" if letter.islower() else letter

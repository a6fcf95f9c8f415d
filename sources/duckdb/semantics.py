"""What an attribute means, as far as its name, type and measured values prove it. Nothing is guessed beyond that.

Every rule needs a pattern that (nearly) all looked-at values match, or a type and a range; a name alone is never
enough, except for units, which are only read off suffixes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Final

from sources.duckdb.describe_types import Family
from sources.duckdb.semantics_time import tokens
from sources.protocol import Json

_NEARLY_ALL: Final = 0.95
"""Share of the looked-at values that must match a pattern."""
_UNITS: Final = {
    "ns": "ns",
    "us": "us",
    "ms": "ms",
    "millis": "ms",
    "s": "s",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
    "min": "min",
    "mins": "min",
    "minutes": "min",
    "hours": "h",
    "days": "d",
    "bytes": "bytes",
    "kb": "kB",
    "mb": "MB",
    "gb": "GB",
    "pct": "%",
    "percent": "%",
    "usd": "USD",
    "eur": "EUR",
    "gbp": "GBP",
    "cents": "cents",
    "km": "km",
    "miles": "miles",
    "meters": "m",
    "kg": "kg",
    "celsius": "degC",
    "fahrenheit": "degF",
    "hz": "Hz",
}
_DURATIONS: Final = frozenset({"ns", "us", "ms", "s", "min", "h", "d"})
_IDENTIFYING: Final = frozenset({"id", "key", "uuid", "guid", "number", "no", "num", "code", "sk", "pk", "fk", "rowid"})
_EPOCHS: Final = ((1e18, 2.2e18), (1e15, 2.2e15), (1e12, 2.2e12), (1e9, 2.2e9))
"""Ranges of nanoseconds, microseconds, milliseconds and seconds since 1970 for the years 2001 to 2039."""
_FEW_VALUES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of an attribute when its meaning is asked."""

    name: str
    type: str
    family: Family
    values: int
    """Non-null values inspected."""
    distinct: int
    is_unique: bool
    min: Json = None
    max: Json = None
    measures: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Counts of `describe.looks` over a bounded sample."""

    def matches(self, key: str) -> bool:
        """Whether nearly all looked-at texts have the pattern."""
        return _share(self.measures, key) >= _NEARLY_ALL


def _share(measures: Mapping[str, Json], key: str) -> float:
    looked = measures.get("looked")
    hits = measures.get(key)
    if not isinstance(looked, int) or not isinstance(hits, int) or looked == 0:
        return 0.0
    return hits / looked


def unit(name: str, of: Family) -> str | None:
    """The unit a number's name ends in (`_ms`, `_bytes`, `_usd` ...). None: the name says none."""
    words = tokens(name)
    if of not in ("whole", "decimal", "real") or len(words) < 2:  # noqa: PLR2004  # a suffix needs a stem
        return None
    return _UNITS.get(words[-1])


def semantic_type(look: Look) -> str | None:
    """The meaning of an attribute. None: nothing is proven."""
    if look.values == 0:
        return None
    if look.family == "text":
        return _of_text(look)
    if look.family in ("whole", "decimal", "real"):
        return _of_number(look)
    simple = {"moment": "date" if look.type == "DATE" else "timestamp", "truth": "boolean_flag"}
    if look.type == "INTERVAL":
        return "duration"
    return simple.get(look.family)


def is_number_text(look: Look) -> bool:
    """Texts that are nearly all numbers (and not a code of fixed length with leading zeros, as far as can be seen)."""
    return look.matches("number")


def is_date_text(look: Look) -> bool:
    """Texts that are nearly all dates or timestamps."""
    return look.matches("date")


def _of_text(look: Look) -> str | None:
    if look.type in ("UUID", "JSON"):
        return "uuid" if look.type == "UUID" else None
    matched = next((key for key in ("uuid", "email", "url", "ip") if look.matches(key)), None) or _code(look)
    if matched is not None:
        return matched
    if look.is_unique and not _IDENTIFYING.isdisjoint(tokens(look.name)):
        return "identifier"
    if look.type.startswith("ENUM") or _is_category(look):
        return "category"
    words = look.measures.get("words")
    return "free_text" if isinstance(words, float) and words >= 3 else None  # noqa: PLR2004  # four words or more


def _code(look: Look) -> str | None:
    words = set(tokens(look.name))
    if words & {"currency", "ccy"} and look.matches("letters3"):
        return "currency_code"
    if words & {"country"} and (look.matches("letters2") or look.matches("letters3")):
        return "country_code"
    if words & {"iata", "faa", "airport"} and look.matches("code3"):
        return "airport_code"
    return "version" if words & {"version"} and look.matches("version") else None


def _is_category(look: Look) -> bool:
    return look.distinct <= _FEW_VALUES and look.values >= 10 * look.distinct


def _of_number(look: Look) -> str | None:
    words = tokens(look.name)
    if _within(look, -90, 90) and words and words[-1] in ("lat", "latitude"):
        return "latitude"
    if _within(look, -180, 180) and words and words[-1] in ("lon", "lng", "long", "longitude"):
        return "longitude"
    if look.family == "whole" and any(_within(look, *epoch) for epoch in _EPOCHS) and _is_timely(words):
        return "timestamp"
    if unit(look.name, look.family) in _DURATIONS or "duration" in words:
        return "duration"
    if look.family == "whole":
        return _of_whole(look, words)
    return "measure"


def _of_whole(look: Look, words: tuple[str, ...]) -> str | None:
    if not _IDENTIFYING.isdisjoint(words):
        return "identifier"
    if look.distinct == 2 and _within(look, 0, 1):  # noqa: PLR2004  # zero and one
        return "boolean_flag"
    if "year" in words and _within(look, 1000, 2200):
        return "year"
    return None if look.is_unique or unit(look.name, look.family) is None else "measure"


def _is_timely(words: tuple[str, ...]) -> bool:
    return not {"time", "timestamp", "ts", "at", "epoch", "date", "created", "updated"}.isdisjoint(words)


def _within(look: Look, low: float, high: float) -> bool:
    return (
        isinstance(look.min, int | float) and isinstance(look.max, int | float) and look.min >= low and look.max <= high
    )

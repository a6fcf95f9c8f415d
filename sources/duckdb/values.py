"""How one value of DuckDB becomes one JSON value that any client reads back unchanged."""

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from typing import cast

from sources.protocol import Json

SAFE_INTEGER: Final = 2**53 - 1
BLOB_BYTES: Final = 32
DEPTH: Final = 8
ITEMS: Final = 200
_DIGITS: Final = 300
"""Decimals with more digits than a double can count are only ever text: writing them out could take gigabytes."""
ELLIPSIS: Final = "\u2026"

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INSTANT: Final = re.compile(r"^(-?\d+-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d(?::\d\d(?::\d\d)?)?)?( \(BC\))?$")
_CLOCK: Final = re.compile(r"^(\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d(?::\d\d(?::\d\d)?)?)$")
_UNITS: Final = {"year": "Y", "month": "M", "day": "D"}
_SPAN: Final = re.compile(r"(-?\d+) (year|month|day)s?|(-?)(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_SPANNED: Final = re.compile(r"^(?:(?:-?\d+ (?:year|month|day)s?|-?\d+:\d\d:\d\d(?:\.\d+)?)(?: |$))+$")


class Converter:
    """Converts the values of one answer and remembers in `cut` whether any had to be shortened."""

    __slots__ = ("cell_chars", "cut")

    def __init__(self, cell_chars: int) -> None:
        self.cell_chars = cell_chars
        self.cut = False

    def json(self, value: object, depth: int = 0) -> Json:  # noqa: PLR0911 - one line per kind of value
        """The JSON value, as documented at `sources.protocol.Json`."""
        match value:
            case None | bool():
                return value
            case int():
                return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
            case float():
                return _real(value)
            case str():
                return self.text(value)
            case Decimal():
                return _decimal(value)
            case bytes():
                return self._blob(value)
            case list() | tuple() | dict():
                return self._nested(cast("list[object] | dict[object, object]", value), depth)
            case _:
                return self.text(str(value))

    def text(self, value: str) -> str:
        """Text without control characters (newline and tab stay), at most `cell_chars` long."""
        if len(value) > self.cell_chars:
            self.cut = True
            value = value[: self.cell_chars - 1] + ELLIPSIS
        return _CONTROLS.sub("", value)

    def nested_text(self, value: object) -> Json:
        """What DuckDB's to_json gave for a nested value: parsed, so that decimals and large integers stay exact."""
        if not isinstance(value, str):
            return self.json(value)
        try:
            return self.json(json.loads(value, parse_float=Decimal))
        except (ValueError, RecursionError):
            return self.text(value)

    def _blob(self, value: bytes) -> str:
        if len(value) <= BLOB_BYTES:
            return f"0x{value.hex()}"
        self.cut = True
        return f"0x{value[:BLOB_BYTES].hex()}{ELLIPSIS} ({len(value)} bytes)"

    def _nested(self, value: list[object] | tuple[object, ...] | Mapping[object, object], depth: int) -> Json:
        if depth >= DEPTH:
            self.cut = True
            return ELLIPSIS
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        shown = [self.json(item, depth + 1) for item in value[:ITEMS]]
        if len(value) > ITEMS:
            self.cut = True
            shown.append(f"{ELLIPSIS} ({len(value)} items)")
        return shown

    def _mapping(self, value: Mapping[object, object], depth: int) -> Json:
        shown: dict[str, Json] = {}
        for key, item in value.items():
            if len(shown) == ITEMS:
                self.cut = True
                shown[ELLIPSIS] = f"{len(value)} keys"
                break
            shown[self.text(str(key))] = self.json(item, depth + 1)
        return shown


def moment(text: str) -> str:
    """ISO 8601 for the text of a date, time or timestamp of a UTC session: `T` between, `Z` behind.

    What ISO cannot say (infinity) stays as DuckDB writes it.
    """
    if found := _INSTANT.match(text):
        day, clock, zone, era = found.groups()
        return f"{day}T{clock}{_zone(zone)}{era or ''}"
    if found := _CLOCK.match(text):
        return f"{found[1]}{_zone(found[2])}"
    return text


def span(text: str) -> str:
    """ISO 8601 duration for the text of an interval, e.g. `1 year 2 months 04:05:06` is `P1Y2MT4H5M6S`."""
    if not _SPANNED.match(text):
        return text
    days = ""
    clock = ""
    for amount, unit, sign, hours, minutes, seconds in cast("list[tuple[str, ...]]", _SPAN.findall(text)):
        if unit:
            days += f"{amount}{_UNITS[unit]}"
        else:
            clock = _clock_span(sign, hours, minutes, seconds)
    return f"P{days}{clock}" if days or clock else "PT0S"


def _clock_span(sign: str, hours: str, minutes: str, seconds: str) -> str:
    whole, _, fraction = seconds.partition(".")
    kept = f"{int(whole)}.{fraction}" if fraction else str(int(whole))
    parts = [(str(int(hours)), "H"), (str(int(minutes)), "M"), (kept, "S")]
    shown = "".join(f"{sign}{amount}{unit}" for amount, unit in parts if amount != "0")
    return f"T{shown}" if shown else ""


def _zone(zone: str | None) -> str:
    if zone is None:
        return ""
    if zone in {"+00", "+00:00"}:
        return "Z"
    return zone if ":" in zone else f"{zone}:00"


def _real(value: float) -> Json:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> Json:
    if value.is_nan():
        return "NaN"
    if value.is_infinite() or abs(value.adjusted()) > _DIGITS:
        return str(value)
    if value == value.to_integral_value():
        whole = int(value)
        return whole if -SAFE_INTEGER <= whole <= SAFE_INTEGER else format(value, "f")
    real = float(value)
    return real if Decimal(repr(real)) == value else format(value, "f")

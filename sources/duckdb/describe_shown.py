"""Values as they are shown: cut texts, and moments as RFC 3339 text."""

import math
import re
from typing import Final

from sources.duckdb.describe_types import TEXT_LENGTH
from sources.duckdb.describe_types import Family
from sources.protocol import Json

_MOMENT: Final = re.compile(
    r"^(?P<date>[-+]?\d{4,}-\d{2}-\d{2})( (?P<time>\d{2}:\d{2}:\d{2}(\.\d+)?)(?P<zone>\+00)?)?$"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def instant(text: str) -> str:
    """DuckDB's text of a date or timestamp as RFC 3339; what RFC 3339 cannot say (`infinity`, BC) is left alone.

    A timestamp without a zone stays without one: no zone is made up.
    """
    match = _MOMENT.match(text)
    if match is None or match["time"] is None:
        return text
    return f"{match['date']}T{match['time']}{'Z' if match['zone'] else ''}"


def cut(text: str, *, most: int = TEXT_LENGTH) -> str:
    """At most so many characters (80), with an ellipsis where more were; control characters become blanks."""
    clean = _CONTROL.sub(" ", text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def displayed(value: Json, of: Family) -> Json:
    """One value of an attribute of that family."""
    if not isinstance(value, str):
        return value
    if of == "moment":
        return instant(value)
    return _real(value) if of == "real" else cut(value)


def _real(text: str) -> Json:
    number = float(text)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")

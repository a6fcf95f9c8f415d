"""Instants and spans as text, both ways."""

import re
from datetime import UTC
from datetime import datetime

from tools.errors import InvalidArgument

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, None: 1.0}


def rfc3339(at: float) -> str:
    """Write a wall-clock instant (seconds since 1970) in UTC with milliseconds."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span_s(text: str, *, name: str) -> float:
    """Read a span such as `90s`, `1h` or `2d` as seconds. Raises `InvalidArgument` naming the argument."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f'{name} is "{text}": pass a span such as "90s", "30m", "1h" or "7d"')
    return float(match[1]) * _UNIT_S[match[2]]

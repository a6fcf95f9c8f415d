"""The range of time that is looked at: always said in the statement, so that an answer can be measured again."""

from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from itertools import pairwise
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS: Final = 60_000
_SHOWN_MS: Final = (-62_135_596_800_000, 253_402_300_799_999)
"""Milliseconds since 1970 of the years 1 and 9999, which RFC 3339 can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `begin_ms` (included) to `end_ms` (not included), milliseconds since 1970."""

    begin_ms: int
    end_ms: int

    @property
    def clause(self) -> str:
        """As NRQL says it."""
        return f"SINCE {self.begin_ms} UNTIL {self.end_ms}"

    @property
    def shown(self) -> str:
        """For provenance, e.g. `2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z`."""
        return f"{instant(self.begin_ms)} to {instant(self.end_ms)}"

    def sliced(self, parts: int) -> "tuple[Window, ...]":
        """So many windows that follow each other without a gap; fewer when there are not that many milliseconds."""
        span_ms = self.end_ms - self.begin_ms
        bounds = sorted({self.begin_ms + span_ms * place // parts for place in range(parts + 1)})
        return tuple(Window(begin_ms=begin_ms, end_ms=end_ms) for begin_ms, end_ms in pairwise(bounds))


def window_until(now_s: float, span_s: float) -> Window:
    """`span_s` seconds up to the last full minute, so that for a minute equal questions are equal texts."""
    end_ms = int(now_s * 1_000) // _MINUTE_MS * _MINUTE_MS
    return Window(begin_ms=end_ms - max(1, round(span_s * 1_000)), end_ms=end_ms)


def instant(at_ms: float) -> str:
    """RFC 3339 in UTC, with milliseconds only where there are any. What RFC 3339 cannot say stays a number."""
    if not _SHOWN_MS[0] <= at_ms <= _SHOWN_MS[1]:
        return f"{at_ms:g}"
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")

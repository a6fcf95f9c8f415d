"""What a point in time means: `7 days ago`, `yesterday at 12:30`, a date, as milliseconds since 1970.

Words and dates without a zone of their own are read in the zone of the statement. Source: docs.newrelic.com, "Set a
query's time range".
"""

import re
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from datetime import tzinfo
from typing import Final
from zoneinfo import ZoneInfo
from zoneinfo import available_timezones

from sources.names import nearest
from sources.nrql.errors import NrqlError
from sources.nrql.errors import excerpt
from sources.nrql.tree import Duration
from sources.nrql.tree import Moment
from sources.nrql.tree import Number
from sources.nrql.tree import Span
from sources.nrql.tree import Text
from sources.nrql.tree import Unit
from sources.nrql.tree import node
from sources.nrql.words import WEEKDAYS

_LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

_CLOCK: Final = r"(?P<hour>\d{1,2}):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_BEHIND: Final = r"(?: ?(?P<zone>[+-]\d\d:?\d\d|Z|\[[^\]]{1,60}\]|(?!AM|PM)[A-Z]{3,4}))?(?: ?(?P<half>AM|PM))?"
_DATED: Final = re.compile(
    rf"(?P<year>\d{{4}})-?(?P<month>\d\d)(?:-?(?P<day>\d\d))?(?:[T ]{_CLOCK})?{_BEHIND}", re.ASCII
)
_TIMED: Final = re.compile(rf"(?=\d\d?:){_CLOCK}{_BEHIND}", re.ASCII)
_OFFSETS_H: Final = {"UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6} | {
    "PST": -8,
    "PDT": -7,
}
_A_DATE: Final = "write it as '2026-01-31', '2026-01-31 12:30' or '2026-01-31T12:30:00Z'"


@node
class Reckoning:
    """What points in time are told from. `past`: a clock alone never means a time to come, as behind SINCE."""

    now_ms: int
    zone: tzinfo = UTC
    past: bool = True

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1_000, self.zone)


def instant_ms(moment: Moment, reckoning: Reckoning) -> int:
    """The moment in milliseconds since 1970. Raises: NrqlError for what is no time, or none that can be."""
    try:
        found = _instant_ms(moment, reckoning)
    except (ValueError, OverflowError) as error:
        if isinstance(error, NrqlError):
            raise
        raise NrqlError("there is no such time", moment.span.start, _A_DATE) from error
    if not 0 <= found <= _LATEST_MS:
        raise NrqlError("the time is not between the years 1970 and 9999", moment.span.start, _A_DATE)
    return found


def zone_named(name: str | None, position: int = 0) -> tzinfo:
    """The zone of `WITH TIMEZONE`; None is UTC. Raises: NrqlError with the nearest names."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        near = nearest(excerpt(name), available_timezones())
        remedy = f"did you mean {', '.join(near)}?" if near else "name one such as 'Europe/Berlin'"
        raise NrqlError(f"there is no time zone '{excerpt(name)}'", position, remedy) from error


def _instant_ms(moment: Moment, reckoning: Reckoning) -> int:
    match moment.value:
        case Duration():
            return reckoning.now_ms - round(moment.value.ms)
        case Number():
            return int(moment.value.value)
        case Text():
            return _dated_ms(moment.value, reckoning)
        case str():
            return _worded_ms(moment.value, reckoning, moment.span)


def _ms(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _dated_ms(text: Text, reckoning: Reckoning) -> int:
    found = _DATED.fullmatch(text.value) or _TIMED.fullmatch(text.value)
    if found is None:
        raise NrqlError(f"'{excerpt(text.value)}' is no date", text.span.start, _A_DATE)
    zone = _zone(found["zone"], text.span.start) or reckoning.zone
    clock = _clock(found)
    if "year" in found.groupdict():
        year, month, day = int(found["year"]), int(found["month"]), int(found["day"] or 1)
        return _ms(datetime(year, month, day, tzinfo=zone) + clock)
    return _latest_ms(_midnight(reckoning.now.astimezone(zone)), clock, reckoning, every_days=1)


def _latest_ms(day: datetime, clock: timedelta, reckoning: Reckoning, *, every_days: int) -> int:
    """That time of the day, or, behind SINCE, of the last such day on which it is past."""
    found = _ms(day + clock)
    if reckoning.past and found > reckoning.now_ms:
        return _ms(day - timedelta(days=every_days) + clock)
    return found


def _clock(found: re.Match[str]) -> timedelta:
    hour, half = int(found["hour"] or 0), found["half"]
    if hour > 23 or int(found["minute"] or 0) > 59 or int(found["second"] or 0) > 59:  # noqa: PLR2004 - a clock
        raise ValueError(found[0])
    if half and not 1 <= hour <= 12:  # noqa: PLR2004 - a clock of twelve hours
        raise ValueError(found[0])
    if half:
        hour = hour % 12 + (12 if half == "PM" else 0)
    ms = int(f"{found['fraction'] or 0:<03}"[:3])
    return timedelta(hours=hour, minutes=int(found["minute"] or 0), seconds=int(found["second"] or 0), milliseconds=ms)


def _zone(written: str | None, position: int) -> tzinfo | None:
    if written is None:
        return None
    if written.startswith("["):
        return zone_named(written[1:-1], position)
    if written == "Z":
        return UTC
    if written in _OFFSETS_H:
        return timezone(timedelta(hours=_OFFSETS_H[written]))
    if written[0] not in "+-":
        raise NrqlError(f"there is no time zone '{written}'", position, "write its offset, such as +01:00")
    digits = written[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if written[0] == "-" else offset)


def _worded_ms(words: str, reckoning: Reckoning, span: Span) -> int:
    if words == "now":
        return reckoning.now_ms
    first, _, rest = words.partition(" ")
    if first in {"this", "last"}:
        begin = _begin(rest, reckoning.now)
        return _ms(begin if first == "this" else _begin(rest, begin - timedelta(seconds=1)))
    day = _midnight(reckoning.now)
    if first == "yesterday":
        day -= timedelta(days=1)
    elif first != "today":
        day -= timedelta(days=(day.weekday() - WEEKDAYS.index(first)) % 7)
    if not rest:
        return _ms(day)
    found = _TIMED.fullmatch(rest.removeprefix("at "))
    if found is None or found["zone"] or found["fraction"]:
        raise NrqlError(f"'{excerpt(rest)}' is no time of day", span.start, "write AT '12:30'")
    return _latest_ms(day, _clock(found), reckoning, every_days=1 if first == "today" else 7)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _begin(unit: str | Unit, at: datetime) -> datetime:  # noqa: PLR0911 - one line per unit
    """The beginning of the minute, hour, ... or year that `at` is in. Weeks begin on Monday."""
    match unit:
        case "minute":
            return at.replace(second=0, microsecond=0)
        case "hour":
            return at.replace(minute=0, second=0, microsecond=0)
        case "day":
            return _midnight(at)
        case "week":
            return _midnight(at) - timedelta(days=at.weekday())
        case "month":
            return _midnight(at).replace(day=1)
        case "quarter":
            return _midnight(at).replace(month=at.month - (at.month - 1) % 3, day=1)
        case _:
            return _midnight(at).replace(month=1, day=1)

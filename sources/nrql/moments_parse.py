"""Reads points and spans of time: SINCE, UNTIL, COMPARE WITH, TIMESERIES."""

from typing import Final
from typing import Literal
from typing import NoReturn

from sources.nrql.errors import NrqlError
from sources.nrql.errors import excerpt
from sources.nrql.expressions import duration
from sources.nrql.expressions import number
from sources.nrql.slips import unexpected
from sources.nrql.tokens import NUMBER
from sources.nrql.tokens import TEXT
from sources.nrql.tokens import WORD
from sources.nrql.tokens import Cursor
from sources.nrql.tokens import unquoted
from sources.nrql.tree import Duration
from sources.nrql.tree import Moment
from sources.nrql.tree import Text
from sources.nrql.tree import Timeseries
from sources.nrql.words import DAYS
from sources.nrql.words import PERIODS
from sources.nrql.words import UNITS

_A_MOMENT: Final = "a time such as 1 hour ago, yesterday, '2026-01-31 12:00' or epoch milliseconds"


def moment(cursor: Cursor) -> Moment:
    """A point in time, as SINCE and UNTIL take it. Raises: NrqlError."""
    start = cursor.at
    kind = cursor.kinds[start]
    if kind == NUMBER:
        return _counted(cursor)
    if kind == TEXT:
        cursor.at += 1
        span = cursor.since(start)
        return Moment(kind="at", value=Text(value=unquoted(cursor.written(start)), span=span), span=span)
    if kind != WORD:
        unexpected(cursor, f"{_A_MOMENT} is missing")
    return Moment(kind="word", value=_worded(cursor), span=cursor.since(start))


def ago(cursor: Cursor, clause: str) -> Moment:
    """`1 week ago`, and nothing else. Raises: NrqlError."""
    start = cursor.at
    length = duration(cursor, f"{clause} wants a length of time, such as 1 week ago")
    if not cursor.took("ago"):
        _without_ago(cursor, start, clause)
    return Moment("ago", length, cursor.since(start))


def timeseries(cursor: Cursor) -> Timeseries:
    """What stands behind TIMESERIES. Raises: NrqlError."""
    start = cursor.at - 1
    width = _width(cursor)
    slide_by = None
    if cursor.took("slide", "by"):
        if isinstance(width, str):
            raise NrqlError(f"SLIDE BY cannot follow {width.upper()}", cursor.position, "write TIMESERIES 5 minutes")
        slide_by = _width(cursor)
        if slide_by is None:
            unexpected(cursor, "SLIDE BY wants a length of time, AUTO or MAX")
    return Timeseries(width=width, slide_by=slide_by, span=cursor.since(start))


def _width(cursor: Cursor) -> Duration | Literal["auto", "max"] | None:
    if cursor.took("auto"):
        return "auto"
    if cursor.took("max"):
        return "max"
    return duration(cursor, "") if cursor.kind == NUMBER else None


def _counted(cursor: Cursor) -> Moment:
    """`7 days ago`, or epoch milliseconds."""
    start = cursor.at
    if cursor.words[start + 1] in UNITS:
        return ago(cursor, cursor.words[start - 1].upper())
    if cursor.kinds[start + 1] == WORD and cursor.words[start + 2] == "ago":
        duration(cursor, "")
    if cursor.words[start + 1] in {"-", "/"}:
        raise NrqlError("a date is a text", cursor.position, "put it in single quotes: SINCE '2026-01-31'")
    at = number(cursor)
    return Moment(kind="at", value=at, span=cursor.since(start))


def _without_ago(cursor: Cursor, start: int, clause: str) -> NoReturn:
    length = excerpt(cursor.text[cursor.spans[start][0] : cursor.spans[cursor.at - 1][1]])
    raise NrqlError(f"AGO is missing behind '{length}'", cursor.spans[start][0], f"write {clause} {length} ago")


def _worded(cursor: Cursor) -> str:
    """`now`, `today`, `yesterday at '12:00'`, `this week`; one space between words, the clock in its quotes."""
    word = cursor.word
    if word == "now":
        cursor.at += 1
        return word
    if word in {"this", "last"}:
        return _period(cursor, word)
    if word not in DAYS:
        unexpected(cursor, f"{_A_MOMENT} is wanted")
    cursor.at += 1
    if not cursor.took("at"):
        return word
    if cursor.kind != TEXT:
        unexpected(cursor, "AT wants a time of day such as '12:30'")
    cursor.at += 1
    return f"{word} at {unquoted(cursor.written(cursor.at - 1))}"


def _period(cursor: Cursor, word: str) -> str:
    cursor.at += 1
    if cursor.kind == NUMBER:
        raise NrqlError(f"'{word}' takes no number", cursor.position, "write SINCE 7 days ago")
    unit = UNITS.get(cursor.word)
    if unit not in PERIODS:
        unexpected(cursor, f"{word.upper()} wants one of {', '.join(PERIODS)}")
    cursor.at += 1
    return f"{word} {unit}"

"""Which attribute says when a row happened: a rule over names and types, no values needed."""

import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

_TOKEN: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_BEST: Final = ("timestamp", "time", "datetime", "event", "occurred", "happened", "ts")
_GOOD: Final = ("created", "start", "started", "date", "at", "order", "ordered", "logged", "recorded", "begin", "hour")
_LATER: Final = ("update", "updated", "modified", "end", "ended", "expires", "expiry", "due", "deleted", "closed")
_OTHER: Final = ("birth", "born", "dob", "hire", "valid", "until", "return", "required", "last", "commit", "receipt")
_EPOCH: Final = ("timestamp", "ts", "epoch", "time")
_WHOLE: Final = ("BIGINT", "UBIGINT", "INTEGER", "UINTEGER")


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case: `unitPrice_usd` is unit, price, usd."""
    return tuple(word.lower() for word in _TOKEN.findall(name))


def time_attribute(columns: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The name and type of the attribute most likely to be the time of the event.

    Timestamps go before dates, dates before whole numbers named like an epoch. Among equals the name decides (`time`,
    `event`, then `created`, `start`, `date`; `updated`, `end`, `due` last, `birth`, `hire` never first), then the
    position.
    """
    rated = [(score, -place, column) for place, column in enumerate(columns) if (score := _score(*column)) is not None]
    return max(rated)[2] if rated else None


def _score(name: str, kind: str) -> tuple[int, int] | None:
    words = tokens(name)
    named = _named(words)
    if kind.startswith("TIMESTAMP"):
        return (named, 2)
    if kind == "DATE":
        return (named, 1)
    if kind in _WHOLE and _has(words, _EPOCH) and {"zone", "air", "dep", "arr", "sched"}.isdisjoint(words):
        return (-3, 0) if words[-1] in (*_EPOCH, "stamp", "ms", "s", "us", "ns", "nano", "millis") else None
    return None


def _named(words: tuple[str, ...]) -> int:
    if _has(words, _OTHER):
        return -2
    if _has(words, _LATER):
        return -1
    if _has(words, _BEST):
        return 2
    return 1 if _has(words, _GOOD) else 0


def _has(words: Iterable[str], known: Iterable[str]) -> bool:
    return not set(words).isdisjoint(known)

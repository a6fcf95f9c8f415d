"""A trouble that stays becomes an error of `sources/errors.py` that says what happened, and what to do next."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import QuotaSpent
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.errors import TooLarge
from sources.newrelic.faults import Kind
from sources.newrelic.faults import Trouble
from sources.newrelic.regions import Endpoint
from sources.nrql.errors import caret

NARROWER: Final = (
    "Look at a shorter window (SINCE 1 hour ago), filter more or select less; or allow more time with timeout_s."
)
_CORRECT: Final = (
    "Correct the statement there: NRQL is not SQL, and names with signs or blanks in them stand in `backticks`."
)
_PLACE: Final = re.compile(r"line (\d+),? position (\d+)(?:,? unexpected '(.*?)')?", re.IGNORECASE)
_MINUTE_S: Final = 60.0


class AccountRefused(AccessDenied):
    """Which accounts the key may query is still to be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What was going on when the trouble came."""

    endpoint: Endpoint
    text: str
    """The statement; empty: it was none."""
    limit_s: float
    """How long the query was allowed to run."""
    waited_s: float


def refusal(trouble: Trouble, around: Circumstances) -> SourceError:
    """The error for callers. The message of `trouble` must be clean."""
    return _REFUSALS[trouble.kind](trouble, around)


def _rate(trouble: Trouble, _around: Circumstances) -> SourceError:
    wait_s = _MINUTE_S if trouble.retry_after_s is None else trouble.retry_after_s
    return QuotaSpent(f"New Relic takes no more requests of this user or account for now{_quoted(trouble)}", wait_s)


def _slow(_trouble: Trouble, around: Circumstances) -> SourceError:
    return QueryTimeout(around.limit_s, NARROWER)


def _broken(trouble: Trouble, around: Circumstances) -> SourceError:
    return SourceUnreachable(f"New Relic ({around.endpoint.host}) failed{_quoted(trouble)}", around.waited_s)


def _network(trouble: Trouble, around: Circumstances) -> SourceError:
    return SourceUnreachable(
        f"New Relic ({around.endpoint.host}) gave no usable answer: {trouble.message}", around.waited_s
    )


def _elsewhere(trouble: Trouble, around: Circumstances) -> SourceError:
    return SourceUnreachable(
        f"what answers at {around.endpoint.host} is no NerdGraph ({trouble.message}); check NEW_RELIC_REGION "
        "and any proxy on the way",
        around.waited_s,
    )


def _key(trouble: Trouble, around: Circumstances) -> SourceError:
    return AccessDenied(
        f"New Relic ({around.endpoint.host}) does not accept the key{_quoted(trouble)}. NEW_RELIC_API_KEY must be a "
        "user key (it begins with NRAK-), no license or ingest key, and of this region; "
        f"another region is {around.endpoint.others}."
    )


def _unpaid(trouble: Trouble, _around: Circumstances) -> SourceError:
    return AccessDenied(
        f"New Relic answers that payment is due{_quoted(trouble)}. Whoever administers the account must settle that."
    )


def _region(trouble: Trouble, around: Circumstances) -> SourceError:
    return AccessDenied(
        f"the key or the account is of another region than {around.endpoint.shown} ({around.endpoint.host})"
        f"{_quoted(trouble)}. Set {around.endpoint.others}."
    )


def _account(trouble: Trouble, _around: Circumstances) -> SourceError:
    return AccountRefused(f"the key may not query this account{_quoted(trouble)}.")


def _denied(trouble: Trouble, _around: Circumstances) -> SourceError:
    return AccessDenied(
        f"the user of the key may not do that{_quoted(trouble)}. Whoever administers New Relic can give them the right."
    )


def _syntax(trouble: Trouble, around: Circumstances) -> SourceError:
    place = _PLACE.search(trouble.message)
    offset = offset_of(around.text, int(place[1]), int(place[2]), place[3] or "") if place and around.text else None
    pointed = "" if offset is None else f"\n{caret(around.text, offset)}\n"
    return QueryRejected(f"{trouble.message}{pointed}", _CORRECT)


def _bounds(trouble: Trouble, _around: Circumstances) -> SourceError:
    return QueryRejected(
        trouble.message,
        "Ask for less: wider TIMESERIES buckets (at most 366) or a shorter window, a smaller LIMIT, "
        "fewer FACETs or functions, shorter lists.",
    )


def _large(trouble: Trouble, _around: Circumstances) -> SourceError:
    return TooLarge(
        f"{trouble.message}. Ask for less: a smaller LIMIT, fewer attributes or functions, a shorter window."
    )


def _wide(trouble: Trouble, _around: Circumstances) -> SourceError:
    return TooLarge(
        f"New Relic refuses the request as too large{_quoted(trouble)}. Ask for less: a shorter statement, fewer "
        "attributes or functions."
    )


def _no_async(trouble: Trouble, _around: Circumstances) -> SourceError:
    return QueryRejected(trouble.message, NARROWER)


def _rejected(trouble: Trouble, _around: Circumstances) -> SourceError:
    return QueryRejected(f"New Relic refused: {trouble.message or 'without a reason'}")


_REFUSALS: Final[dict[Kind, Callable[[Trouble, Circumstances], SourceError]]] = {
    "rate": _rate,
    "slow": _slow,
    "broken": _broken,
    "network": _network,
    "elsewhere": _elsewhere,
    "key": _key,
    "unpaid": _unpaid,
    "region": _region,
    "account": _account,
    "denied": _denied,
    "syntax": _syntax,
    "bounds": _bounds,
    "large": _large,
    "wide": _wide,
    "no_async": _no_async,
    "deprecated": _rejected,
    "rejected": _rejected,
}


def offset_of(text: str, line: int, position: int, unexpected: str) -> int | None:
    """Where in the text New Relic points to; None: nowhere in it.

    Whether its positions count from 0 or 1 is not documented, so what it did not expect is looked for near there.
    """
    lines = text.splitlines(keepends=True)
    if not 1 <= line <= len(lines):
        return None
    begin = sum(len(each) for each in lines[: line - 1])
    claimed = min(begin + max(position - 1, 0), max(len(text) - 1, 0))
    if not unexpected or unexpected == "<EOF>":
        return claimed
    found = [match.start() for match in re.finditer(re.escape(unexpected), text)]
    return min(found, key=lambda place: abs(place - claimed), default=claimed)


def _quoted(trouble: Trouble) -> str:
    return f' ("{trouble.message}")' if trouble.message else ""

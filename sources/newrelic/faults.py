"""What New Relic says when something is wrong, and what that means to us: one trouble of a known kind.

NerdGraph reports most failures with HTTP status 200 and a list of errors, each with the path of what failed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal
from typing import NamedTuple
from typing import cast

Kind = Literal[
    "rate",  # too many requests or statements: wait
    "slow",  # NRDB stopped the query
    "broken",  # New Relic failed on its side
    "network",  # nothing usable came back
    "key",  # the key is unknown or of the wrong kind
    "unpaid",
    "region",  # the key belongs to another region
    "account",  # the account is unknown to this key, or not allowed
    "denied",  # this user may not do that
    "syntax",
    "bounds",  # the query asks for too much, whatever the time
    "large",  # the answer is too long
    "wide",  # the request as a whole asks for too much, in fields or in size
    "no_async",  # this account has no lasting queries
    "deprecated",  # no failure at all
    "elsewhere",  # what answered is no NerdGraph
    "rejected",  # refused for a reason of its own
]

PASSING: Final[frozenset[Kind]] = frozenset({"rate", "broken", "network"})
"""Kinds that may be gone at the next attempt."""

_SCAN_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why there is no answer."""

    kind: Kind
    message: str = ""
    """What New Relic wrote, as it came: to be cleaned before it is shown."""
    retry_after_s: float | None = None
    """How long New Relic asks to wait. None: it does not say."""


class Setback(Exception):
    """One attempt came to nothing; never leaves the client."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.kind)
        self.trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphError:
    """One entry of `errors`."""

    message: str
    path: tuple[str | int, ...]
    """Where in the answer; empty: the whole of it."""
    marks: frozenset[str]
    """Its class and codes, upper-case."""

    @property
    def trouble(self) -> Trouble:
        text = self.message[:_SCAN_CHARS]
        for sign in _SIGNS:
            if sign.kind == "wide" and self.path:
                continue
            if self.marks & sign.marks or sign.words.search(text):
                return Trouble(kind=sign.kind, message=self.message)
        return Trouble(kind="rejected" if self.path else "broken", message=self.message)


_OF_TEXTS: Final = r"\b(fields?|alias(es)?|selections?|nodes|tokens|complex(ity)?)\b"
_TOO_MUCH: Final = r"\b(too|allowed|limit\w*|max(imum)?|exceed\w*|at most|more tha[nt])\b"
"""What a server of GraphQL bounds, and how it says that there is too much of it."""


class _Sign(NamedTuple):
    kind: Kind
    marks: frozenset[str]
    words: re.Pattern[str]


def _sign(kind: Kind, words: str, *marks: str) -> _Sign:
    return _Sign(kind=kind, marks=frozenset(marks), words=re.compile(words, re.IGNORECASE))


_SIGNS: Final = (
    _sign("deprecated", r"this field is deprecated"),
    _sign("syntax", r"nrql syntax error|error at line \d+,? position \d+"),
    _sign("rate", r"too many requests|rate limit", "TOO_MANY_REQUESTS", "RATE_LIMITED"),
    _sign("region", r"account region|(wrong|another|different) region"),
    _sign(
        "key",
        r"\b(invalid|bad|no|unknown|missing) api[- ]key|api[- ]key.{0,20}\b(invalid|missing|required|not)\b",
        *("BAD_API_KEY", "INVALID_API_KEY", "UNAUTHENTICATED"),
    ),
    _sign("unpaid", r"payment required", "PAYMENT_REQUIRED"),
    _sign(
        "account",
        r"\b(un)?(authori[sz]ed|permission|access)\b.{0,60}\baccount|\baccount.{0,40}\b(found|exist|unknown)\b",
    ),
    _sign("slow", r"1101002|timed? ?out|time limit", "TIMEOUT", "NRDB_TIMEOUT"),
    _sign("no_async", r"\basync\w*\b.*\b(not|only|requires?|unavailable|disabled)\b|data plus"),
    _sign(
        "wide",  # only said of a request as a whole
        rf"{_OF_TEXTS}.{{0,80}}{_TOO_MUCH}|{_TOO_MUCH}.{{0,80}}{_OF_TEXTS}|"
        r"\b(request|document|operation|payload|body|query)\b.{0,40}\btoo (big|large|long|wide)\b",
    ),
    _sign("bounds", r"\btoo (big|large|long|many)\b|\b366\b|\bmax(imum)? (number|limit|of)\b"),
    _sign("denied", r"access denied|(not |un)authori[sz]ed|forbidden", "ACCESS_DENIED", "FORBIDDEN"),
    _sign(
        "broken",
        r"internal server error|service unavailable|something went wrong",
        *("SERVER_ERROR", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"),
    ),
)
"""Class or code, else words; the first that fits counts.

Source: newrelic/newrelic-client-go@dc87be36 internal/http, and what users of public clients report.
"""


def graph_errors(body: Mapping[str, Any]) -> tuple[GraphError, ...]:
    """The errors of an answer, whatever their form."""
    listed: object = body.get("errors")
    if isinstance(listed, list):
        return tuple(_error(each) for each in cast("list[object]", listed))
    alone: object = body.get("error")  # as the REST interfaces and gateways of New Relic have it
    return () if alone is None and not listed else (_error(alone or listed),)


def _error(entry: object) -> GraphError:
    if not isinstance(entry, Mapping):
        return GraphError(message=str(entry)[:_SCAN_CHARS], path=(), marks=frozenset())
    fields = cast("Mapping[str, object]", entry)
    extensions = fields.get("extensions")
    marked = cast("Mapping[str, object]", extensions) if isinstance(extensions, Mapping) else fields
    path = fields.get("path")
    steps = cast("list[object]", path) if isinstance(path, list) else []
    return GraphError(
        message=str(fields.get("message") or fields.get("title") or "")[:_SCAN_CHARS],
        path=tuple(step for step in steps if isinstance(step, str | int)),
        marks=frozenset(
            str(marked.get(name) or "").upper() for name in ("errorClass", "errorCode", "error_code", "code")
        )
        - {""},
    )

"""One NRQL statement of one account, run for real: on a thread, with the errors NerdGraph has for it, and its ghosts.

Source of the texts of errors: docs.newrelic.com, "Troubleshooting chart errors".
"""

import asyncio
import re
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any
from typing import Final
from typing import cast

from graphql import GraphQLError

from server.simulator.accounts import Account
from sources.errors import QueryRejected
from sources.nrql.errors import NrqlError

_KEYSET = re.compile(r"\bkeyset\s*\(\s*\)", re.IGNORECASE)
_SHOW = re.compile(r"\s*show\s+event\s+types\b", re.IGNORECASE)
_WORD = re.compile(r"\w+|\S")
_ADDED = re.compile(r"count|(?:count|sum)\.[^{}]*")
_BUCKETS: Final = "366"
"""Whatever is refused with this number is refused for its buckets."""
_TIMED_OUT: Final = (
    "Your query either timed out or we're under heavy load. Navigate to the support site for assistance."
)
_DONE: Final[Mapping[str, Any]] = {
    "completed": True,
    "queryId": None,
    "retryAfter": None,
    "retryDeadline": None,
    "resultExpiration": None,
}


async def answered(threads: Executor, account: Account, text: str, *, within_s: float) -> dict[str, Any]:
    """The container of the answer. A statement that takes longer goes on unheard.

    Raises `GraphQLError` as NerdGraph words it.
    """
    if not text.strip():
        raise GraphQLError("Validation error on 'nrql': a query must be specified")
    running = asyncio.get_running_loop().run_in_executor(threads, account.nrdb.run, text)
    try:
        container = await asyncio.wait_for(running, within_s)
    except TimeoutError:
        raise timed_out() from None
    except NrqlError as wrong:
        raise _wrong(text, wrong) from wrong
    except QueryRejected as refused:
        raise (_many_buckets() if _BUCKETS in str(refused) else not_run(str(refused))) from refused
    return {**container, "nrql": text, "queryProgress": _DONE, **_with_ghosts(account, text, container)}


async def answered_across(
    threads: Executor, accounts: Sequence[Account], text: str, *, within_s: float
) -> dict[str, Any]:
    """The answer of several accounts together, where it follows from those of each."""
    if len(accounts) == 1:
        return await answered(threads, accounts[0], text, within_s=within_s)
    each = await asyncio.gather(*(answered(threads, account, text, within_s=within_s) for account in accounts))
    results = [cast("list[dict[str, Any]]", container["results"]) for container in each]
    if _SHOW.match(text) or _KEYSET.search(text):
        return {**each[0], "results": _distinct(row for rows in results for row in rows)}
    if all(len(rows) == 1 and all(_ADDED.fullmatch(name) for name in rows[0]) for rows in results):
        names = results[0][0]
        return {**each[0], "results": [{name: sum(rows[0][name] or 0 for rows in results) for name in names}]}
    raise not_run("of several accounts, it puts only counts, sums, event types and keysets together")


def timed_out() -> GraphQLError:
    return GraphQLError(_TIMED_OUT, extensions={"errorClass": "TIMEOUT", "errorCode": "NRDB:1101002"})


def too_many(why: str) -> GraphQLError:
    return GraphQLError(why, extensions={"errorClass": "TOO_MANY_REQUESTS"})


def not_run(why: str) -> GraphQLError:
    """What NRDB might well answer, and the simulator does not."""
    return GraphQLError(
        f"The simulator cannot run this statement: {why}. This says nothing about New Relic itself.",
        extensions={"errorClass": "NOT_SIMULATED"},
    )


def _many_buckets() -> GraphQLError:
    return GraphQLError(
        f"TIMESERIES supports a maximum of {_BUCKETS} buckets", extensions={"errorClass": "SERVER_ERROR"}
    )


def _wrong(text: str, wrong: NrqlError) -> GraphQLError:
    if _BUCKETS in wrong.reason:
        return _many_buckets()
    before = text[: wrong.position]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    unexpected = _WORD.match(text, wrong.position)
    found = f"unexpected '{unexpected[0]}'" if unexpected else "unexpected end of query"
    return GraphQLError(
        f"NRQL Syntax Error: Error at line {line} position {column}, {found}",
        extensions={"errorClass": "SERVER_ERROR", "errorCode": "NRDB:1102004"},
    )


def _with_ghosts(account: Account, text: str, container: Mapping[str, Any]) -> Mapping[str, Any]:
    if not account.ghost_attributes or not _KEYSET.search(text):
        return {}
    metadata = cast("Mapping[str, Any]", container.get("metadata") or {})
    ghosts = [
        {"key": name, "type": kind}
        for event_type in metadata.get("eventTypes") or ()
        for name, kind in account.ghost_attributes.get(event_type, {}).items()
    ]
    return {"results": [*container["results"], *ghosts]}


def _distinct(rows: Any) -> list[dict[str, Any]]:
    return list({tuple(row.items()): row for row in rows}.values())

"""What is answered beside NRQL: which event types report, which entities there are, what was asked before."""

import asyncio
import base64
import datetime as dt
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import Any
from typing import Final

from graphql import GraphQLError

from server.simulator.accounts import Account
from server.simulator.entities import PAGE_ROWS_MOST
from server.simulator.entities import Found
from server.simulator.entities import NotSearched
from server.simulator.entities import entities_of
from server.simulator.entities import matching
from server.simulator.entities import shown
from server.simulator.estate import Estate
from server.simulator.estate import Past
from server.simulator.statements import answered
from server.simulator.statements import not_run

_WITHIN_S: Final = 60.0
_CURSOR_BYTES: Final = 12
_PAST_ROWS: Final = 100


async def reporting(
    estate: Estate,
    account: Account,
    _asked: object,
    filter: Sequence[str] | None = None,  # noqa: A002 - as the schema has it
    timeWindow: Mapping[str, int] | None = None,  # noqa: N803
) -> list[str]:
    """Event types of an account: those named, and with rows in the window, where these are given."""
    names = [name for name in account.nrdb.event_types() if filter is None or name in filter]
    if timeWindow is None or not names:
        return names
    listed = ", ".join(f"`{name}`" for name in names)
    window = f"SINCE {timeWindow['startTime']} UNTIL {timeWindow['endTime']}"
    text = f"SELECT count(*) FROM {listed} FACET eventType() LIMIT MAX {window}"  # noqa: S608 - NRQL
    counted = await answered(estate.threads, account, text, within_s=_WITHIN_S)
    return [str(row["facet"]) for row in counted["results"]]


async def entity_search(
    estate: Estate,
    _asked: object,
    query: str | None = None,
    options: Mapping[str, Any] | None = None,
    **_sorted: object,
) -> Mapping[str, Any]:
    """The entities that a search means, by name, in pages."""
    found = await asyncio.get_running_loop().run_in_executor(estate.threads, _entities, estate)
    try:
        chosen = matching(found, query or "")
    except NotSearched as refused:
        raise not_run(str(refused)) from refused
    rows = min((options or {}).get("limit") or PAGE_ROWS_MOST, PAGE_ROWS_MOST)
    return {"count": len(chosen), "query": query, "types": _kinds(chosen), "results": partial(_page, chosen, rows)}


def query_history(estate: Estate, _asked: object, options: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
    """What was asked, newest first."""
    most = (options or {}).get("limit") or _PAST_ROWS
    return [_past(each) for each in list(estate.history)[:most]]


def _entities(estate: Estate) -> list[Found]:
    return [(account, each) for account in estate.accounts.values() for each in entities_of(account)]


def _kinds(chosen: Sequence[Found]) -> list[Mapping[str, Any]]:
    held = [(entity.domain, entity.type) for _, entity in chosen]
    return [{"domain": kind[0], "type": kind[1], "count": held.count(kind)} for kind in sorted(set(held))]


def _past(past: Past) -> Mapping[str, Any]:
    created = dt.datetime.fromtimestamp(past.at, tz=dt.UTC)
    return {"accountIds": list(past.accounts), "createdAt": created.isoformat(), "query": past.text}


def _page(chosen: Sequence[Found], rows: int, _asked: object, cursor: str | None = None) -> Mapping[str, Any]:
    start = _start_of(cursor) if cursor else 0
    following = start + rows
    return {
        "entities": [shown(account, entity) for account, entity in chosen[start:following]],
        "nextCursor": _cursor(following) if following < len(chosen) else None,
    }


def _cursor(start: int) -> str:
    return base64.b64encode(start.to_bytes(_CURSOR_BYTES)).decode()


def _start_of(cursor: str) -> int:
    try:
        return int.from_bytes(base64.b64decode(cursor, validate=True))
    except ValueError:
        raise GraphQLError("The cursor is not one of this search") from None

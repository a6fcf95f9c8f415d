"""The assumptions beyond single answers to NRQL: texts, requests, errors; and the order in which all are examined."""

import asyncio
import re
from collections.abc import Callable
from collections.abc import Sequence
from itertools import count
from typing import Final

from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import SourceError
from sources.errors import TooLarge
from sources.newrelic.assumption_rows import PARTS
from sources.newrelic.assumption_rows import SHAPES
from sources.newrelic.assumption_rows import Row
from sources.newrelic.assumption_values import VALUES
from sources.newrelic.assumptions import Check
from sources.newrelic.assumptions import Looking
from sources.newrelic.assumptions import Seen
from sources.newrelic.shapes import at
from sources.newrelic.shapes import has_keys
from sources.newrelic.shapes import is_number
from sources.newrelic.shapes import objects
from sources.newrelic.shapes import shape
from sources.newrelic.texts import ACROSS_ACCOUNTS
from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.texts import DATA_DICTIONARY
from sources.newrelic.texts import ENTITY_SEARCH
from sources.newrelic.texts import FIELDS_MOST
from sources.newrelic.texts import QUERY_HISTORY
from sources.newrelic.texts import REPORTING_EVENT_TYPES
from sources.newrelic.texts import Selection
from sources.newrelic.texts import batch_fields
from sources.newrelic.texts import batch_text

_PLACE: Final = re.compile(r"line \d+,? position \d+", re.IGNORECASE)
_WHOLE: Final = Selection(stats=True, whole=True, lasting=False)
_WIDE: Final = batch_fields([_WHOLE] * BATCH_MOST)
_PROGRESS: Final = {"completed", "queryId", "retryAfter", "retryDeadline", "resultExpiration"}


def _whole(name: str, expected: str, text: str, variables: Row, holds: Callable[[Row], bool | None]) -> Check:
    """A GraphQL text and its answer."""

    async def look(looking: Looking) -> Seen:
        found = await looking.graph.graphql(text, variables, within_s=looking.within_s)
        return Seen(holds=holds(found), shown=shape(found))

    return Check(name=name, expected=expected, look=look)


def _has_entities(found: Row) -> bool | None:
    entities = objects(at(found, "actor", "entitySearch", "results", "entities"))
    fits = all(isinstance(each.get("guid"), str) and is_number(each.get("accountId")) for each in entities)
    return fits if entities else None


def _reports(found: Row) -> bool | None:
    accounts = objects(at(found, "actor", "accounts"))
    return any(isinstance(each.get("reportingEventTypes"), list) for each in accounts) if accounts else None


def _is_defined(found: Row) -> bool | None:
    events = objects(at(found, "docs", "dataDictionary", "events"))
    return any(isinstance(each.get("attributes"), list) and each.get("definition") for each in events)


def _has_history(found: Row) -> bool | None:
    history: object = at(found, "actor", "queryHistory", "nrql")
    return history is not None and all(isinstance(each.get("query"), str) for each in objects(history))


_WHOLES: Final = (
    _whole(
        "event types of all accounts at once",
        "{actor: {accounts: [{id: number, reportingEventTypes: [string]}]}}",
        REPORTING_EVENT_TYPES,
        {"window": None},
        _reports,
    ),
    _whole(
        "data dictionary",
        "{docs: {dataDictionary: {events: [{attributes: [..], definition: string, name: string}]}}}",
        DATA_DICTIONARY,
        {"names": ["Transaction"]},
        _is_defined,
    ),
    _whole(
        "entity search",
        "{actor: {entitySearch: {count: number, results: {entities: [{accountId: number, guid: string, ..}], ..}}}}",
        ENTITY_SEARCH,
        {"query": "reporting = 'true'", "limit": 2, "cursor": None},
        _has_entities,
    ),
    _whole(
        "query history",
        "{actor: {queryHistory: {nrql: [{accountIds: [number], createdAt: string, query: string}]}}}",
        QUERY_HISTORY,
        {"limit": 3},
        _has_history,
    ),
)


async def _lean_keyset(looking: Looking) -> Seen:
    texts = (f"SELECT keyset() FROM {looking.account.event_type}", f"SELECT count(*) FROM {looking.account.event_type}")
    found = await asyncio.gather(*(looking.container(f"{text} SINCE 1 hour ago") for text in texts))
    names, rows = (at(each, "rawResponse", "performanceStats", "inspectedCount") for each in found)
    if not is_number(names) or not is_number(rows):
        return Seen(holds=None, shown="no statistics")
    return Seen(holds=names <= rows, shown="no more rows" if names <= rows else "more rows")


async def _across(looking: Looking) -> Seen:
    if len(looking.accounts) < 2:  # noqa: PLR2004 - one account is not several
        return Seen(holds=None, shown="needs NEW_RELIC_ACCOUNT_ID with two accounts")
    variables = {"accounts": list(looking.accounts[:2]), "query": "SELECT count(*) FROM Transaction", "timeout": 10}
    found = await looking.graph.graphql(ACROSS_ACCOUNTS, variables, within_s=looking.within_s)
    rows: object = at(found, "actor", "nrql", "results")
    return Seen(holds=isinstance(rows, list), shown=shape(found))


async def _lasting(looking: Looking) -> Seen:
    container = await looking.container(f"SELECT count(*) FROM {looking.account.event_type}", lasting=True)
    progress: object = container.get("queryProgress")
    if progress is None:
        return Seen(holds=None, shown="this account is asked without it")
    return Seen(holds=has_keys(progress, _PROGRESS), shown=shape(progress))


async def _full_request(looking: Looking) -> Seen:
    before = looking.graph.statistics().requests
    texts = [
        f"SELECT count(*) FROM {looking.account.event_type} SINCE {n} minutes ago" for n in range(1, BATCH_MOST + 1)
    ]
    number, within_s = looking.account.number, looking.within_s
    await asyncio.gather(*(looking.graph.nrql(number, text, within_s=within_s, whole=False) for text in texts))
    requests = looking.graph.statistics().requests - before
    return Seen(holds=requests == 1, shown="answered in one request" if requests == 1 else "answered in several")


async def _wide_request(looking: Looking) -> Seen:
    """More fields than UDS ever asks for at once: whether New Relic still refuses them."""
    statement = {"i": looking.account.number, "q": f"SELECT count(*) FROM {looking.account.event_type}", "t": 10}
    variables = {f"{name}{place}": value for place in range(BATCH_MOST) for name, value in statement.items()}
    text = batch_text([_WHOLE] * BATCH_MOST)
    try:
        await looking.graph.graphql(text, variables, within_s=looking.within_s)
    except TooLarge:
        return Seen(holds=False, shown="refused as too large")
    return Seen(holds=True, shown="answered")


async def _one_fails(looking: Looking) -> Seen:
    texts = (f"SELECT count(*) FROM {looking.account.event_type}", "SELECT FROM WHERE")
    good, bad = await asyncio.gather(*(looking.rows(text) for text in texts), return_exceptions=True)
    kinds = [type(each).__name__ if isinstance(each, SourceError) else "answered" for each in (good, bad)]
    return Seen(holds=kinds == ["answered", "QueryRejected"], shown=", ".join(kinds))


async def _syntax(looking: Looking) -> Seen:
    try:
        await looking.rows("SELECT count(*) FORM Transaction")
    except QueryRejected as fault:
        found = _PLACE.search(str(fault)) is not None
        return Seen(
            holds=found, shown="QueryRejected with line and position" if found else "QueryRejected without place"
        )
    return Seen(holds=False, shown="no error")


async def _unknown_account(looking: Looking) -> Seen:
    known = {number for number, _ in await looking.graph.accounts(within_s=looking.within_s)}
    foreign = next(number for number in count(1) if number not in known)
    try:
        await looking.graph.nrql(foreign, "SELECT count(*) FROM Transaction", within_s=looking.within_s)
    except AccessDenied:
        return Seen(holds=True, shown="AccessDenied")
    except QueryRejected:
        return Seen(holds=False, shown="QueryRejected")
    return Seen(holds=False, shown="no error")


_ALONE: Final = (
    Check(name="keyset() is lean", expected="looks at no more rows than count(*)", look=_lean_keyset),
    Check(name="one statement over several accounts", expected="{actor: {nrql: {results: [..]}}}", look=_across),
    Check(
        name=f"a request with {_WIDE} fields",
        expected=f"answered; where it is not, UDS asks for at most {FIELDS_MOST} at once, as it does anyway",
        look=_wide_request,
        rank=3,
    ),
    Check(name="lasting queries", expected=f"{{{', '.join(sorted(_PROGRESS))}}}", look=_lasting),
)


def rounds() -> Sequence[Sequence[Check]]:
    """What may travel together does; what is meant to fail keeps away from what is not."""
    return (
        (*SHAPES, *PARTS, *VALUES, *_WHOLES, *_ALONE),
        (Check(name="25 statements in one request", expected="answered in one request", look=_full_request, rank=1),),
        (Check(name="a syntax error", expected="QueryRejected with line and position", look=_syntax),),
        (
            Check(
                name="a statement that fails beside one that does not",
                expected="answered, QueryRejected",
                look=_one_fails,
                rank=1,
            ),
            Check(name="an account of somebody else", expected="AccessDenied", look=_unknown_account),
        ),
    )

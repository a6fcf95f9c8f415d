"""Every GraphQL text that is ever sent to New Relic, so that all of them can be checked against its public schema.

Source: the types and arguments are those of NerdGraph's published schema (docs.newrelic.com, NerdGraph explorer).
"""

import re
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

ACCOUNTS: Final = "query Accounts { actor { accounts { id name } } }"
"""The accounts of this region that the key may query."""

REPORTING_EVENT_TYPES: Final = """\
query ReportingEventTypes($window: TimeWindowInput) {
  actor { accounts { id reportingEventTypes(timeWindow: $window) } }
}"""
"""`window` is `{startTime, endTime}` in milliseconds since 1970; null: what reports now."""

DATA_DICTIONARY: Final = """\
query DataDictionary($names: [String]) {
  docs { dataDictionary { events(names: $names) {
    name definition attributes { name definition docsUrl units { label } }
  } } }
}"""

ENTITY_SEARCH: Final = """\
query EntitySearch($query: String!, $limit: Int, $cursor: String) {
  actor { entitySearch(query: $query, options: {limit: $limit}) {
    count results(cursor: $cursor) { nextCursor entities { guid name accountId domain type reporting } }
  } }
}"""
"""`limit` can only lower the 200 entities of a page; `cursor` is null for the first."""

QUERY_HISTORY: Final = """\
query QueryHistory($limit: Int) {
  actor { queryHistory { nrql(options: {limit: $limit}) { accountIds createdAt query } } }
}"""

_ROWS: Final = "results"
_BESIDE: Final = (
    "currentResults previousResults otherResult totalResult "
    "metadata { eventTypes facets messages timeWindow { begin end } }"
)
_MESSAGES: Final = "metadata { messages }"
_STATS: Final = "rawResponse"
_PROGRESS: Final = "queryProgress { completed queryId retryAfter retryDeadline resultExpiration }"

PROGRESS: Final = f"""\
query Progress($account: Int!, $queryId: ID!) {{
  actor {{ account(id: $account) {{ nrqlQueryProgress(queryId: $queryId) {{
    {_ROWS} {_BESIDE} {_STATS} {_PROGRESS}
  }} }} }}
}}"""
"""How far a lasting query is, and its rows once it is done."""

ACROSS_ACCOUNTS: Final = """\
query AcrossAccounts($accounts: [Int!]!, $query: Nrql!, $timeout: Seconds) {
  actor { nrql(accounts: $accounts, query: $query, timeout: $timeout) { results metadata { eventTypes } } }
}"""
"""One statement over several accounts at once (at most 5 by the schema)."""

BATCH_MOST: Final = 25
"""Statements in one request."""

FIELDS_MOST: Final = 200
"""Fields in one request, unless it is for one statement.

Source: newrelic/nr1-status-pages#1 (2019): "NerdGraph currently blocks requests that ask for more than 200 fields".
Whether it still does is not known, and staying below costs nothing: what is asked many times at once selects little.
"""

_FIELD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is selected of the answer to one statement of a batch."""

    stats: bool
    """Also the raw response, which holds the performance statistics and repeats the rows, and messages of NRDB."""
    whole: bool
    """Also what stands beside the rows: halves of a comparison, other and total, facets, the window."""
    lasting: bool
    """The query may go on after its timeout, and be polled."""

    @property
    def fields(self) -> int:
        """How many fields one statement adds to a request."""
        return _fields(self)


def batch_text(selections: Sequence[Selection]) -> str:
    """One text for several statements: number n is `actor.an.nrql`, with variables `in`, `qn`, `tn` (and `yn`).

    They are the account, the statement, the timeout in seconds and whether the query may last. Equal selections make
    equal texts, so that whoever reads them can keep what it parsed.
    """
    declared = ", ".join(_declared(number, each) for number, each in enumerate(selections))
    asked = "\n".join(_asked(number, each) for number, each in enumerate(selections))
    return f"query Batch({declared}) {{ actor {{\n{asked}\n}} }}"


def batch_fields(selections: Sequence[Selection]) -> int:
    """How many fields the text for these statements has."""
    return 1 + sum(each.fields for each in selections)


def every_text() -> Iterator[tuple[str, str]]:
    """Name and text of everything that may be sent; of the batches those that differ in what they select."""
    yield from (
        ("ACCOUNTS", ACCOUNTS),
        ("REPORTING_EVENT_TYPES", REPORTING_EVENT_TYPES),
        ("DATA_DICTIONARY", DATA_DICTIONARY),
        ("ENTITY_SEARCH", ENTITY_SEARCH),
        ("QUERY_HISTORY", QUERY_HISTORY),
        ("PROGRESS", PROGRESS),
        ("ACROSS_ACCOUNTS", ACROSS_ACCOUNTS),
    )
    kinds = [
        Selection(stats=stats, whole=whole, lasting=lasting)
        for stats, whole, lasting in product((False, True), repeat=3)
    ]
    yield from ((f"batch of 1: {each}", batch_text([each])) for each in kinds)
    yield "batch of all kinds", batch_text(kinds)
    yield "full batch", batch_text([kinds[number % len(kinds)] for number in range(BATCH_MOST)])


@cache
def _fields(selection: Selection) -> int:
    """Those that are chosen, and `account` and `nrql` around them."""
    return 2 + len(_FIELD.findall(_chosen(selection)))


def _declared(number: int, selection: Selection) -> str:
    declared = f"$i{number}: Int!, $q{number}: Nrql!, $t{number}: Seconds"
    return f"{declared}, $y{number}: Boolean" if selection.lasting else declared


def _asked(number: int, selection: Selection) -> str:
    lasting = f", async: $y{number}" if selection.lasting else ""
    arguments = f"query: $q{number}, timeout: $t{number}{lasting}"
    return f"a{number}: account(id: $i{number}) {{ nrql({arguments}) {{ {_chosen(selection)} }} }}"


def _chosen(selection: Selection) -> str:
    beside = _BESIDE if selection.whole else _MESSAGES if selection.stats else ""
    parts = (_ROWS, beside, _STATS if selection.stats else "", _PROGRESS if selection.lasting else "")
    return " ".join(part for part in parts if part)

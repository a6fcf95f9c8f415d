"""Which event types the user asked about lately, from New Relic's own history of their queries."""

import re
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final
from typing import TypeGuard

from sources.errors import SourceError
from sources.newrelic.asking import Asking
from sources.newrelic.kept import Kept
from sources.newrelic.texts import QUERY_HISTORY
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence
from sources.nrql.check import schemas_of
from sources.nrql.errors import NrqlError
from sources.nrql.parse import parse

QUERIES_MOST: Final = 200
KEPT_S: Final = 600.0
_WITHIN_S: Final = 10.0
_OURS: Final = re.compile(r"\bSINCE \d{13} UNTIL \d{13}\b")
"""How this source says a window: what it measured itself is nothing that a person asked about."""


async def familiar(asking: Asking) -> Mapping[str, int]:
    """How many of the last `QUERIES_MOST` queries to this account read each event type.

    Empty when New Relic does not answer or does not allow it: what is not known ranks nothing. Never raises.
    """
    try:
        answer = await asking.graph.graphql(QUERY_HISTORY, {"limit": QUERIES_MOST}, within_s=_WITHIN_S)
    except SourceError:
        return {}
    return counted(answer, asking.account)


class AskedBefore:
    """`familiar`, asked again only after ten minutes; used by one event loop."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._kept: Kept[int, Mapping[str, int]] = Kept(for_s=KEPT_S, clock=asking.clock)

    async def familiar(self) -> Mapping[str, int]:
        """As the function of this name."""
        return await self._kept.get(self._asking.account, lambda: familiar(self._asking))


def counted(answer: Mapping[str, Any], account: int) -> dict[str, int]:
    """Queries by event type; those of other accounts, and those that cannot be read, do not count."""
    told = mapping(mapping(mapping(answer).get("actor")).get("queryHistory"))
    asked = [mapping(each) for each in sequence(told.get("nrql"))[:QUERIES_MOST]]
    own = [each.get("query") for each in asked if account in sequence(each.get("accountIds"))]
    return dict(Counter(schema for text in own if _is_asked(text) for schema in _schemas(text)))


def _is_asked(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and _OURS.search(text) is None


def _schemas(text: str) -> Iterator[str]:
    try:
        yield from set(schemas_of(parse(text)))
    except NrqlError:
        return

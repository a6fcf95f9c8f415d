"""Gives each principal its own history as a source, and nobody else's: ledger and source meet here."""

from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import aclosing
from contextlib import contextmanager
from operator import attrgetter
from typing import Any
from typing import Final

from cachetools import LRUCache

from sources.errors import QuotaSpent
from sources.errors import SourceUnreachable
from sources.history.mirrors import Mirrors
from sources.history.records import SCHEMAS
from sources.history.records import Page
from sources.history.records import Rewritten
from sources.history.source import HistorySource
from sources.protocol import Source
from state.errors import StateBusy
from state.errors import StateError
from state.journal import Journal
from state.ledger import HistoryRewritten
from state.ledger import Ledger
from state.ledger import Reader
from state.sessions import Sessions

_PRINCIPALS_MOST: Final = 1_000
"""Kept with what is known of their histories: a count for each session. Those left out are looked at anew."""
_LIVES: Final = (None, "sessions")
"""What is asked that changes also when a session is only used."""

_SESSION, _FINDING, _EVENT = (
    attrgetter(*(attribute.name for attribute in SCHEMAS[name])) for name in ("sessions", "findings", "events")
)


class OwnHistories:
    """Sources by principal. Belongs to one event loop."""

    def __init__(self, journal: Journal, sessions: Sessions, *, mirrors: Mirrors | None = None) -> None:
        """`sessions`: the ones over the journal. `mirrors`: closed with this."""
        self._journal = journal
        self._sessions = sessions
        self._mirrors = mirrors or Mirrors()
        self._sources: LRUCache[str, HistorySource] = LRUCache(_PRINCIPALS_MOST)

    def of(self, principal: str) -> tuple[Source, ...]:
        """The principal's own history. Cheap."""
        found = self._sources.get(principal)
        if found is None:
            ledger = Ledger(self._journal, self._sessions.histories, principal)
            found = HistorySource(_Records(ledger), scope=principal, mirrors=self._mirrors)
            self._sources[principal] = found
        return (found,)

    async def aclose(self) -> None:
        """End all engines and remove their files."""
        await self._mirrors.aclose()


class _Records:
    """A ledger as the records of a source."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def counts(self) -> Mapping[str, int | None]:
        with _translated():
            tally = await self._ledger.tally()
        return {"sessions": tally.sessions, "events": tally.events, "findings": tally.findings}

    async def token(self, schema: str | None) -> str:
        with _translated():
            return await self._ledger.token(lives=schema in _LIVES)

    def reading(self) -> "_Reading":
        return _Reading(self._ledger.reader())


class _Reading:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def pages(self) -> AsyncGenerator[Page]:
        with _translated():
            async with aclosing(self._reader.entries()) as found:
                async for entries in found:
                    yield Page(
                        ended=entries.ended,
                        session=_row(_SESSION, entries.session),
                        findings=tuple(_row(_FINDING, each) for each in entries.findings),
                        events=tuple(_row(_EVENT, each) for each in entries.events),
                    )


def _row(values: Any, entry: object) -> tuple[Any, ...]:
    return values(entry)


@contextmanager
def _translated() -> Generator[None]:
    """What goes wrong with state is, for who asks about it, a source that does not answer."""
    try:
        yield
    except HistoryRewritten as fault:
        raise Rewritten from fault
    except StateBusy as fault:
        raise QuotaSpent(str(fault), fault.retry_after_s) from fault
    except StateError as fault:
        raise SourceUnreachable(f"the history cannot be read: {fault}") from fault

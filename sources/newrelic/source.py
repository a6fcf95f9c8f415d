"""The source `newrelic`: one account of New Relic, measured in NRDB through NerdGraph."""

import json
import time
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from sources.abilities import Intake
from sources.abilities import Look
from sources.errors import AccessDenied
from sources.errors import SourceUnreachable
from sources.newrelic import losses
from sources.newrelic import query
from sources.newrelic.asked_before import AskedBefore
from sources.newrelic.asking import Asking
from sources.newrelic.catalogue import Catalogue
from sources.newrelic.client import NerdGraph
from sources.newrelic.describe_run import describe_schema
from sources.newrelic.inquiry import Inquiry
from sources.newrelic.kept import Kept
from sources.newrelic.profile_run import profile_attribute
from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.together import both
from sources.newrelic.together import tolerated
from sources.newrelic.vocabulary import Vocabulary
from sources.newrelic.window import Window
from sources.newrelic.window import window_until
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Description
from sources.protocol import Profile
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import Table
from sources.protocol import silent

DAY_S: Final = 86_400.0

STANDS_S: Final = 300.0
"""How long an answer may be given again, by whoever keeps it: 1/288 of the default window."""


class NewRelicSource:
    """A `Source` over one account. Several of them may share one client: what they ask at once travels together."""

    def __init__(
        self,
        *,
        graph: NerdGraph,
        account: int,
        name: str = "newrelic",
        window_s: float = DAY_S,
        history: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`window_s`: how far back is looked. `history`: whether past queries may be read. The client stays open."""
        self.name: Final = name
        self.scope: Final = ""
        self.identity: Final = json.dumps([self.kind, graph.identity, account, window_s])
        """Where, with whose eyes (a digest of the key), which account, and how far back."""
        self._account = account
        self._place = graph.endpoint.shown
        self._history = history

        def window() -> Window:
            return window_until(clock(), window_s)

        self._catalogue = Catalogue(graph=graph, account=account, source=name, window=window, clock=clock)
        self._asking = Asking(
            graph=graph, account=account, source=name, catalogue=self._catalogue, window=window, clock=clock
        )
        self._vocabulary = Vocabulary(self._asking)
        self._losses: Kept[str, str] = Kept(for_s=STANDS_S, clock=clock)
        self._asked_before = AskedBefore(self._asking)

    @property
    def kind(self) -> str:
        return "newrelic"

    @property
    def origin(self) -> str:
        """What it holds, for a person, in one short line."""
        return f"New Relic account {self._account} ({self._place})"

    @property
    def questions_at_once(self) -> int:
        return BATCH_MOST

    @property
    def last_look(self) -> Look | None:
        """How `schemas` last counted: names and counts are kept for a minute. None: nothing was counted yet."""
        return self._catalogue.last_look

    def forget(self) -> None:
        """Names, counts and losses are asked anew when they are needed next."""
        self._catalogue.forget()
        self._losses.clear()

    def status(self) -> str:
        """What is known of it so far, in one line; nothing is asked."""
        return self._catalogue.status()

    async def aclose(self) -> None:
        """Stop what is asked behind answers; the client is closed by whoever made it."""
        await self._vocabulary.aclose()
        await self._catalogue.aclose()

    async def schemas(self) -> tuple[Schema, ...]:
        return await self._catalogue.schemas()

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        return await self._catalogue.keyset(schema)

    async def fingerprint(self, schema: str | None = None) -> str:
        """Of the names, and of the five minutes it is asked in.

        Rows arrive every second, and to ask for the newest one each time would cost as much as an answer. So whoever
        keeps an answer, here or on a disk, keeps it so long. Nothing is asked once the names are known.
        """
        names = await self._catalogue.fingerprint(schema)
        return f"{names}.{int(self._asking.clock() // STANDS_S)}"

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        return await self._vocabulary.words(schema)

    async def describe(
        self,
        schema: str,
        attributes: Sequence[str],
        *,
        exact: bool,
        within_s: float,
        progress: Progress = silent,
    ) -> Description:
        """Counts are always of all rows of the window; `exact` adds ranges and counts of odd values."""
        with self._doubting():
            described, lost = await both(
                describe_schema(self._inquiry(within_s, progress), schema, attributes, exact=exact),
                tolerated(self._losses.get("", lambda: losses.warning(self._asking, within_s=within_s))),
            )
        return replace(described, hints=(*described.hints, lost)) if isinstance(lost, str) and lost else described

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        with self._doubting():
            return await profile_attribute(self._inquiry(within_s, progress), schema, attribute, top=top)

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        with self._doubting():
            return await query.run(self._asking, text, limit=limit, offset=offset, within_s=within_s, progress=progress)

    async def familiar(self) -> Mapping[str, int]:
        """How many of the key owner's past queries read each schema; empty unless that was allowed."""
        return await self._asked_before.familiar() if self._history else {}

    async def intake(self, *, within_s: float) -> Intake:
        return await losses.intake(self._asking, within_s=within_s)

    @contextmanager
    def _doubting(self) -> Generator[None]:
        """Callers who are refused are sent to the list of sources; it must not say that all is well."""
        try:
            yield
        except (SourceUnreachable, AccessDenied):
            self._catalogue.doubt()
            raise

    def _inquiry(self, within_s: float, progress: Progress) -> Inquiry:
        asking = self._asking
        return Inquiry(asking=asking, within_s=within_s, progress=progress, window=asking.window())

"""The names of one account: event types, metrics and their attributes. Kept for a while; measures never are."""

import hashlib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sources.abilities import Look
from sources.errors import SourceError
from sources.errors import UnknownSchema
from sources.names import nearest
from sources.newrelic import listing
from sources.newrelic.answered import rows
from sources.newrelic.dictionary import Dictionary
from sources.newrelic.dictionary import Words
from sources.newrelic.graph import Graph
from sources.newrelic.kept import Kept
from sources.newrelic.listing import Counted
from sources.newrelic.names import METRICS
from sources.newrelic.names import is_usable
from sources.newrelic.names import metric_schema
from sources.newrelic.names import place_of
from sources.newrelic.together import both
from sources.newrelic.together import together
from sources.newrelic.together import tolerated
from sources.newrelic.window import Window
from sources.protocol import Attribute
from sources.protocol import Schema

_TYPES_S: Final = 60.0
"""How long the names of event types and metrics are kept, and the listing with its counts."""
_KEYSETS_S: Final = 300.0
_WITHIN_S: Final = 20.0
_METRICS_MOST: Final = 500
"""Metrics that are listed, the most frequent ones; others are answered when they are named."""
_KEYSETS_MOST: Final = 250
"""Event types whose attributes are asked for by a listing: 10 requests."""

Metrics = Mapping[str, Counted]


@dataclass(frozen=True, slots=True)
class _Listed:
    schemas: tuple[Schema, ...]
    look: Look
    is_whole: bool
    """Nothing that was asked had to be left out."""


class Catalogue:
    """Asked by many callers of one event loop at once: one look at a time, and failures are not kept.

    A look that was begun is finished even if its callers leave: it takes a few requests, and the next one wants it.

    Every method may raise `SourceUnreachable`, `AccessDenied`, `QuotaSpent` and `QueryTimeout`.
    """

    def __init__(
        self, *, graph: Graph, account: int, source: str, window: Callable[[], Window], clock: Callable[[], float]
    ) -> None:
        self._graph = graph
        self._account = account
        self._source = source
        self._window = window
        self._clock = clock
        self._last_look: Look | None = None
        self._dictionary = Dictionary(graph, clock)
        self._types: Kept[str, tuple[str, ...]] = Kept(for_s=_TYPES_S, clock=clock, finishing=True)
        self._metrics: Kept[str, Metrics] = Kept(for_s=_TYPES_S, clock=clock, finishing=True)
        self._listed: Kept[str, _Listed] = Kept(for_s=_TYPES_S, clock=clock, finishing=True)
        self._keysets: Kept[str, tuple[Attribute, ...]] = Kept(for_s=_KEYSETS_S, clock=clock, finishing=True)
        self._left_out: dict[str, int] = {}

    async def schemas(self) -> tuple[Schema, ...]:
        """Every event type and the most frequent metrics, by name: rows, range, bytes and number of attributes.

        What could not be had of one of them is None, and asked again the next time.
        """
        found = await self._listed.get("", self._list)
        if not found.is_whole:
            self._listed.forget("")
        self._last_look = found.look
        return found.schemas

    def doubt(self) -> None:
        """New Relic cannot be had just now: whoever lists next shall hear of that, and not what is kept."""
        self._listed.forget("")

    def forget(self) -> None:
        """All names and counts are asked anew; what the dictionary says of them stays."""
        for kept in (self._types, self._metrics, self._listed, self._keysets):
            kept.clear()

    @property
    def last_look(self) -> Look | None:
        """How `schemas` last counted. None: nothing was counted yet."""
        return self._last_look

    def listed(self) -> tuple[Schema, ...]:
        """As `schemas`, as far as it is kept; nothing is asked."""
        found = self._listed.found("")
        return () if found is None else found.schemas

    async def event_types(self) -> tuple[str, ...]:
        """The names of event types with rows in the window, sorted; metrics are not among them."""
        return await self._types.get("", self._ask_types)

    async def metrics(self) -> Metrics:
        """The dimensional metrics with rows in the window (at most 5,000), the most frequent first."""
        return await self._metrics.get("", self._ask_metrics)

    async def keyset(self, schema: str) -> tuple[Attribute, ...]:
        """The attributes of an event type or metric by name, with what the dictionary says. Raises `UnknownSchema`.

        Their types are `string`, `numeric` and `boolean`. Some may hold nothing. Once known, nothing is asked.
        """
        place = place_of(schema)
        known = self._keysets.found(schema)
        if known is None:
            _, known = await both(self._dictionary.words((place.event_type,)), self._known_keyset(schema))
        return listing.with_meaning(known, await self.words(place.event_type))

    async def keyset_with(self, schema: str, names: Collection[str]) -> tuple[Attribute, ...]:
        """As `keyset`, asked anew when one of the names is missing from what was kept for a minute: it may be new."""
        known = await self.keyset(schema)
        if {each.name for each in known}.issuperset(names):
            return known
        self._keysets.forget(schema, older_s=_TYPES_S)
        return await self.keyset(schema)

    def left_out(self, schema: str) -> int:
        """How many attributes its last keyset listed that no statement can name; they are in no answer."""
        return self._left_out.get(schema, 0)

    async def words(self, event_type: str) -> Words:
        """What the dictionary says about an event type. Never raises."""
        return (await self._dictionary.words((event_type,)))[event_type]

    async def fingerprint(self, schema: str | None) -> str:
        """A token of all names, or of those of one schema's attributes. Raises `UnknownSchema`."""
        if schema is not None:
            known = self._keysets.found(schema) or await self._known_keyset(schema)
            return _token(f"{each.type} {each.name}" for each in known)
        types, metrics = await both(self.event_types(), self.metrics())
        return _token([*types, *sorted(metrics)])

    def status(self) -> str:
        """What is known so far, in one line."""
        types, metrics = self._types.found(""), self._metrics.found("")
        if types is None:
            return "not looked at yet"
        told = f"{len(types)} event types"
        if metrics is None or not metrics:
            return told
        more = f" (the {_METRICS_MOST} most frequent are listed)" if len(metrics) > _METRICS_MOST else ""
        return f"{told}; {len(metrics)} metrics{more}"

    async def aclose(self) -> None:
        """End what is asked for nobody in particular."""
        for kept in (self._listed, self._keysets, self._metrics, self._types):
            await kept.aclose()

    async def _known_keyset(self, schema: str) -> tuple[Attribute, ...]:
        """Asked beside the names when those are not known, so that a first look takes one turn less."""
        if not is_usable(schema):
            raise await self._unknown(schema)
        place = place_of(schema)
        if self._types.found("") is None and place.metric is None:
            types, found = await both(self.event_types(), self._keyset(schema))
        else:
            types = await self.event_types() if place.metric is None else ()
            found = await self._keyset(schema) if place.metric is not None or schema in types else ()
        exists = bool(found) if place.metric is not None else schema in types
        if not exists:
            self._keysets.forget(schema)
            raise await self._unknown(schema)
        return found

    async def _unknown(self, schema: str) -> UnknownSchema:
        types, metrics = await both(self.event_types(), self.metrics())
        near = nearest(schema, [*types, *(metric_schema(each) for each in metrics)])
        return UnknownSchema(schema, near, within=self._window().shown)

    async def _keyset(self, schema: str) -> tuple[Attribute, ...]:
        async def load() -> tuple[Attribute, ...]:
            place = place_of(schema)
            answer = await self._graph.nrql(
                self._account,
                place.asked("keyset()", rest=f"{self._window().clause} LIMIT MAX"),
                within_s=_WITHIN_S,
                stats=False,
            )
            found = listing.attributes(rows(answer.container))
            self._left_out.pop(schema, None)
            if number := listing.left_out(rows(answer.container)):
                self._left_out[schema] = number
            if place.metric is None or not found:
                return found
            return listing.of_metric(found, place.metric, self._metrics.found("") or {})

        return await self._keysets.get(schema, load)

    async def _ask_types(self) -> tuple[str, ...]:
        text = f"SHOW EVENT TYPES {self._window().clause}"
        answer = await self._graph.nrql(self._account, text, within_s=_WITHIN_S, stats=False)
        return tuple(sorted({row["eventType"] for row in rows(answer.container) if is_usable(row.get("eventType"))}))

    async def _ask_metrics(self) -> Metrics:
        text = f"SELECT {listing.MEASURES} FROM {METRICS} {self._window().clause} FACET metricName LIMIT MAX"
        answer = await self._graph.nrql(self._account, text, within_s=_WITHIN_S, stats=False)
        found = listing.counted(rows(answer.container))
        return dict(sorted(found.items(), key=lambda each: -each[1].rows))

    async def _list(self) -> _Listed:
        window, looked_at = self._window(), self._clock()
        types, metrics = await both(self.event_types(), self.metrics())
        words, (counted, keysets) = await both(self._dictionary.words(types), self._sized(types))
        shown = [
            *(listing.event_type(self._source, each, counted, keysets.get(each), words[each]) for each in types),
            *(listing.metric(self._source, each, metrics[each]) for each in list(metrics)[:_METRICS_MOST]),
        ]
        is_whole = counted.is_whole and len(keysets) == min(len(types), _KEYSETS_MOST)
        texts = listing.shown(types, window.clause)
        look = Look(window=window.shown, queries=texts, looked_at=looked_at)
        return _Listed(tuple(sorted(shown, key=lambda each: each.name)), look, is_whole)

    async def _sized(self, types: tuple[str, ...]) -> tuple[listing.Counts, Mapping[str, int]]:
        """Counts, and how many attributes there are; of very many event types only the most frequent ones'."""
        if len(types) <= _KEYSETS_MOST:
            return await both(self._counted(types), self._keyset_sizes(types))
        counted = await self._counted(types)
        frequent = sorted(types, key=lambda each: -counted.rows(each))[:_KEYSETS_MOST]
        return counted, await self._keyset_sizes(tuple(frequent))

    async def _counted(self, types: tuple[str, ...]) -> listing.Counts:
        """One statement for about fifty event types; those of a part that fails stay unknown, unless all fail."""
        window = self._window()
        parts = [part for part in listing.parts(types) if part]
        texts = [listing.counting(part, window.clause) for part in parts]
        asked = await together(
            tolerated(self._graph.nrql(self._account, each, within_s=_WITHIN_S, stats=False)) for each in texts
        )
        return listing.counts(types, [each if isinstance(each, SourceError) else each.container for each in asked])

    async def _keyset_sizes(self, types: tuple[str, ...]) -> Mapping[str, int]:
        asked = await together(tolerated(self._keyset(each)) for each in types)
        faults = [each for each in asked if isinstance(each, SourceError)]
        if faults and len(faults) == len(asked):
            raise faults[0]
        return {
            name: len(found) for name, found in zip(types, asked, strict=True) if not isinstance(found, SourceError)
        }


def _token(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]

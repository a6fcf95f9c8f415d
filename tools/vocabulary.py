"""What ranking knows of every schema: its names at once, the words in it once they were read behind an answer."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.abilities import Gathering
from sources.errors import SourceError
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Schema
from sources.protocol import Source
from state.cache import Loaded
from state.cache import ResultCache
from tools.relevance import Document
from tools.relevance import Index
from tools.shared import WORDS
from tools.shared import shared_as

_log = logging.getLogger(__name__)

PATIENCE_S: Final = 0.2
"""How long the first ranking of a source waits for its words; later ones never do."""
_SCHEMAS: Final = 500
"""Schemas of a source whose words are read; more are ranked by their names alone."""
_VALUES: Final = 400
"""Values kept of a schema."""
_INDICES: Final = 4
_RELEVANT: Final = 8
_AT_ONCE: Final = 100
"""Larger indices take tens of milliseconds, and are made beside the event loop."""

_Place = tuple[str, str]
"""A source by its name and scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A schema of a source, as it is now."""

    source: Source
    schema: Schema
    attributes: tuple[Attribute, ...]
    own: bool = False
    """Of one principal's own history: ranked by names alone, so that nothing of it is kept here."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.attributes)

    @property
    def meanings(self) -> tuple[str, ...]:
        """What the owners wrote about the schema and its attributes."""
        return tuple(each.meaning for each in (self.schema, *self.attributes) if each.meaning is not None)


class Vocabulary:
    """Documents and indices of one process, for one event loop."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str, str], Document] = {}
        self._learned: dict[_Place, str] = {}
        """The fingerprint of the whole source at which its words were read."""
        self._learning: dict[_Place, asyncio.Task[None]] = {}
        self._indices: OrderedDict[tuple[int, ...], Index] = OrderedDict()

    async def index(self, held: Sequence[Held], cache: ResultCache, *, patience_s: float = PATIENCE_S) -> Index:
        """The index of these schemas, documents in their order.

        Words that are not read yet, or under an earlier fingerprint, are read behind this answer.
        """
        places = {(each.source.name, each.source.scope): each.source for each in held if not each.own}
        for place, source in places.items():
            names = [each.schema.name for each in held if each.source is source and each.schema.fault is None]
            self._learn(place, source, names[:_SCHEMAS], cache)
        unknown = [self._learning[place] for place in places if place not in self._learned]
        if unknown and patience_s > 0:
            await asyncio.wait(unknown, timeout=patience_s)
        return await self._indexed([self._document(each) for each in held])

    def relevant(self, source: Source, schema: str, attributes: Sequence[str], question: str) -> list[str]:
        """Those attributes of a schema that a question is about, best first, 8 at most. Never waits."""
        place = (source.name, source.scope, schema)
        known = self._documents.get(place)
        values = {} if known is None else {each.attribute: each for each in known.values}
        each_alone = [
            Document(source="", name="", attributes=(name,), values=(values[name],) if name in values else ())
            for name in attributes
        ]
        scores = Index(each_alone).scores(question)
        found = sorted((place for place, score in enumerate(scores) if score), key=lambda place: -scores[place])
        return [attributes[place] for place in found[:_RELEVANT]]

    async def settled(self) -> None:
        """Wait until nothing is being read any more."""
        while self._learning:
            await asyncio.wait(self._learning.values())

    async def aclose(self) -> None:
        """Stop reading."""
        for task in self._learning.values():
            task.cancel()
        await self.settled()

    def _learn(self, place: _Place, source: Source, names: Sequence[str], cache: ResultCache) -> None:
        if place in self._learning:
            return
        task = asyncio.get_running_loop().create_task(self._read(place, source, names, cache))
        self._learning[place] = task
        task.add_done_callback(lambda _task: self._learning.pop(place, None))

    async def _read(self, place: _Place, source: Source, names: Sequence[str], cache: ResultCache) -> None:
        """All words of a source, put in place together: each change of a document makes its index anew."""
        try:
            fingerprint = await source.fingerprint()
            if self._learned.get(place) == fingerprint:
                return
            at_once = source.questions_at_once if isinstance(source, Gathering) else 1
            words: list[tuple[AttributeWords, ...]] = []
            for start in range(0, len(names), at_once):
                asked = (_words(source, name, cache) for name in names[start : start + at_once])
                words += await asyncio.gather(*asked)
        except SourceError as fault:
            _log.info("the words of source %s cannot be read: %s", source.name, fault)
            return
        read = dict(zip(names, words, strict=True))
        for key in [key for key in self._documents if key[:2] == place and key[2] not in read]:
            del self._documents[key]
        for name, values in read.items():
            known = self._documents.get((*place, name))
            if known is None or known.values != values:
                blank = Document(source=source.name, name=name, attributes=())
                self._documents[*place, name] = replace(known or blank, values=values)
        self._learned[place] = fingerprint

    def _document(self, held: Held) -> Document:
        """The document as it was, unless the schema has changed: an index is known by its documents."""
        key = (held.source.name, "" if held.own else held.source.scope, held.schema.name)
        known = self._documents.get(key)
        empty = held.schema.rows == 0
        meanings = held.meanings
        same = known is not None and (known.attributes, known.meanings) == (held.names, meanings)
        if known is not None and same and known.empty is empty:
            return known
        made = Document(
            source=held.source.name,
            name=held.schema.name,
            attributes=held.names,
            values=() if known is None else known.values,
            meanings=meanings,
            empty=empty,
        )
        self._documents[key] = made
        return made

    async def _indexed(self, documents: Sequence[Document]) -> Index:
        key = tuple(id(document) for document in documents)  # an index holds its documents, so their ids stay theirs
        found = self._indices.get(key)
        if found is None:
            found = Index(documents) if len(documents) <= _AT_ONCE else await asyncio.to_thread(Index, documents)
            self._indices[key] = found
        self._indices.move_to_end(key)
        while len(self._indices) > _INDICES:
            self._indices.popitem(last=False)
        return found


async def _words(source: Source, schema: str, cache: ResultCache) -> tuple[AttributeWords, ...]:
    """Through the result cache, by the schema's fingerprint. A schema that cannot be read has none."""

    async def load() -> Loaded[tuple[AttributeWords, ...]]:
        values = _bounded(await source.vocabulary(schema))
        size_bytes = 200 + sum(60 + len(value) for each in values for value in each.values)
        return Loaded(value=values, size_bytes=size_bytes, tags=(f"source:{source.name}",))

    try:
        fingerprint = await source.fingerprint(schema)
        key = (source.name, source.scope, ("vocabulary", schema))
        shared = shared_as(source, ("vocabulary", schema), WORDS)
        return (await cache.get_or_load(key, load, fingerprint=fingerprint, shared=shared)).value
    except SourceError:
        return ()


def _bounded(found: Sequence[AttributeWords]) -> tuple[AttributeWords, ...]:
    most = max(4, _VALUES // max(1, len(found)))
    return tuple(replace(each, values=each.values[:most]) for each in found[:_VALUES])

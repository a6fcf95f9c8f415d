"""Tool `cache`: how well results are reused, and dropping them on request."""

from dataclasses import dataclass
from typing import Annotated
from typing import Literal

from pydantic import Field

from sources.abilities import Keeping
from state.changes import ResultsOutdated
from tools.answer import Answer
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Name
from tools.arguments import ShortText
from tools.arguments import SourceName
from tools.call import Call
from tools.errors import InvalidArgument
from tools.ports import Ports
from tools.ports import schema_tag
from tools.ports import schema_tags
from tools.ports import source_tag


class Tier(Answer):
    """Counters since the server started; `hit_share` is left out before the first call."""

    entries: int
    bytes: int
    hits: int
    misses: int
    stale_hits: int
    loads: int
    evictions: int
    hit_share: float | None = None


class SharedTier(Answer):
    """Results kept beyond this process, which were asked for when memory had none."""

    hits: int
    misses: int
    stale: int
    stored: int
    errors: int


class CacheShown(Answer):
    """`affected` counts the results that were dropped from memory; shared ones go with them."""

    memory: Tier
    shared: SharedTier | None = None
    affected: int | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """Looks at and empties the result cache; sessions are never touched."""

    ports: Ports

    async def cache(
        self,
        call: Call,
        action: Literal["status", "invalidate"],
        source: SourceName = None,
        schema: Annotated[Name | None, Field(description="only results of this schema")] = None,
        pattern: Annotated[
            ShortText | None,
            Field(description='glob over "source/schema", e.g. "*/fl*"'),
        ] = None,
    ) -> Rendered:
        """Show how the result cache does, or drop results so that the next call measures anew."""
        if action == "status":
            if source or schema or pattern:
                raise InvalidArgument('source, schema and pattern go with action="invalidate"')
            return render(CacheShown(memory=self._memory(), shared=self._shared()))
        outdated = await self._outdated(call, source, schema, pattern)
        for each in self.ports.sources:
            if isinstance(each, Keeping) and (source in (None, each.name)):
                each.forget()
        affected = self.ports.cache.invalidate(tags=outdated.tags, pattern=outdated.pattern)
        await self.ports.cache.settled()
        self.ports.outdated(outdated)  # only now: who hears of it must not find it in the shared tier any more
        return render(CacheShown(memory=self._memory(), shared=self._shared(), affected=affected))

    async def _outdated(
        self, call: Call, source: str | None, schema: str | None, pattern: str | None
    ) -> ResultsOutdated:
        if pattern is not None:
            if source or schema:
                raise InvalidArgument("pass pattern alone, or source and schema")
            return ResultsOutdated(pattern=schema_tags(pattern))
        if schema is not None:
            found = await self.ports.source_of(call, schema, source)
            await found.attributes(schema)
            return ResultsOutdated(tags=(schema_tag(found.name, schema),))
        if source is not None:
            return ResultsOutdated(tags=(source_tag(self.ports.source(call, source).name),))
        return ResultsOutdated()

    def _memory(self) -> Tier:
        seen = self.ports.cache.statistics()
        return Tier(
            entries=seen.entries,
            bytes=seen.bytes,
            hits=seen.hits,
            misses=seen.misses,
            stale_hits=seen.stale_hits,
            loads=seen.loads,
            evictions=seen.evictions,
            hit_share=None if seen.hit_share is None else round(seen.hit_share, 4),
        )

    def _shared(self) -> SharedTier | None:
        seen = self.ports.cache.statistics().shared
        if seen is None:
            return None
        return SharedTier(
            hits=seen.hits,
            misses=seen.misses,
            stale=seen.stale,
            stored=seen.stored,
            errors=seen.errors + seen.unreadable,
        )

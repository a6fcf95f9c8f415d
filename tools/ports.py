"""What discovery tools share: finding the source that has a schema, cached measuring, and noting it in the session."""

import asyncio
import logging
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Hashable
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from urllib.parse import quote

from sources.errors import SourceError
from sources.errors import UnknownSchema
from sources.names import nearest
from sources.protocol import Attribute
from sources.protocol import Schema
from sources.protocol import Source
from state.cache import Hit
from state.cache import Loaded
from state.cache import ResultCache
from state.changes import ResultsOutdated
from state.errors import StateError
from state.session import Session
from state.sessions import Sessions
from tools.answer import PREPARED
from tools.answer import Prepared
from tools.answered import Answered
from tools.call import Call
from tools.errors import InvalidArgument
from tools.errors import UnknownSource
from tools.shared import shared_as
from tools.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

Changed = Callable[[str], None]
"""Told the URI of a resource that has just changed. Never blocks, never raises."""


def session_uri(handle: str) -> str:
    """The resource that is the whole of a session."""
    return f"uds://sessions/{handle}"


def schema_uri(source: str, schema: str) -> str:
    """The resource that is what is known of a schema."""
    return f"uds://schemas/{quote(source, safe='')}/{quote(schema, safe='')}"


def source_tag(source: str) -> str:
    """The cache tag of everything that came out of a source."""
    return f"source:{source}"


def schema_tag(source: str, schema: str) -> str:
    """The cache tag of everything that was measured on a schema."""
    return f"schema:{source}/{schema}"


def schema_tags(pattern: str) -> str:
    """A pattern over cache tags from a pattern over `source/schema`."""
    return f"schema:{pattern}"


async def _has(source: Source, schema: str) -> bool | None:
    """Cheaper than asking for all it has. None: it does not answer, and may have it."""
    try:
        await source.fingerprint(schema)
    except UnknownSchema:
        return False
    except SourceError:
        return None
    return True


async def _steady(
    source: Source, schema: str | None, fingerprint: str, load: Callable[[], Awaitable[Loaded[Prepared]]]
) -> Loaded[Prepared]:
    """A load, not to be kept when the rows moved under it: what was measured then is of neither fingerprint."""
    loaded = await load()
    try:
        stands = await source.fingerprint(schema) == fingerprint
    except SourceError:
        stands = False
    return loaded if stands else replace(loaded, cacheable=False)


def _none_own(_principal: str) -> tuple[Source, ...]:
    return ()


def _told_nobody(_outdated: ResultsOutdated) -> None:
    pass


def _no_notice() -> str | None:
    return None


def _together() -> bool:
    return False


class Notes:
    """Writes what discovery calls saw into their sessions, behind the answer and never in front of it."""

    def __init__(self, sessions: Sessions, changed: Changed) -> None:
        self._sessions = sessions
        self._changed = changed
        self._pending: set[asyncio.Task[None]] = set()

    def explored(
        self, call: Call, session: str | None, *, source: str, schema: str, attributes: tuple[str, ...] = ()
    ) -> None:
        """Note that the session looked at a schema; without a session nothing is kept."""
        if session is None:
            return
        task = asyncio.get_running_loop().create_task(self._write(call, session, source, schema, attributes))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def settled(self) -> None:
        """Wait for every note that is on its way, so that a reader sees what was explored before it asked."""
        while self._pending:
            await asyncio.wait(self._pending)

    async def _write(self, call: Call, session: str, source: str, schema: str, attributes: tuple[str, ...]) -> None:
        try:
            await self._sessions.note_explored(
                session, principal=call.principal, source=source, schema=schema, attributes=attributes
            )
        except StateError as fault:
            _log.warning("a discovery call was answered but could not be noted in its session: %s", fault)
        else:
            self._changed(session_uri(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a discovery tool may reach."""

    sources: tuple[Source, ...]
    """Those that everyone may look at."""
    cache: ResultCache
    sessions: Sessions
    notes: Notes
    changed: Changed
    outdated: Callable[[ResultsOutdated], None] = _told_nobody
    """Tells every instance which results are outdated. Never blocks, never raises."""
    own: Callable[[str], tuple[Source, ...]] = _none_own
    """Sources that hold what belongs to one principal, and are seen by nobody else."""
    caching: bool = True
    """False: every call is measured anew (CACHE_TTL=0)."""
    state_notice: Callable[[], str | None] = _no_notice
    """What is wrong with where state is kept, as a sentence for a person. None: nothing."""
    alone: Callable[[], bool] = _together
    """Whether this machine goes on without the place where sessions are shared."""
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    answered: Answered = field(default_factory=Answered)

    async def session(self, call: Call, handle: str | None) -> Session | None:
        """The session of a discovery call, checked before any work is done. Raises `UnknownSession`."""
        return None if handle is None else await self.sessions.get(handle, principal=call.principal)

    def seen_by(self, call: Call) -> tuple[Source, ...]:
        """Every source the caller may look at, those with the caller's own history last."""
        return (*self.sources, *self.own(call.principal))

    def source(self, call: Call, name: str) -> Source:
        """Raises `UnknownSource`."""
        seen = self.seen_by(call)
        found = next((source for source in seen if source.name == name), None)
        if found is None:
            raise UnknownSource(name, tuple(source.name for source in seen))
        return found

    async def source_of(self, call: Call, schema: str, source: str | None) -> Source:
        """The named source, or the one that has the schema; the caller's own history only where no other has it.

        Raises `UnknownSource`, `UnknownSchema`, and `InvalidArgument` when several have it.
        """
        if source is not None:
            return self.source(call, source)
        having = await asyncio.gather(*(_has(candidate, schema) for candidate in self.sources))
        owners = [candidate for candidate, has in zip(self.sources, having, strict=True) if has]
        if len(owners) > 1:  # the same name in another account is something else
            named = " or ".join(f'"{each.name}"' for each in owners)
            raise InvalidArgument(f'several sources have a schema "{schema[:200]}": pass source={named}.')
        if owners:
            return owners[0]
        for candidate in self.own(call.principal):
            if await self.attributes_of(candidate, schema):
                return candidate
        silent = [candidate for candidate, has in zip(self.sources, having, strict=True) if has is None]
        if silent or len(self.sources) == 1:
            # asked for what it has not, it says what is near, or why it does not answer
            return [*silent, *self.sources][0]
        known = await asyncio.gather(*(self.schemas_of(candidate) for candidate in self.sources))
        raise UnknownSchema(schema, nearest(schema, [entry.name for schemas in known for entry in schemas]))

    async def schemas_of(self, source: Source) -> tuple[Schema, ...]:
        """Its schemas; a source that does not answer has none here (its status says why)."""
        try:
            return await source.schemas()
        except SourceError:
            return ()

    async def attributes_of(self, source: Source, schema: str) -> tuple[str, ...]:
        """Names of its attributes; a schema that was just removed, or cannot be read, has none here."""
        return tuple(attribute.name for attribute in await self.typed_attributes_of(source, schema))

    async def typed_attributes_of(self, source: Source, schema: str) -> tuple[Attribute, ...]:
        """As `attributes_of`, with their types."""
        try:
            return await source.attributes(schema)
        except SourceError:
            return ()

    async def measured(
        self, source: Source, schema: str | None, key: Hashable, load: Callable[[], Awaitable[Loaded[Prepared]]]
    ) -> Hit[Prepared]:
        """Answer from the cache while the schema's fingerprint stands, else measure once for all who ask."""
        if not self.caching:
            return Hit(value=(await load()).value, cached=False, age_s=0.0, tier=None)
        fingerprint = await source.fingerprint(schema)
        shared = shared_as(source, key, PREPARED)
        hit = await self.cache.get_or_load(
            (source.name, source.scope, key),
            load if shared is None else lambda: _steady(source, schema, fingerprint, load),
            fingerprint=fingerprint,
            shared=shared,
        )
        if schema is not None and hit.tier != "memory" and not source.scope:  # nobody is told what another one looks at
            self.changed(schema_uri(source.name, schema))
        return hit


def notices(ports: Ports) -> list[str]:
    """What a person should hear about where state is kept, as hints of an answer."""
    told = ports.state_notice()
    return [] if told is None else [told]

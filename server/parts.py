"""Where everything is built, in one place and one order, and taken down again: no globals, no hooks."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import field
from functools import partial

from server import __version__
from server.own_history import OwnHistories
from server.settings import Settings
from server.state_store import open_store
from server.store import Store
from sources.duckdb.source import DuckDBSource
from sources.errors import SourceError
from sources.protocol import Source
from state.cache import ResultCache
from state.changes import Changes
from state.journal import Journal
from state.sessions import Sessions
from tools.ports import Notes
from tools.ports import Ports
from tools.resources import Resources
from tools.toolbox import Tool
from tools.toolbox import toolbox

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The built server, before any protocol is put on it."""

    sources: tuple[Source, ...]
    embedded: DuckDBSource | None
    """The source that runs on this machine, for `doctor` and the limits it reports. None: there is only New Relic."""
    cache: ResultCache
    sessions: Sessions
    changes: Changes
    """What this instance tells the others that share its state, and hears of them."""
    state_notice: Callable[[], str | None]
    """What is wrong with where state is kept, for a person. None: nothing."""
    store: Store
    ports: Ports
    tools: tuple[Tool, ...]
    resources: Resources
    _watchers: list[Callable[[str], None]] = field(repr=False)

    def watch(self, changed: Callable[[str], None]) -> None:
        """Be told the URI of every resource that changes."""
        self._watchers.append(changed)


def prestart(settings: Settings) -> DuckDBSource | None:
    """Spawn the engine's first worker now, so that it starts while the protocol SDK is still being imported.

    None: no file is configured and New Relic is, so there is nothing for an engine to read.
    """
    if settings.newrelic_key is not None and not settings.paths:
        return None
    source = DuckDBSource(
        paths=settings.paths, workers=settings.workers, memory_limit_bytes=settings.memory_limit_bytes
    )
    source.prestart()
    return source


@asynccontextmanager
async def open_parts(settings: Settings, prestarted: DuckDBSource | None = None) -> AsyncGenerator[Parts]:
    """Build all parts and take them down at the end, also when the body fails or is cancelled.

    Raises `StateRefused` when the file with the state must not be touched.
    """
    async with AsyncExitStack() as stack:
        embedded = prestarted or prestart(settings)
        sources = _sources(stack, settings, embedded)
        store = await stack.enter_async_context(open_store(settings))
        cache = _cache(stack, settings, store)
        changes = _heeded(store.changes, cache)
        sessions = _sessions(store.journal, changes, settings)
        histories = OwnHistories(store.journal, sessions)
        stack.push_async_callback(histories.aclose)
        watchers: list[Callable[[str], None]] = []
        changed = partial(_tell_each, watchers)
        _warm(stack, embedded)
        notes = Notes(sessions, changed)
        stack.push_async_callback(notes.settled)
        ports = Ports(
            sources=sources,
            cache=cache,
            sessions=sessions,
            notes=notes,
            changed=changed,
            outdated=changes.publish,
            own=histories.of,
            state_notice=store.hint,
            alone=store.alone,
            caching=settings.cache_ttl_s > 0,
        )
        stack.push_async_callback(ports.vocabulary.aclose)
        yield Parts(
            sources=ports.sources,
            embedded=embedded,
            cache=cache,
            sessions=sessions,
            changes=changes,
            state_notice=store.notice,
            store=store,
            ports=ports,
            tools=toolbox(ports, query_timeout_most_s=settings.query_timeout_s),
            resources=Resources(ports),
            _watchers=watchers,
        )


def _sources(stack: AsyncExitStack, settings: Settings, embedded: DuckDBSource | None) -> tuple[Source, ...]:
    """Files first: they answer at once."""
    if embedded is not None:
        stack.push_async_callback(embedded.aclose)
    files: tuple[Source, ...] = () if embedded is None else (embedded,)
    if settings.newrelic_key is None:
        return files
    from server.newrelic import newrelic_sources  # noqa: PLC0415 - an HTTP client that most servers never need

    return (*files, *newrelic_sources(stack, settings, settings.newrelic_key))


def _cache(stack: AsyncExitStack, settings: Settings, store: Store) -> ResultCache:
    cache = ResultCache(
        clock=time.monotonic,
        ttl_s=settings.cache_ttl_s or 1.0,
        max_bytes=settings.cache_max_bytes,
        tier=store.results,
        release=__version__,
    )
    stack.push_async_callback(cache.aclose)
    return cache


def _sessions(journal: Journal, changes: Changes, settings: Settings) -> Sessions:
    life_s, most_s = settings.session_ttl_s, settings.session_max_age_s
    return Sessions(journal, clock=time.time, ttl_s=life_s, max_age_s=most_s, moved=changes.publish)


def _heeded(changes: Changes, cache: ResultCache) -> Changes:
    """The changes, with a cache that forgets what others declared outdated."""
    changes.listen(cache.hear)
    return changes


def _tell_each(watchers: list[Callable[[str], None]], uri: str) -> None:
    for watcher in watchers:
        watcher(uri)


def _warm(stack: AsyncExitStack, source: Source | None) -> None:
    """Look at what files there are while the host still says hello, so that the first question finds a catalogue.

    Files only: hosts start servers that nobody asks, and New Relic counts queries.
    """
    if source is None:
        return
    looking = asyncio.create_task(_look(source))

    async def stop() -> None:
        looking.cancel()
        await asyncio.wait([looking])

    stack.push_async_callback(stop)


async def _look(source: Source) -> None:
    try:
        await source.schemas()
    except SourceError as fault:
        _log.warning("source %s cannot be read yet: %s", source.name, fault)

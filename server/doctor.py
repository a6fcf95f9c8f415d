"""What `uds-mcp doctor` finds out: settings as understood, sources, engine limits, the state directory, versions."""

import asyncio
import platform
import time
from dataclasses import dataclass
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

from server import __version__
from server.doctor_redis import ExaminedRedis
from server.doctor_redis import examine_redis
from server.doctor_state import ExaminedState
from server.doctor_state import examine_state
from server.parts import open_parts
from server.settings import Settings
from server.settings_knobs import SettingRow
from sources.errors import SourceError
from sources.protocol import EngineLimit
from sources.protocol import Schema
from sources.protocol import Source

_PATIENCE_S = 20.0
_PACKAGES = ("mcp", "duckdb", "pydantic", "uvicorn", "cachetools", "rich", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedSource:
    """A source that was asked for its schemas."""

    name: str
    kind: str
    origin: str
    schemas: tuple[Schema, ...]
    took_ms: float
    fault: str | None
    """Why it did not answer. None: it did."""

    @property
    def ok(self) -> bool:
        """Whether it answered with something that can be read."""
        return self.fault is None and any(schema.fault is None for schema in self.schemas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Everything the doctor looked at. A limit that is not in force is named but no failure: the system lacks it."""

    settings: tuple[SettingRow, ...]
    unknown: tuple[str, ...]
    sources: tuple[ExaminedSource, ...]
    limits: tuple[EngineLimit, ...]
    state: ExaminedState
    redis: ExaminedRedis | None
    """None: the settings do not use it."""
    versions: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether the server can do its work with these settings."""
        faults = (self.state.fault, None if self.redis is None else self.redis.fault)
        return bool(self.sources) and all(source.ok for source in self.sources) and not any(faults)


def examine(settings: Settings) -> Examined:
    """Look at everything once; must be called without a running event loop."""
    return asyncio.run(_examine(settings))


async def _examine(settings: Settings) -> Examined:
    # Before anything else, and not by the server's own way in, which would put a damaged file aside.
    state = await asyncio.to_thread(examine_state, settings)
    redis = await examine_redis(settings)
    async with open_parts(replace(settings, store="memory")) as parts:
        sources = [await _examine_source(source) for source in parts.sources]
        limits = () if parts.embedded is None else parts.embedded.limits_in_force()
    return Examined(
        settings=settings.described(),
        unknown=settings.unknown,
        sources=tuple(sources),
        limits=limits,
        state=state,
        redis=redis,
        versions=_versions(),
    )


async def _examine_source(source: Source) -> ExaminedSource:
    started_s = time.perf_counter()
    schemas: tuple[Schema, ...] = ()
    fault = None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            schemas = await source.schemas()
    except TimeoutError:
        fault = f"no answer within {_PATIENCE_S:g} s"
    except SourceError as told:
        fault = str(told)
    if fault is None and not schemas:
        fault = "it holds nothing that can be read"
    return ExaminedSource(
        name=source.name,
        kind=source.kind,
        origin=source.origin,
        schemas=schemas,
        took_ms=(time.perf_counter() - started_s) * 1000,
        fault=fault,
    )


def _versions() -> tuple[tuple[str, str], ...]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    own = (("uds-mcp", __version__), ("python", platform.python_version()), ("system", system))
    return (*own, *((name, _version_of(name)) for name in _PACKAGES))


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

"""What the doctor finds out about Redis: whether it answers, how fast, and whether it keeps what it is given."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

from server.settings import Settings
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.keys import Keys
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Wire

_PATIENCE_S = 5.0
_PINGS = 20
_OLDEST = (6, 2)
"""Of Redis; every Valkey is newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedRedis:
    """Redis as it is now."""

    address: str
    """Without secrets."""
    fault: str | None
    """Why sessions cannot be shared through it now. None: they can. The server starts all the same, and heals."""
    version: str = ""
    role: str = ""
    replicas: int = 0
    latency_ms: float = 0.0
    """The median of some short commands."""
    warnings: tuple[str, ...] = ()
    """What may lose acknowledged writes one day."""


async def examine_redis(settings: Settings) -> ExaminedRedis | None:
    """Ask it. None: the settings do not use Redis."""
    if settings.store != "redis":
        return None
    address = parse(settings.redis_url or "")
    wire = open_wire(address, pool_size=1, retries=settings.redis_max_retries)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _examined(address.shown, wire, Keys(prefix=address.prefix))
    except (Away, Refused) as fault:
        return ExaminedRedis(address=address.shown, fault=f"{str(fault).rstrip('.')}. {_remedy(fault)}")
    except TimeoutError:
        return ExaminedRedis(address=address.shown, fault=f"no answer within {_PATIENCE_S:g} s")
    finally:
        await wire.aclose()


async def _examined(shown: str, wire: Wire, keys: Keys) -> ExaminedRedis:
    home = f"{keys.tag}probe"
    took_ms: list[float] = []
    for _ in range(_PINGS):
        started_s = time.perf_counter()
        await wire.call("EXISTS", home, key=home)
        took_ms.append((time.perf_counter() - started_s) * 1_000)
    told = await _told(wire, home)
    version = told.get("valkey_version") or told.get("redis_version", "")
    return ExaminedRedis(
        address=shown,
        fault=_too_old(told.get("redis_version", "")),
        version=f"{'Valkey' if 'valkey_version' in told else 'Redis'} {version}",
        role=told.get("role", ""),
        replicas=int(told.get("connected_slaves", "0")),
        latency_ms=statistics.median(took_ms),
        warnings=tuple(_warnings(told)),
    )


async def _told(wire: Wire, home: str) -> Mapping[str, str]:
    """What `INFO` says. Empty: this user may not ask for it."""
    try:
        text: bytes = await wire.call("INFO", key=home)
    except Refused:
        return {}
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _warnings(told: Mapping[str, str]) -> Iterator[str]:
    if not told:
        yield "this user may not ask INFO, so that nothing is known of how Redis keeps what it is given"
        return
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy}: Redis may throw sessions away; set it to noeviction"
    if told.get("aof_enabled") == "0":
        yield "appendonly is off: what was written since the last snapshot is lost when Redis dies; set appendonly yes"
    if told.get("connected_slaves", "0") != "0" and "min_slaves_good_slaves" not in told:
        yield "min-replicas-to-write is 0: a master cut off from its replicas goes on taking writes; set it to 1"
    if told.get("role") == "slave":
        yield "this is a replica, which takes no writes: REDIS_URL should name the master, the sentinels or the cluster"


def _too_old(version: str) -> str | None:
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):  # noqa: PLR2004 - major and minor
        return None
    if (int(parts[0]), int(parts[1])) >= _OLDEST:
        return None
    return f"Redis {version} is too old: 6.2 or later is needed"


def _remedy(fault: Away | Refused) -> str:
    if isinstance(fault, Away):
        return "Check REDIS_URL and that Redis runs. The server starts without it and joins it when it is there"
    return "Check the user of REDIS_URL and its rights; README names those it needs"

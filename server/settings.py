"""Settings: the only reader of the environment, read once at start; every fault is reported at once."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from server import settings_knobs as knobs
from server import settings_newrelic as newrelic
from server.settings_knobs import Knob
from server.settings_knobs import LogLevel
from server.settings_knobs import SettingRow
from state.journal import Quota

T = TypeVar("T")
_NOT_SHOWN = "(not shown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A variable whose value is not allowed; `value` is safe to show."""

    variable: str
    value: str
    allowed: str


class SettingsFault(Exception):
    """Some settings are not allowed; `faults` lists all of them. The operator changes the environment."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.variable}={fault.value}: allowed: {fault.allowed}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator asked for, validated. Values that name secrets appear in `described()` without them."""

    paths: tuple[Path, ...]
    """Absolute files and folders. Empty: the bundled sample."""
    store: str
    session_ttl_s: float
    session_max_age_s: float
    retention_s: float
    """0: a session's history is deleted when it ends."""
    quota: Quota
    conversation_keys: tuple[str, ...]
    """Keys of `_meta`, and `env:` before names of variables."""
    own_conversation: str | None = field(repr=False)
    """What the environment of this process names the conversation; right only where a host starts one process each."""
    cache_ttl_s: float
    """0: nothing is cached."""
    cache_max_bytes: int
    query_timeout_s: float
    memory_limit_bytes: int
    workers: int
    state_dir: Path
    """May not exist yet."""
    log_level: LogLevel
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    redis_url: str | None = field(repr=False)
    redis_max_retries: int
    redis_pool_size: int
    newrelic_key: str | None = field(repr=False)
    """None: New Relic is no source here."""
    newrelic_accounts: tuple[int, ...]
    newrelic_region: str
    """The name of a region, or the address of NerdGraph."""
    newrelic_window_s: float
    newrelic_history: bool
    """Whether the user's own past queries may be read."""
    apm: bool = False
    """Whether the agent of New Relic APM is to report on this process; it reads its own NEW_RELIC_* variables."""
    unknown: tuple[str, ...] = ()
    """Variables that look like ours (`UDS_...`) and are not: most likely misspelt."""

    def described(self) -> tuple[SettingRow, ...]:
        """Every setting in the order a reader wants, safe to print."""
        return (
            self._paths_row(),
            knobs.STORE.row(self.store),
            knobs.SESSION_TTL.row(self.session_ttl_s),
            knobs.SESSION_MAX_AGE.row(self.session_max_age_s),
            knobs.RETENTION.row(self.retention_s),
            knobs.QUOTA.row(self.quota),
            knobs.CONVERSATION_KEYS.row(self.conversation_keys),
            knobs.CACHE_TTL.row(self.cache_ttl_s),
            knobs.CACHE_MAX.row(self.cache_max_bytes // 2**20),
            knobs.QUERY_TIMEOUT.row(self.query_timeout_s),
            knobs.MEMORY_LIMIT.row(self.memory_limit_bytes),
            knobs.WORKERS.row(self.workers),
            knobs.STATE_DIR.row(self.state_dir),
            knobs.LOG_LEVEL.row(self.log_level),
            knobs.ALLOWED_HOSTS.row(self.allowed_hosts),
            knobs.ALLOWED_ORIGINS.row(self.allowed_origins),
            knobs.REDIS_URL.row(self.redis_url or ""),
            knobs.REDIS_MAX_RETRIES.row(self.redis_max_retries),
            knobs.REDIS_POOL_SIZE.row(self.redis_pool_size),
            newrelic.API_KEY.row(self.newrelic_key or ""),
            newrelic.ACCOUNT_ID.row(self.newrelic_accounts),
            newrelic.REGION.row(self.newrelic_region),
            newrelic.WINDOW.row(self.newrelic_window_s),
            newrelic.QUERY_HISTORY.row(self.newrelic_history),
        )

    def _paths_row(self) -> SettingRow:
        row = knobs.DATA.row(self.paths)
        return row if self.paths or self.newrelic_key is None else replace(row, value="none: New Relic is served")


class _Reading:
    """One pass over the environment: a value for every knob, and the faults met on the way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()
        self.faults: list[Fault] = []

    def of(self, knob: Knob[T], otherwise: T) -> T:
        """The value of the knob; `otherwise` when it is not set, empty or at fault."""
        self._known.add(knob.variable)
        text = self._environ.get(knob.variable, "").strip()
        if not text:
            return otherwise
        try:
            return knob.parse(text)
        except ValueError as error:
            # What is wrong with a secret is told by who read it, who repeats none of it.
            shown, why = (_NOT_SHOWN, f" ({error})") if knob.secret else (text[:200], "")
            self.faults.append(Fault(variable=knob.variable, value=shown, allowed=f"{knob.allowed}{why}"))
            return otherwise

    def or_default(self, knob: Knob[T]) -> T:
        return self.of(knob, knob.parse(knob.default))

    def unknown(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self._environ if name.startswith("UDS_") and name not in self._known))


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings as the variables say; an empty variable counts as not set. Raises `SettingsFault` with all faults."""
    reading = _Reading(environ)
    conversation_keys = reading.or_default(knobs.CONVERSATION_KEYS)
    settings = Settings(
        paths=reading.of(knobs.DATA, ()),
        store=reading.or_default(knobs.STORE),
        session_ttl_s=reading.or_default(knobs.SESSION_TTL),
        session_max_age_s=reading.or_default(knobs.SESSION_MAX_AGE),
        retention_s=reading.or_default(knobs.RETENTION),
        quota=reading.or_default(knobs.QUOTA),
        conversation_keys=conversation_keys,
        own_conversation=_own_conversation(environ, conversation_keys),
        cache_ttl_s=reading.or_default(knobs.CACHE_TTL),
        cache_max_bytes=reading.or_default(knobs.CACHE_MAX) * 2**20,
        query_timeout_s=reading.or_default(knobs.QUERY_TIMEOUT),
        memory_limit_bytes=reading.or_default(knobs.MEMORY_LIMIT),
        workers=reading.or_default(knobs.WORKERS),
        state_dir=reading.of(knobs.STATE_DIR, default_state_dir(environ, sys.platform)),
        log_level=reading.or_default(knobs.LOG_LEVEL),
        allowed_hosts=reading.of(knobs.ALLOWED_HOSTS, ()),
        allowed_origins=reading.of(knobs.ALLOWED_ORIGINS, ()),
        redis_url=reading.of(knobs.REDIS_URL, "") or None,
        redis_max_retries=reading.or_default(knobs.REDIS_MAX_RETRIES),
        redis_pool_size=reading.or_default(knobs.REDIS_POOL_SIZE),
        newrelic_key=reading.of(newrelic.API_KEY, "") or None,
        newrelic_accounts=reading.of(newrelic.ACCOUNT_ID, ()),
        newrelic_region=reading.or_default(newrelic.REGION),
        newrelic_window_s=reading.or_default(newrelic.WINDOW),
        newrelic_history=reading.or_default(newrelic.QUERY_HISTORY),
        apm=wants_apm(environ),
        unknown=reading.unknown(),
    )
    if settings.store == "redis":
        reading.faults += _redis_faults(environ)
    if settings.newrelic_key is not None and importlib.util.find_spec("httpx") is None:
        why = "not set; to read New Relic install the package with its extra, as uds-mcp[newrelic]"
        reading.faults.append(Fault(variable=newrelic.API_KEY.variable, value=_NOT_SHOWN, allowed=why))
    if reading.faults:
        raise SettingsFault(tuple(reading.faults))
    return settings


def _redis_faults(environ: Mapping[str, str]) -> Iterator[Fault]:
    if importlib.util.find_spec("redis") is None:
        why = "sqlite or memory; for redis install the package with its extra, as uds-mcp[redis]"
        yield Fault(variable=knobs.STORE.variable, value="redis", allowed=why)
    if not environ.get(knobs.REDIS_URL.variable, "").strip():
        missing = "an address such as redis://localhost:6379/0, because STATE_STORE_TYPE is redis"
        yield Fault(variable=knobs.REDIS_URL.variable, value="not set", allowed=missing)


def wants_apm(environ: Mapping[str, str]) -> bool:
    """Whether the APM agent was given what it cannot do without: a licence, a file that may hold one, or a rehearsal.

    Without any of them it would hold up the start and then report nothing.
    """
    keys = ("NEW_RELIC_LICENSE_KEY", "NEW_RELIC_CONFIG_FILE")
    rehearsing = environ.get("NEW_RELIC_DEVELOPER_MODE", "").strip().lower() in {"on", "true", "1"}
    return rehearsing or any(environ.get(key, "").strip() for key in keys)


def _own_conversation(environ: Mapping[str, str], keys: Sequence[str]) -> str | None:
    named = (key.removeprefix("env:") for key in keys if key.startswith("env:"))
    return next((f"{name}:{environ[name]}" for name in named if environ.get(name)), None)


def read_own_settings() -> Settings:
    """Settings of this process. Raises `SettingsFault`."""
    return read_settings(os.environ)


def default_state_dir(environ: Mapping[str, str], platform: str) -> Path:
    """Where programs of this platform keep their state for the user.

    Source: the XDG directory specification, Apple's and Microsoft's guidance for application files.
    """
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "~").expanduser()
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "uds-mcp"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "uds-mcp"
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "uds-mcp"

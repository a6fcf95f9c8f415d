"""What can be set: each variable with its default, what is allowed and what it means. Nothing is read here."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic
from typing import Literal
from typing import TypeVar

from server import settings_values as values

T = TypeVar("T")
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_LOG_LEVELS: tuple[LogLevel, ...] = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting for a person: `value` and `default` are safe to show, `unit` is empty when it has none."""

    name: str
    value: str
    default: str
    meaning: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob(Generic[T]):
    """A variable: its default text, what is allowed, and how its text and value turn into each other."""

    variable: str
    default: str
    parse: Callable[[str], T]
    shown: Callable[[T], str]
    allowed: str
    meaning: str
    unit: str = ""
    default_shown: str = ""
    """Shown instead of `default` where that is empty or differs from machine to machine."""
    secret: bool = False

    def row(self, value: T) -> SettingRow:
        return SettingRow(
            name=self.variable,
            value=self.shown(value),
            default=self.default_shown or self.default,
            meaning=self.meaning,
            unit=self.unit,
        )


DATA = Knob(
    variable="UDS_DATA",
    default="",
    default_shown="bundled sample",
    parse=values.existing_paths,
    shown=values.paths_text,
    allowed=f"existing, readable files or folders, separated by '{os.pathsep}', commas or line ends",
    meaning="Files and folders to discover: Parquet, CSV, JSON lines, DuckDB, SQLite",
    unit="paths",
)
STORE = Knob(
    variable="STATE_STORE_TYPE",
    default="sqlite",
    parse=values.one_of("sqlite", "memory", "redis"),
    shown=values.one_line,
    allowed="sqlite, memory or redis",
    meaning="Where sessions are kept: one file for all processes of this machine, this process only, or Redis for all",
)
SESSION_TTL = Knob(
    variable="SESSION_TTL",
    default="7d",
    parse=values.duration_s(1, 30 * _DAY_S),
    shown=values.duration_text,
    allowed="a duration from 1s to 30d, such as 90s, 5m, 1h or 2d",
    meaning="How long a session lives after its last use; open_session may ask for another ttl",
    unit="duration",
)
SESSION_MAX_AGE = Knob(
    variable="UDS_SESSION_MAX_AGE",
    default="90d",
    parse=values.duration_s(1, 3650 * _DAY_S),
    shown=values.duration_text,
    allowed="a duration from 1s to 3650d, such as 12h or 90d",
    meaning="How long a session lives at most, however much it is used",
    unit="duration",
)
RETENTION = Knob(
    variable="UDS_RETENTION",
    default="30d",
    parse=values.duration_s(1, 3650 * _DAY_S, zero=True),
    shown=values.duration_text,
    allowed="a duration from 1s to 3650d, such as 12h or 30d; 0 keeps nothing",
    meaning="How long the history of a session is kept after it has ended; 0 deletes it at once",
    unit="duration",
)
QUOTA = Knob(
    variable="UDS_QUOTA",
    default="1000 sessions, 1000000 events, 256MB",
    parse=values.quota,
    shown=values.quota_text,
    allowed="counts and a size such as '1000 sessions, 1000000 events, 256MB'; what is left out keeps its default",
    meaning="What the open sessions of one principal may hold together; ended ones are deleted early beyond that size",
)
CONVERSATION_KEYS = Knob(
    variable="UDS_CONVERSATION_KEYS",
    default=(
        "vscode.conversationId, openai/session, threadId, ai.opencode/sessionID, "
        "antigravity.google/conversation_id, env:CLAUDE_CODE_SESSION_ID, env:GROK_SESSION_ID"
    ),
    parse=values.conversation_keys,
    shown=values.keys_text,
    allowed="names of _meta keys, and env:NAME for variables on stdio, separated by commas; none for no such key",
    meaning="Where hosts name the conversation, so that open_session finds its session again; first match counts",
    unit="names",
)
CACHE_TTL = Knob(
    variable="CACHE_TTL",
    default="5m",
    parse=values.duration_s(1, 30 * _DAY_S, zero=True),
    shown=values.duration_text,
    allowed="a duration from 1s to 30d, such as 90s, 5m, 1h or 2d; 0 turns the cache off",
    meaning="How long memory serves an answer again while its files stay unchanged (on disk: a week); 0 turns both off",
    unit="duration",
)
CACHE_MAX = Knob(
    variable="UDS_CACHE_MAX_MB",
    default="64",
    parse=values.whole(1, 65536),
    shown=str,
    allowed="a whole number from 1 to 65536",
    meaning="Memory for answers that may be served again; the least recently used ones leave first",
    unit="MiB",
)
QUERY_TIMEOUT = Knob(
    variable="UDS_QUERY_TIMEOUT",
    default="30s",
    parse=values.duration_s(0.1, 120),
    shown=values.duration_text,
    allowed="a duration from 100ms to 120s, such as 500ms, 30s or 2m",
    meaning="The longest that run_query may run before it is stopped; descriptions and profiles get 120s",
    unit="duration",
)
MEMORY_LIMIT = Knob(
    variable="UDS_MEMORY_LIMIT",
    default="1GB",
    parse=values.size_bytes(64 * 10**6, 10**12),
    shown=values.size_text,
    allowed="a size from 64MB to 1TB, such as 512MB, 1GB or 2GiB",
    meaning="Memory for each worker of the query engine",
    unit="bytes",
)
WORKERS = Knob(
    variable="UDS_WORKERS",
    default="2",
    parse=values.whole(1, 8),
    shown=str,
    allowed="a whole number from 1 to 8",
    meaning="Queries that run at the same time; each worker is a process, started on demand",
    unit="processes",
)
STATE_DIR = Knob(
    variable="UDS_STATE_DIR",
    default="",
    default_shown="the user's state directory",
    parse=values.directory,
    shown=str,
    allowed="a directory, or a path where one can be made",
    meaning="Where the file with sessions is kept; nothing is written there while STATE_STORE_TYPE is memory",
    unit="path",
)
LOG_LEVEL: Knob[LogLevel] = Knob(
    variable="UDS_LOG_LEVEL",
    default="WARNING",
    parse=values.one_of(*_LOG_LEVELS),
    shown=values.one_line,
    allowed="DEBUG, INFO, WARNING, ERROR or CRITICAL",
    meaning="How much is logged, always to standard error",
)
ALLOWED_HOSTS = Knob(
    variable="UDS_ALLOWED_HOSTS",
    default="",
    default_shown="loopback only",
    parse=values.hosts,
    shown=values.list_text,
    allowed="host names separated by commas, each with an optional :port or :*",
    meaning="Further names under which the HTTP server may be called",
    unit="host names",
)
ALLOWED_ORIGINS = Knob(
    variable="UDS_ALLOWED_ORIGINS",
    default="",
    default_shown="loopback only",
    parse=values.origins,
    shown=values.list_text,
    allowed="origins separated by commas, such as https://example.com",
    meaning="Further web origins from which a browser may call the HTTP server",
    unit="origins",
)
REDIS_URL = Knob(
    variable="REDIS_URL",
    default="",
    default_shown="not set",
    parse=values.redis_url,
    shown=values.url_text,
    allowed="a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// address",
    meaning="Address of Redis when STATE_STORE_TYPE is redis; README tells all forms and options",
    unit="URL",
    secret=True,
)
REDIS_MAX_RETRIES = Knob(
    variable="REDIS_MAX_RETRIES",
    default="3",
    parse=values.whole(0, 20),
    shown=str,
    allowed="a whole number from 0 to 20",
    meaning="Attempts after a call to Redis that failed and may be repeated, within its deadline",
    unit="attempts",
)
REDIS_POOL_SIZE = Knob(
    variable="REDIS_POOL_SIZE",
    default="10",
    parse=values.whole(1, 1000),
    shown=str,
    allowed="a whole number from 1 to 1000",
    meaning="Connections to Redis at most; calls of one moment share one",
    unit="connections",
)

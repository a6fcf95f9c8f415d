"""Where Redis is, read from one URL: alone, behind sentinels or as a cluster; and how it is shown without secrets."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Literal
from typing import cast
from urllib.parse import parse_qsl
from urllib.parse import unquote

Kind = Literal["single", "sentinel", "cluster"]
Checked = Literal["required", "optional", "none"]
Place = tuple[str, int]
"""Host and port."""

DEADLINE_S = 0.25
_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OPTIONS = ("prefix", "socket_timeout", "sentinel_username", "sentinel_password")
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORT_MOST = 65_535
_DATABASE_MOST = 65_535
_DEADLINE_MOST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the other side is checked, and how this side shows who it is. Paths of files; None: the system's."""

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    cert_reqs: Checked = "required"
    check_hostname: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A parsed URL of Redis."""

    kind: Kind
    places: tuple[Place, ...] = ()
    """Of servers, or of sentinels. Empty: `path` is meant."""
    path: str | None = None
    """Of a socket in the file system."""
    service: str = ""
    """What sentinels call the server. Empty: there are none."""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    """None: in the clear."""
    prefix: str = "uds"
    """Of all keys of this deployment."""
    deadline_s: float = DEADLINE_S
    """Of one command, with everything that belongs to it."""
    shown: str
    """The URL without secrets and options."""


def parse(url: str) -> Address:
    """Read a URL. Raises ValueError, whose text says what is wrong and repeats no secret."""
    scheme, _, rest = url.strip().partition("://")
    if scheme not in _SCHEMES or not rest:
        raise ValueError(f"it must begin with one of {', '.join(f'{each}://' for each in _SCHEMES)}")
    kind, secure = _SCHEMES[scheme]
    rest, _, query = rest.partition("#")[0].partition("?")
    credentials, _, where = rest.rpartition("@")
    username, password = _credentials(credentials)
    options = _options(query, secure=secure)
    hosts, _, tail = ("", "", where) if scheme == "unix" else where.partition("/")
    service, database = _service_and_database(kind, tail, options, unix=scheme == "unix")
    hidden = "***@" if credentials else ""
    return Address(
        kind=kind,
        places=() if scheme == "unix" else _places(hosts, kind),
        path=_path(where) if scheme == "unix" else None,
        service=service,
        database=database,
        username=username,
        password=password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=_tls(options) if secure else None,
        prefix=_prefix(options.get("prefix", "uds")),
        deadline_s=_deadline_s(options.get("socket_timeout")),
        shown=f"{scheme}://{hidden}{where}",
    )


def _credentials(text: str) -> tuple[str | None, str | None]:
    """`user:password`, `:password` or `user`."""
    username, _, password = text.partition(":")
    return unquote(username) or None, unquote(password) or None


def _options(query: str, *, secure: bool) -> dict[str, str]:
    if "@" in query:
        raise ValueError("the characters ? # @ must be written %3F %23 %40 in its password")
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    known = {*_OPTIONS, "db", *(_TLS_OPTIONS if secure else ())}
    unknown = sorted(set(pairs) - known)
    if unknown:
        raise ValueError(f"it knows no option {', '.join(map(repr, unknown))}, only {', '.join(sorted(known))}")
    return pairs


def _service_and_database(kind: Kind, tail: str, options: Mapping[str, str], *, unix: bool) -> tuple[str, int]:
    service, tail = (tail.partition("/")[::2]) if kind == "sentinel" else ("", "" if unix else tail)
    if kind == "sentinel" and not service:
        raise ValueError("after the sentinels it must name their service, as in redis+sentinel://host:26379/mymaster")
    text = tail or options.get("db", "") or "0"
    if not text.isdecimal() or int(text) > _DATABASE_MOST:
        raise ValueError("its database must be a number, as in redis://host:6379/0")
    if kind == "cluster" and int(text):
        raise ValueError("a cluster has only the database 0")
    return unquote(service), int(text)


def _path(where: str) -> str:
    if not where.startswith("/"):
        raise ValueError("it must name a socket by its whole path, as in unix:///run/redis.sock")
    return unquote(where)


def _places(hosts: str, kind: Kind) -> tuple[Place, ...]:
    named = [each for each in hosts.split(",") if each]
    if not named:
        raise ValueError("it names no host")
    if kind == "single" and len(named) > 1:
        raise ValueError("it names several hosts: use redis+sentinel:// or redis+cluster://")
    return tuple(_place(each, _PORTS[kind]) for each in named)


def _place(text: str, port: int) -> Place:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?", text)
    if match is None or not 0 < int(match[2] or port) <= _PORT_MOST:
        raise ValueError("each of its hosts must be a name or an address with an optional port, as in host:6379")
    return match[1].strip("[]"), int(match[2] or port)


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError("its prefix must be 1 to 64 letters, digits, '-', '_' and '.'")
    return text


def _deadline_s(text: str | None) -> float:
    try:
        seconds = DEADLINE_S if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _DEADLINE_MOST_S:
        raise ValueError(f"its socket_timeout must be seconds, more than 0 and at most {_DEADLINE_MOST_S:g}")
    return seconds


def _tls(options: Mapping[str, str]) -> Tls:
    reqs = options.get("ssl_cert_reqs", "required")
    check = options.get("ssl_check_hostname", "true").lower()
    if reqs not in {"required", "optional", "none"} or check not in {"true", "false", "yes", "no", "1", "0"}:
        raise ValueError("its ssl_cert_reqs must be required, optional or none, its ssl_check_hostname true or false")
    return Tls(
        ca_certs=options.get("ssl_ca_certs"),
        certfile=options.get("ssl_certfile"),
        keyfile=options.get("ssl_keyfile"),
        cert_reqs=cast("Checked", reqs),
        check_hostname=check in {"true", "yes", "1"} and reqs != "none",
    )

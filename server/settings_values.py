"""How the text of a setting becomes a value and how the value is shown again: pure functions over text.

Each parser raises `ValueError` when the text is not allowed; what is allowed is told by the setting itself.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from state.journal import Quota

W = TypeVar("W", bound=str)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.IGNORECASE)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(KB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.IGNORECASE)
_UNITS_BYTES = {
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_META_KEY = re.compile(r"[A-Za-z0-9_./:-]{1,200}", re.ASCII)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?:\d{1,5}|\*))?")


def one_line(text: str) -> str:
    return text


def duration_s(least_s: float, most_s: float, *, zero: bool = False) -> Callable[[str], float]:
    """A parser of `500ms`, `90s`, `5m`, `1h`, `2d` or plain seconds within the range; `zero`: 0 is allowed too."""

    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError(text)
        seconds = float(match[1]) * _UNITS_S[(match[2] or "s").lower()]
        if not (least_s <= seconds <= most_s or (zero and seconds == 0)):
            raise ValueError(text)
        return seconds

    return parse


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration, exact to the millisecond: 3600 is `1h`, 90 is `90s`, 0.5 is `500ms`."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        if seconds % _UNITS_S[unit] == 0:
            return f"{seconds / _UNITS_S[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


def whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers within the range."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    return parse


def size_bytes(least: int, most: int) -> Callable[[str], int]:
    """A parser of `512MB`, `1GB` (powers of 1,000) and `1GiB` (powers of 1,024) within the range, in bytes."""

    def parse(text: str) -> int:
        match = _SIZE.fullmatch(text)
        size = round(float(match[1]) * _UNITS_BYTES[match[2].lower()]) if match else -1
        if not least <= size <= most:
            raise ValueError(text)
        return size

    return parse


def size_text(size: int) -> str:
    for unit in ("TB", "GB", "MB", "KB"):
        if size % _UNITS_BYTES[unit.lower()] == 0:
            return f"{size // _UNITS_BYTES[unit.lower()]}{unit}"
    return f"{size / 10**6:.1f}MB"


def one_of(*words: W) -> Callable[[str], W]:
    """A parser of the given words in any case; the value is the word as given here."""

    def parse(text: str) -> W:
        found = {word.lower(): word for word in words}.get(text.lower())
        if found is None:
            raise ValueError(text)
        return found

    return parse


def existing_paths(text: str) -> tuple[Path, ...]:
    """Absolute paths of existing, readable files and folders; separated by `os.pathsep`, line ends or commas.

    A comma in the name of something that exists separates nothing.
    """
    parts = (part.strip() for line in text.splitlines() for part in line.split(os.pathsep))
    pieces = (piece.strip() for part in parts for piece in ([part] if _absolute(part).exists() else part.split(",")))
    paths = tuple(dict.fromkeys(_absolute(piece) for piece in pieces if piece))
    if any(not os.access(path, os.R_OK) for path in paths):
        raise ValueError(text)
    return paths


def paths_text(paths: tuple[Path, ...]) -> str:
    return os.pathsep.join(str(path) for path in paths) or "bundled sample"


def directory(text: str) -> Path:
    """An absolute path that is a directory or does not exist yet."""
    path = _absolute(text)
    if path.exists() and not path.is_dir():
        raise ValueError(text)
    return path


def redis_url(text: str) -> str:
    from state.redis.address import parse  # noqa: PLC0415 - most servers never read one

    parse(text)
    return text


def url_text(url: str) -> str:
    """The address without password and options, any of which may be secret."""
    if not url:
        return "not set"
    from state.redis.address import parse  # noqa: PLC0415 - as above

    return parse(url).shown


def hosts(text: str) -> tuple[str, ...]:
    """Host names as a browser sends them, each with an optional port or `:*`."""
    found = _listed(text)
    if any(_HOST.fullmatch(host) is None for host in found):
        raise ValueError(text)
    return found


def origins(text: str) -> tuple[str, ...]:
    """Origins as a browser sends them: scheme, host and optional port."""
    found = _listed(text)
    for origin in found:
        scheme, _, host = origin.partition("://")
        if scheme not in {"http", "https"} or _HOST.fullmatch(host) is None:
            raise ValueError(text)
    return found


def quota(text: str) -> Quota:
    """`1000 sessions, 1000000 events, 256MB` in any order; what is left out keeps its default."""
    wanted: dict[str, int] = {}
    for part in _listed(text):
        count = re.fullmatch(r"(\d{1,12})\s*(sessions|events)", part, re.ASCII | re.IGNORECASE)
        name = count[2].lower() if count else "size_bytes"
        value = int(count[1]) if count else size_bytes(2**20, 10**13)(part)
        if value < 1 or name in wanted:
            raise ValueError(text)
        wanted[name] = value
    return Quota(**wanted)


def keys_text(keys: tuple[str, ...]) -> str:
    return ", ".join(keys) or "none"


def quota_text(quota: Quota) -> str:
    return f"{quota.sessions} sessions, {quota.events} events, {size_text(quota.size_bytes)}"


def conversation_keys(text: str) -> tuple[str, ...]:
    """Names of `_meta` keys or `env:NAME`; `none` for none."""
    if text.lower() == "none":
        return ()
    names = tuple(dict.fromkeys(_listed(text)))
    if not names or not all(_META_KEY.fullmatch(name) for name in names):
        raise ValueError(text)
    return names


def list_text(entries: tuple[str, ...]) -> str:
    return ", ".join(entries) or "loopback only"


_ACCOUNTS_MOST = 20
_ACCOUNT_DIGITS_MOST = 12
_REGIONS = ("US", "EU", "JP", "GOV")
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d{1,5})?(/\S*)?", re.ASCII)
_HTTPS = re.compile(r"https://[A-Za-z0-9_.-]+(:\d{1,5})?(/\S*)?", re.ASCII)


def secret(text: str) -> str:
    """A key: printable, without blanks, of a length that keys have."""
    if not re.fullmatch(r"[!-~]{8,200}", text):
        raise ValueError("blanks, or too short for a key")
    return text


def secret_text(text: str) -> str:
    return "set (not shown)" if text else "not set"


def account_ids(text: str) -> tuple[int, ...]:
    """Numbers separated by commas, each once, 20 at most."""
    found = tuple(dict.fromkeys(_listed(text)))
    if not 1 <= len(found) <= _ACCOUNTS_MOST:
        raise ValueError(text)
    if not all(re.fullmatch(rf"[1-9]\d{{0,{_ACCOUNT_DIGITS_MOST}}}", each, re.ASCII) for each in found):
        raise ValueError(text)
    return tuple(int(each) for each in found)


def account_ids_text(accounts: tuple[int, ...]) -> str:
    return ", ".join(str(each) for each in accounts) or "not set"


def region(text: str) -> str:
    """The name of a region, or an address of NerdGraph; plain HTTP would give the key away, but on this machine."""
    if text.upper() in _REGIONS:
        return text.upper()
    if _HTTPS.fullmatch(text) or _LOOPBACK.fullmatch(text):
        return text
    raise ValueError(text)


def switch(text: str) -> bool:
    return one_of("on", "off")(text) == "on"


def switch_text(*, on: bool) -> str:
    return "on" if on else "off"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _absolute(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as no_home:  # what pathlib raises for ~ when nobody's home is known
        raise ValueError(text) from no_home

"""How much a session may hold, and the checks of single values against that."""

import json
import math
from dataclasses import dataclass
from typing import Any

from state.errors import InvalidValue
from state.errors import OverLimit

ANOTHER = "Open another with parent set to this one, and go on there."
_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one session; what all sessions of a principal may hold is the journal's `Quota`."""

    events: int = 10_000
    """Kept of a session; beyond that the older ones are compacted."""
    session_bytes: int = 8 * 2**20
    """All kept events of a session at rest; beyond that the older ones are compacted."""
    value_bytes: int = 16 * 2**10
    """One value as JSON."""
    key_chars: int = 200
    label_chars: int = 200
    goal_chars: int = 2_000
    evidence_chars: int = 4_000
    goals: int = 200
    findings: int = 1_000
    context: int = 500
    preferences: int = 500
    explored: int = 2_000
    attributes: int = 5_000
    """Kept per explored schema; more are not noted."""
    levels: int = 3
    """Of sessions opened under one another, the first included."""


def checked_value(value: Any, most_bytes: int) -> Any:
    """The value as JSON gives it back: the caller's own objects are never kept.

    Raises `InvalidValue`, `OverLimit`.
    """
    if _is_small(value, most_bytes):
        return value
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size_bytes = len(text.encode())
    except (TypeError, ValueError, RecursionError) as fault:
        raise InvalidValue(
            "the value is not JSON: use text, finite numbers, booleans, null, lists and objects"
        ) from fault
    if size_bytes > most_bytes:
        raise OverLimit(
            f"the value is {size_bytes} bytes as JSON, {most_bytes} at most. Keep a summary, or split it over keys."
        )
    kept = json.loads(text)
    if _depth(kept) > _DEPTH:
        raise InvalidValue(f"the value is nested more than {_DEPTH} levels deep: flatten it")
    return kept


def _is_small(value: Any, most_bytes: int) -> bool:
    """Whether it is JSON that needs no further look: a short text of printable characters, or no container at all."""
    if type(value) is str:
        return len(value) * _CHAR_BYTES_MOST < most_bytes and value.isprintable()
    return value is None or value is True or value is False


_CHAR_BYTES_MOST = 6
"""As JSON: a printable character takes at most four bytes, and a quote or backslash two."""


def checked_text(name: str, text: str | None, most_chars: int) -> str | None:
    """The text without surrounding blanks; None when nothing is left of it. Raises `InvalidValue`, `OverLimit`."""
    if not text:
        return None
    kept = text.strip()
    if not kept.isprintable():
        _refuse_surrogates(name, kept)
    if len(kept) > most_chars:
        raise OverLimit(f"{name} has {len(kept)} characters, {most_chars} at most. Shorten it.")
    return kept or None


def checked_ttl_s(ttl_s: float | None, *, default_s: float, most_s: float) -> float:
    """How long a session may be idle, in seconds. None: the default. Raises `InvalidValue`."""
    if ttl_s is None:
        return default_s
    if not math.isfinite(ttl_s) or not 0 < ttl_s <= most_s:
        raise InvalidValue(f"ttl is {ttl_s:g} s: pass more than 0 and at most {most_s:g} s ({most_s / 86_400:g} days)")
    return ttl_s


def room(held: int, most: int, what: str, remedy: str) -> None:
    """Raises `OverLimit` when `held` has reached `most`."""
    if held >= most:
        raise OverLimit(f"{most} {what} are the most. {remedy}")


def _refuse_surrogates(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise InvalidValue(f"{name} is not valid Unicode text") from fault


def _depth(value: Any) -> int:
    level = [value]
    depth = 0
    while level:
        depth += 1
        level = [inner for each in level for inner in _inside(each)]
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any JSON
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] - any JSON

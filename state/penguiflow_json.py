"""Anything that Penguiflow hands over, as JSON that a journal keeps: never a pickle, and never refused for its type."""

import json
import math
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from dataclasses import is_dataclass
from datetime import date
from enum import Enum
from typing import Any
from typing import Final

_DEPTH_MOST: Final = 64


def plain(value: Any, depth: int = _DEPTH_MOST) -> Any:
    """The value as JSON. What is JSON already comes back equal.

    Models and dataclasses become objects, sets lists, instants RFC 3339 texts, numbers that are not finite null, and
    what has no form in JSON, or lies deeper than 64 levels, its text.
    """
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if value is None or isinstance(value, bool | int | float | str):
        return _scalar(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    return _nested(value, depth - 1) if depth else _text(str(value))


def written(value: Any) -> str:
    """JSON as one line whose text is the same for equal values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _scalar(value: float | str | None) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _text(value) if isinstance(value, str) else value


def _nested(value: Any, depth: int) -> Any:
    fields_of = _fields(value)
    if fields_of is not None:
        return {_text(str(plain(key))): plain(each, depth) for key, each in fields_of.items()}
    if isinstance(value, AbstractSet):  # its own order differs from process to process
        return sorted((plain(each, depth) for each in _all(value)), key=written)
    if isinstance(value, Sequence):
        return [plain(each, depth) for each in _all(value)]
    return _text(str(value))


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """Its parts by name. None: it has none."""
    if isinstance(value, Mapping):
        return value  # pyright: ignore[reportUnknownVariableType] - any mapping
    if isinstance(value, type):
        return None
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return None


def _all(values: Any) -> list[Any]:
    return list(values)


def _text(text: str) -> str:
    """Half a surrogate pair, as models sometimes cut them, cannot be stored: a question mark stands in its place."""
    return text if text.isascii() else text.encode(errors="replace").decode()

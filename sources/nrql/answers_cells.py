"""How a value of an answer becomes a cell: safe JSON, instants as RFC 3339, and the type a column is said to have."""

import math
import re
from collections.abc import Iterable
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from typing import Final
from typing import cast

from sources.protocol import Json

CELL_CHARS: Final = 4_000
NAME_CHARS: Final = 200
SAFE_INTEGER: Final = 2**53 - 1
_DEPTH: Final = 8
_ITEMS: Final = 200
_ELLIPSIS: Final = "\u2026"
_TYPES: Final[dict[type, str]] = {bool: "boolean", int: "numeric", float: "numeric", list: "list", dict: "object"}
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, which is as far as RFC 3339 goes."""


class Cells:
    """Converts the values of one answer, and remembers in `cut` whether any had to be shortened."""

    __slots__ = ("cut",)

    def __init__(self) -> None:
        self.cut = False

    def json(self, value: object, depth: int = 0) -> Json:
        """The JSON value, as documented at `sources.protocol.Json`."""
        match value:
            case None | bool():
                return value
            case int():
                return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
            case float():
                return value if math.isfinite(value) else _unreal(value)
            case list() | dict():
                return self._nested(cast("list[object] | dict[object, object]", value), depth)
            case _:
                return self.text(str(value))

    def text(self, value: str) -> str:
        """Text without control characters (newline and tab stay); half of a surrogate pair becomes `?`."""
        if len(value) > CELL_CHARS:
            self.cut = True
            value = value[: CELL_CHARS - 1] + _ELLIPSIS
        cleaned = _CONTROLS.sub("", value)
        return cleaned if cleaned.isascii() else cleaned.encode("utf-8", "replace").decode()

    def name(self, value: str, *, most: int = NAME_CHARS) -> str:
        """A name, or what is quoted in a sentence of ours: one line, without signs that turn or hide others."""
        value = value[: 2 * most]
        if not value.isprintable():
            value = "".join(sign if sign.isprintable() else " " * sign.isspace() for sign in value)
        return self.text(value)[:most]

    def _nested(self, value: list[object] | dict[object, object], depth: int) -> Json:
        if depth == _DEPTH:
            self.cut = True
            return _ELLIPSIS
        self.cut = self.cut or len(value) > _ITEMS
        if isinstance(value, dict):
            kept = list(value.items())[:_ITEMS]
            return {self.text(str(key)): self.json(item, depth + 1) for key, item in kept}
        shown = [self.json(item, depth + 1) for item in value[:_ITEMS]]
        return [*shown, f"{_ELLIPSIS} ({len(value)} items)"] if len(value) > _ITEMS else shown


def instant(ms: object) -> str | None:
    """RFC 3339 in UTC for milliseconds since 1970. None: it is no such number."""
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms <= _LATEST_MS:
        return None
    whole_s, rest_ms = divmod(round(ms), 1_000)
    shown = datetime.fromtimestamp(whole_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{shown}.{rest_ms:03d}Z" if rest_ms else f"{shown}Z"


def instants(values: Sequence[object]) -> list[str | None] | None:
    """All of a column as RFC 3339. None: something in it is no instant, or there is nothing in it."""
    shown = [instant(value) for value in values]
    unreadable = any(text is None and value is not None for text, value in zip(shown, values, strict=True))
    return None if unreadable or not any(shown) else shown


def type_of(values: Iterable[object], otherwise: str) -> str:
    """The one type of all values that are not null, `mixed` for several, `otherwise` for none."""
    seen = {_TYPES.get(kind, "string") for kind in set(map(type, values)) if kind is not type(None)}
    if len(seen) > 1:
        return "mixed"
    return seen.pop() if seen else otherwise


def _unreal(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def plain(values: Sequence[object], cells: Cells) -> list[Json]:
    """A column as safe JSON."""
    return [_as_it_is(value) or cells.json(value) for value in values]


def _as_it_is(value: object) -> Json:
    """A value that is safe as it stands, which most are. None: it has to be looked at."""
    kind = type(value)
    if kind is str:
        text = cast("str", value)
        return text if text.isascii() and text.isprintable() and len(text) <= CELL_CHARS else None
    if kind is int:
        return cast("int", value) if -SAFE_INTEGER <= cast("int", value) <= SAFE_INTEGER else None
    return None

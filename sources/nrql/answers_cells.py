"""How a value of an answer becomes a cell: safe JSON, instants as RFC 3339, and the type a column is said to have."""

from collections.abc import Iterable
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from typing import Final

from sources.duckdb.values import Converter
from sources.protocol import Json

CELL_CHARS: Final = 4_000
NAME_CHARS: Final = 200
_EARLIEST_MS: Final = 0
_LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, which is as far as RFC 3339 goes."""


class Cells(Converter):
    """Converts the values of one answer; half of a surrogate pair, which no client could read, becomes `?`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(CELL_CHARS)

    def text(self, value: str) -> str:
        cleaned = super().text(value)
        return cleaned if cleaned.isascii() else cleaned.encode("utf-8", "replace").decode()

    def name(self, value: str) -> str:
        """A name of a column: as text, and shorter."""
        return self.text(value)[:NAME_CHARS]


def instant(ms: object) -> str | None:
    """RFC 3339 in UTC for milliseconds since 1970. None: it is no such number."""
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not _EARLIEST_MS <= ms <= _LATEST_MS:
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
    seen = {_type(value) for value in values if value is not None}
    if len(seen) > 1:
        return "mixed"
    return seen.pop() if seen else otherwise


def _type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "numeric"
        case list():
            return "list"
        case dict():
            return "object"
        case _:
            return "string"


def plain(values: Sequence[object], cells: Cells) -> list[Json]:
    """A column as safe JSON."""
    return [cells.json(value) for value in values]

"""What kinds of values a row may hold: SQLite itself does not mind a damaged one."""

import sqlite3
from collections.abc import Sequence
from types import NoneType
from typing import Any
from typing import Final

Kinds = tuple[tuple[type, ...], ...]
"""Each a kind for every column; a row is of one of them."""

STANDING: Final[Kinds] = (
    (int, int, str, float, float, NoneType, int, int),
    (int, int, str, float, float, float, int, int),
)
ROW: Final[Kinds] = (
    (int, str, str, float, float, NoneType, int, str, bytes, int, int),
    (int, str, str, float, float, float, int, str, bytes, int, int),
)
EVENT: Final[Kinds] = ((int, str, bytes, bytes, bytes, bytes), (int, str, NoneType, NoneType, bytes, bytes))
CHECKPOINT: Final[Kinds] = ((int, str, bytes, bytes),)
OWNED: Final[Kinds] = ((str, float, float),)
ENDED: Final[Kinds] = ((str, float),)


def checked(values: Sequence[Any], kinds: Kinds) -> Sequence[Any]:
    """The values. Raises `sqlite3.DatabaseError` if they are of other kinds than were ever written."""
    if tuple(map(type, values)) not in kinds:
        raise sqlite3.DatabaseError("a row holds values of other kinds than were ever written")
    return values

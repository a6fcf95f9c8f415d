"""Statements over many rows with few calls: each call lets other threads run, and getting back in can take long.

A thread that is busy with Python keeps the interpreter for 5 ms at a time; one call per row would cost that per row.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any
from typing import Final

_SIZES: Final = (64, 16, 4, 1)
"""Rows per call. Each has a text of its own, which SQLite compiles once."""


@dataclass(frozen=True, slots=True)
class Many:
    """A statement with the place `{rows}`, where rows of `width` values go."""

    text: str
    width: int

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Nothing happens for no rows."""
        done = 0
        for size in _SIZES:
            while len(rows) - done >= size:
                values = tuple(chain.from_iterable(rows[done : done + size]))
                connection.execute(_text(self, size), values)
                done += size


@cache
def _text(statement: Many, size: int) -> str:
    row = f"({', '.join('?' * statement.width)})"
    return statement.text.replace("{rows}", ", ".join([row] * size))

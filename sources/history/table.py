"""One schema as Parquet files in a folder of its own: parts that only grow, and one that is written anew each time."""

from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sources.history.parquet import ParquetFile
from sources.history.parquet import Row
from sources.protocol import Attribute

_GROUP_ROWS: Final = 5_000
_GROUP_CHARS: Final = 2 * 2**20
"""Whichever comes first ends a row group, and what is kept in memory of the rows that are still to come."""


class Table:
    """Blocking; used by one thread at a time. Between `clear` or a first change and `settle` the files do not fit."""

    def __init__(self, folder: Path, name: str, attributes: Sequence[Attribute]) -> None:
        self._folder = folder / name
        self._standing = self._folder / f"{name}.parquet"  # a folder with one file is a schema of the file's name
        self._attributes = attributes
        self._parts = 0
        self._tail = _Pending()
        self._fresh = _Pending()
        self._writing: ParquetFile | None = None

    def clear(self) -> None:
        """Remove every row."""
        if self._writing is not None:
            self._writing.abandon()
            self._writing = None
        self._folder.mkdir(exist_ok=True)
        for path in self._folder.iterdir():
            path.unlink()
        self._parts = 0
        self._tail, self._fresh = _Pending(), _Pending()

    def grow(self, rows: Iterable[Row]) -> None:
        """Add rows that stay."""
        for row in rows:
            self._tail.add(row)
            if self._tail.is_full:
                self._parts += 1
                self._put(f"part_{self._parts:05}.parquet", self._tail.rows)
                self._tail = _Pending()

    def renew(self, rows: Iterable[Row]) -> None:
        """Add rows that stay until the next `settle` but one: each round names all of them again."""
        for row in rows:
            self._fresh.add(row)
            if self._fresh.is_full:
                self._drain()

    def settle(self) -> None:
        """Put the files in place: from now on they hold exactly what was added."""
        self._drain()
        if self._writing is not None:
            self._writing.close()
            self._writing = None
            self._unfinished.replace(self._standing)
        if self._tail.rows:
            self._put("tail.parquet", self._tail.rows)
        else:
            (self._folder / "tail.parquet").unlink(missing_ok=True)

    @property
    def _unfinished(self) -> Path:
        return self._standing.with_suffix(".tmp")

    def _drain(self) -> None:
        if self._writing is None:
            self._writing = ParquetFile(self._unfinished, self._attributes)
        self._writing.write(self._fresh.rows)
        self._fresh = _Pending()

    def _put(self, name: str, rows: Sequence[Row]) -> None:
        unfinished = self._folder / f"{name}.tmp"
        with ParquetFile(unfinished, self._attributes) as made:
            made.write(rows)
        unfinished.replace(self._folder / name)


class _Pending:
    """Rows that wait for enough others to make a row group."""

    __slots__ = ("chars", "rows")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.chars = 0

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.chars += sum(len(value) for value in row if isinstance(value, str))

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= _GROUP_ROWS or self.chars >= _GROUP_CHARS

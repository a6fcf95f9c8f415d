"""Records straight off the pages of a damaged file, where SQLite does not find its way to them any more.

What is read here may be old or torn: only a chain that verifies makes it worth anything.
Source: SQLite's documentation of its file format, sections 1.6 (pages), 2.1 (records) and 4.1 (the log).
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from state.chain import Stored
from state.sqlite.records import Kept
from state.sqlite.records import NotARow
from state.sqlite.records import Row
from state.sqlite.records import kept_of
from state.sqlite.records import row_of
from state.sqlite.records import stored_of

_INDEX_INNER: Final = 0x02
_INDEX_LEAF: Final = 0x0A
_TABLE_LEAF: Final = 0x0D
_CELLS_AT: Final = {_INDEX_INNER: 12, _INDEX_LEAF: 8, _TABLE_LEAF: 8}
"""Where the list of cells begins on a page of this kind. Other pages hold no records of ours."""
_SESSION_COLUMNS: Final = 14
_EVENT_COLUMNS: Final = 7
_CHECKPOINT_COLUMNS: Final = 5
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FLOAT: Final = 7
_ZERO: Final = 8
_ONE: Final = 9
_BLOB: Final = 12
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAYLOAD_MOST: Final = 2**30

_Value = int | float | bytes | str | None


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where a record begins: how long it is, and at which place of which page."""

    size_bytes: int
    page: int
    at: int
    on_table: bool


class Pages:
    """All records of sessions, events and checkpoints that any page of the file and its log still holds."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self._file = path.open("rb")
        log = path.with_name(f"{path.name}-wal")
        self._log = log.open("rb") if log.exists() else None
        self._in_log = self._newest_in_log()
        self._rows: dict[int, _Cell] = {}
        self._events: dict[int, dict[int, _Cell]] = {}
        self._checkpoints: dict[int, dict[int, _Cell]] = {}
        for page in range(2, max(path.stat().st_size // page_bytes, *self._in_log, 1) + 1):
            for cell in self._cells(page):
                with suppress(IndexError, ValueError, TypeError, struct.error):
                    self._note(cell)

    def close(self) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def numbers(self) -> set[int]:
        """Of all sessions of which there is a trace."""
        return self._rows.keys() | self._events.keys()

    def row(self, n: int) -> Row | None:
        """None: no page holds it."""
        with suppress(KeyError, IndexError, ValueError, TypeError, struct.error):
            return row_of(tuple(self._values(self._rows[n])[1:]))
        return None

    def events(self, n: int) -> Iterator[Stored]:
        """In no order."""
        for cell in self._events.get(n, {}).values():
            with suppress(IndexError, ValueError, TypeError, struct.error):
                _, version, nonce, salt, content, digest, link = self._values(cell)
                raw = content.encode(errors="surrogateescape") if isinstance(content, str) else content
                yield stored_of((version, nonce, salt, raw, digest, link))

    def checkpoints(self, n: int) -> Iterator[Kept]:
        """In no order."""
        for cell in self._checkpoints.get(n, {}).values():
            with suppress(IndexError, ValueError, TypeError, struct.error):
                yield kept_of(tuple(self._values(cell)[1:]))

    def _note(self, cell: _Cell) -> None:
        """Remember where the record is, if it may be one of ours."""
        page, at = self._page(cell.page), cell.at
        rowid, at = _varint(page, at) if cell.on_table else (0, at)
        kinds, at = _kinds(page, at)
        if len(kinds) == _SESSION_COLUMNS:
            self._rows[rowid] = cell
            return
        noted = {_EVENT_COLUMNS: self._events, _CHECKPOINT_COLUMNS: self._checkpoints}.get(len(kinds))
        if noted is None:
            return
        n, at = _value(page, at, kinds[0])
        version, at = _value(page, at, kinds[1])
        if isinstance(n, int) and isinstance(version, int):
            noted.setdefault(n, {})[version] = cell

    def _cells(self, page: int) -> Iterator[_Cell]:
        raw = self._page(page)
        kind = raw[0] if raw else 0
        begin = _CELLS_AT.get(kind)
        if begin is None:
            return
        for place in range(int.from_bytes(raw[3:5])):
            at = int.from_bytes(raw[begin + 2 * place : begin + 2 * place + 2])
            with suppress(IndexError):
                size_bytes, at = _varint(raw, at + 4 if kind == _INDEX_INNER else at)
                if size_bytes < _PAYLOAD_MOST:
                    yield _Cell(size_bytes, page, at, kind == _TABLE_LEAF)

    def _values(self, cell: _Cell) -> list[_Value]:
        page, at = self._page(cell.page), cell.at
        if cell.on_table:
            _, at = _varint(page, at)
        payload = self._payload(page, at, cell)
        kinds, at = _kinds(payload, 0)
        values: list[_Value] = []
        for kind in kinds:
            value, at = _value(payload, at, kind)
            values.append(value)
        if at > len(payload):
            raise NotARow
        return values

    def _payload(self, page: bytes, at: int, cell: _Cell) -> bytes:
        """The record with what of it lies on overflow pages."""
        here = _bytes_here(cell.size_bytes, self._page_bytes, on_table=cell.on_table)
        payload = page[at : at + here]
        after = int.from_bytes(page[at + here : at + here + 4]) if here < cell.size_bytes else 0
        while after and len(payload) < cell.size_bytes:
            overflow = self._page(after)
            if not overflow:
                raise NotARow
            payload += overflow[4:]
            after = int.from_bytes(overflow[:4])
        return payload[: cell.size_bytes]

    def _page(self, number: int) -> bytes:
        at = self._in_log.get(number)
        if at is not None and self._log is not None:
            self._log.seek(at)
            return self._log.read(self._page_bytes)
        self._file.seek((number - 1) * self._page_bytes)
        return self._file.read(self._page_bytes)

    def _newest_in_log(self) -> dict[int, int]:
        """Where in the log each page lies as the last commit left it."""
        if self._log is None:
            return {}
        salts = self._log.read(_LOG_HEADER)[16:24]
        committed: dict[int, int] = {}
        waiting: dict[int, int] = {}
        while len(header := self._log.read(_FRAME_HEADER)) == _FRAME_HEADER and header[8:16] == salts:
            waiting[int.from_bytes(header[:4])] = self._log.tell()
            if int.from_bytes(header[4:8]):
                committed |= waiting
                waiting = {}
            self._log.seek(self._page_bytes, 1)
        return committed


def _bytes_here(size_bytes: int, page_bytes: int, *, on_table: bool) -> int:
    """How much of a record lies on its own page."""
    most = page_bytes - 35 if on_table else (page_bytes - 12) * 64 // 255 - 23
    least = (page_bytes - 12) * 32 // 255 - 23
    if size_bytes <= most:
        return size_bytes
    here = least + (size_bytes - least) % (page_bytes - 4)
    return here if here <= most else least


def _kinds(record: bytes, at: int) -> tuple[list[int], int]:
    """The kinds of the values of a record, and where the first of them begins."""
    begin = at
    length, at = _varint(record, at)
    kinds: list[int] = []
    while at < begin + length:
        kind, at = _varint(record, at)
        kinds.append(kind)
    return kinds, at


def _value(record: bytes, at: int, kind: int) -> tuple[_Value, int]:
    """A value, and where the next one begins."""
    if kind in _INTEGER_BYTES:
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(record[at:end], signed=True), end
    if kind == _FLOAT:
        return struct.unpack(">d", record[at : at + 8])[0], at + 8
    if kind in {_ZERO, _ONE}:
        return kind - _ZERO, at
    if kind < _BLOB:
        return None, at
    end = at + (kind - _BLOB) // 2
    raw = record[at:end]
    return (raw.decode(errors="surrogateescape") if kind % 2 else raw), end


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, and where it ends. `IndexError`: it does not."""
    value = 0
    for place in range(8):
        byte = raw[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the bit that says there is more
            return value, at + place + 1
    return value << 8 | raw[at + 8], at + 9

"""Rows as a Parquet file: three types, plain values, one page for each attribute and row group.

The server may not load the engine, and every other format it could write leaves the types to guessing: a label that
looks like a date would make a date of its whole attribute. Source: the Apache Parquet format (parquet.thrift, plain
encoding, definition levels in the RLE/bit-packed hybrid) and Thrift's compact protocol.
"""

import struct
from collections.abc import Iterable
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path
from typing import Final
from typing import Self

from sources.protocol import Attribute

Row = tuple[str | int | float | None, ...]
"""Values in the order of the attributes; an instant is in seconds since 1970."""

_MAGIC: Final = b"PAR1"
_INT64, _BYTES = 2, 6
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_PLAIN, _RLE = 0, 3
_OPTIONAL: Final = 1
_SHORT_LIST: Final = 15
_STORED: Final = {"BIGINT": (_INT64, None), "TIMESTAMP": (_INT64, 10), "VARCHAR": (_BYTES, 0)}
"""The engine's type -> Parquet's, and what the format calls its converted type. 10: microseconds since 1970."""

_Field = tuple[int, int, bytes]


class ParquetFile:
    """A file that is written from front to back. Blocking; it is complete only after `close`.

    `with` closes it, or leaves it incomplete when the body fails.
    """

    def __init__(self, path: Path, attributes: Sequence[Attribute]) -> None:
        self._attributes = attributes
        self._groups: list[bytes] = []
        self._rows = 0
        self._file = path.open("wb")
        self._file.write(_MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows as a row group of their own; thousands at a time are read fastest."""
        if not rows:
            return
        start = self._file.tell()
        chunks = list(starmap(self._chunk, zip(self._attributes, zip(*rows, strict=True), strict=True)))
        self._groups.append(
            _struct(_list(1, _STRUCT, chunks), _i64(2, self._file.tell() - start), _i64(3, len(rows))),
        )
        self._rows += len(rows)

    def close(self) -> None:
        """Write what the file holds, and where, behind the rows."""
        named = [_struct(_text(4, "rows"), _i32(5, len(self._attributes))), *map(_element, self._attributes)]
        footer = _struct(
            _i32(1, 1),
            _list(2, _STRUCT, named),
            _i64(3, self._rows),
            _list(4, _STRUCT, self._groups),
            _text(6, "uds-mcp"),
        )
        self._file.write(footer + struct.pack("<I", len(footer)) + _MAGIC)
        self._file.close()

    def abandon(self) -> None:
        """Leave it incomplete: no reader will take it for a Parquet file."""
        self._file.close()

    def _chunk(self, attribute: Attribute, values: Sequence[str | int | float | None]) -> bytes:
        """Write the values of one attribute and say where they are."""
        stored, _ = _STORED[attribute.type]
        there = [value for value in values if value is not None]
        body = _levels(values) + (_texts(there) if stored == _BYTES else _numbers(there, attribute.type))
        counted = _struct(_i32(1, len(values)), _i32(2, _PLAIN), _i32(3, _RLE), _i32(4, _RLE))
        head = _struct(_i32(1, 0), _i32(2, len(body)), _i32(3, len(body)), (5, _STRUCT, counted))
        at, size_bytes = self._file.tell(), len(head) + len(body)
        self._file.write(head)
        self._file.write(body)
        described = _struct(
            _i32(1, stored),
            _list(2, _I32, [_zigzag(_PLAIN), _zigzag(_RLE)]),
            _list(3, _BINARY, [_binary(attribute.name)]),
            _i32(4, 0),
            _i64(5, len(values)),
            _i64(6, size_bytes),
            _i64(7, size_bytes),
            _i64(9, at),
            (12, _STRUCT, _struct(_i64(3, len(values) - len(there)))),
        )
        return _struct(_i64(2, at), (3, _STRUCT, described))


def _element(attribute: Attribute) -> bytes:
    stored, converted = _STORED[attribute.type]
    fields = [_i32(1, stored), _i32(3, _OPTIONAL), _text(4, attribute.name)]
    return _struct(*fields, *(() if converted is None else (_i32(6, converted),)))


def _levels(values: Sequence[object]) -> bytes:
    """Which values are there: one bit each, packed into a single run."""
    bits = bytearray(-(-len(values) // 8))
    for place, value in enumerate(values):
        if value is not None:
            bits[place >> 3] |= 1 << (place & 7)
    run = _varint(len(bits) << 1 | 1) + bits
    return struct.pack("<I", len(run)) + run


def _numbers(values: Iterable[str | int | float], kind: str) -> bytes:
    factor = 1_000_000 if kind == "TIMESTAMP" else 1
    whole = [round(float(value) * factor) if factor > 1 else int(value) for value in values]
    return struct.pack(f"<{len(whole)}q", *whole)


def _texts(values: Iterable[str | int | float]) -> bytes:
    encoded = [str(value).encode() for value in values]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _struct(*fields: _Field) -> bytes:
    out = bytearray()
    last = 0
    for number, kind, value in fields:
        out.append((number - last) << 4 | kind)
        out += value
        last = number
    return bytes(out) + b"\0"


def _list(number: int, kind: int, items: Sequence[bytes]) -> _Field:
    short = len(items) < _SHORT_LIST
    head = bytes([len(items) << 4 | kind]) if short else bytes([0xF0 | kind]) + _varint(len(items))
    return number, _LIST, head + b"".join(items)


def _i32(number: int, value: int) -> _Field:
    return number, _I32, _zigzag(value)


def _i64(number: int, value: int) -> _Field:
    return number, _I64, _zigzag(value)


def _text(number: int, value: str) -> _Field:
    return number, _BINARY, _binary(value)


def _binary(value: str) -> bytes:
    return _varint(len(value.encode())) + value.encode()


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits in each byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

"""The bytes of a result outside this process: a magic, a form, what it is made of, and its body, compressed if large.

UDSR | form: 1 | flags: 1 | length of the header: 4 | CRC-32 of all that follows: 4 | header, JSON | body
"""

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any
from typing import Final

_MAGIC: Final = b"UDSR"
_FORM: Final = 1
_COMPRESSED: Final = 1
_FRONT: Final = struct.Struct(">4sBBI")
_CHECK: Final = struct.Struct(">I")
_START: Final = _FRONT.size + _CHECK.size
COMPRESSED_FROM_BYTES: Final = 4_096
"""Smaller ones fit a page or a packet anyway, and compressing costs more than it saves."""
LARGEST_BYTES: Final = 32 * 2**20
"""Of a body, after it was decompressed."""


class Unreadable(ValueError):
    """These are not the bytes of a result, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A result and what is said of it."""

    body: bytes
    tags: tuple[str, ...]
    size_bytes: int
    """Of memory that it takes as a value."""
    under: str
    """The position in what was declared outdated before its load began."""


def pack(packed: Packed) -> bytes:
    """Raises `ValueError` for a body over `LARGEST_BYTES`."""
    if len(packed.body) > LARGEST_BYTES:
        raise ValueError(f"a result of {len(packed.body)} bytes is too large to be kept")
    header = json.dumps([packed.under, packed.size_bytes, packed.tags], separators=(",", ":")).encode()
    large = len(packed.body) >= COMPRESSED_FROM_BYTES
    rest = header + (_compressed(packed.body) if large else packed.body)
    front = _FRONT.pack(_MAGIC, _FORM, _COMPRESSED if large else 0, len(header))
    return front + _CHECK.pack(zlib.crc32(rest, zlib.crc32(front))) + rest


def unpack(kept: bytes) -> Packed:
    """Raises `Unreadable`, whatever the bytes are."""
    if len(kept) < _START:
        raise Unreadable("too short")
    magic, form, flags, header_bytes = _FRONT.unpack_from(kept)
    (check,) = _CHECK.unpack_from(kept, _FRONT.size)
    rest = memoryview(kept)[_START:]
    if magic != _MAGIC or form != _FORM or zlib.crc32(rest, zlib.crc32(kept[: _FRONT.size])) != check:
        raise Unreadable("not a result of this form, or damaged")
    body = bytes(rest[header_bytes:])
    under, size_bytes, tags = _header(bytes(rest[:header_bytes]))
    return Packed(body=_plain(body) if flags & _COMPRESSED else body, tags=tags, size_bytes=size_bytes, under=under)


def _header(text: bytes) -> tuple[str, int, tuple[str, ...]]:
    try:
        match json.loads(text):
            case [str(under), int(size_bytes), [*tags]] if size_bytes >= 0:
                return under, size_bytes, _texts(tags)
            case _:
                raise Unreadable("the header has another shape")
    except ValueError as fault:
        raise Unreadable("the header is no JSON") from fault


def _texts(found: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(each, str) for each in found):
        raise Unreadable("a tag is no text")
    return tuple(found)


def _compressed(body: bytes) -> bytes:
    from state.compressing import compressed  # noqa: PLC0415 - a start that finds nothing large need not read it

    return compressed(body)


def _plain(body: bytes) -> bytes:
    """Never more than is allowed, however small it came."""
    from state.compressing import decompressed  # noqa: PLC0415 - as above

    plain = decompressed(body, LARGEST_BYTES)
    if plain is None:
        raise Unreadable("the body cannot be decompressed, or is longer than any that is kept")
    return plain

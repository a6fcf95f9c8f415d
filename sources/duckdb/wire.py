"""The frames between the server and a worker: four bytes of big-endian length, then one JSON object.

JSON and not pickle: a worker that ran hostile SQL is not trusted, and a frame that is not exactly this ends it.
"""

import json
import struct
from collections.abc import Callable
from typing import Final
from typing import cast

from sources.protocol import Json

HEADER: Final = struct.Struct(">I")
FRAME_BYTES: Final = 64 * 2**20
"""The largest body that is read; a catalogue of many wide files is the largest honest one."""

Frame = dict[str, Json]


class MalformedFrame(Exception):
    """The other side sent something that is not a frame, and cannot be believed any more."""


def packed(frame: Frame) -> bytes:
    """Bytes of one frame. Lone surrogates survive, NaN is refused (`ValueError`)."""
    return framed(json.dumps(frame, allow_nan=False, separators=(",", ":")))


def framed(body: str) -> bytes:
    """Bytes of one frame whose body is already JSON in ASCII. Raises `ValueError` when it is too large."""
    encoded = body.encode("ascii")
    if len(encoded) > FRAME_BYTES:
        raise ValueError(f"a frame of {len(encoded)} bytes is over {FRAME_BYTES}")
    return HEADER.pack(len(encoded)) + encoded


def read_frame(read: Callable[[int], bytes]) -> Frame | None:
    """The next frame, or None at a clean end. `read(n)` gives n bytes, fewer only at the end.

    Raises `MalformedFrame` for anything else: cut short, too large, not JSON, not an object.
    """
    header = read(HEADER.size)
    if not header:
        return None
    if len(header) < HEADER.size:
        raise MalformedFrame("the stream ended inside a header")
    (length,) = cast("tuple[int]", HEADER.unpack(header))
    if length > FRAME_BYTES:
        raise MalformedFrame(f"a frame of {length} bytes is over {FRAME_BYTES}")
    body = read(length)
    if len(body) < length:
        raise MalformedFrame("the stream ended inside a frame")
    return _parsed(body)


def _parsed(body: bytes) -> Frame:
    try:
        value = cast("Json", json.loads(body, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("a frame is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedFrame("a frame is not a JSON object")
    return value


def _refuse(name: str) -> Json:
    raise ValueError(name)

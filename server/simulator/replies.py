"""What goes out for one request: status, headers, body, and what is to go wrong with them on the way."""

import json
import math
import zlib
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

from server.simulator.faults import Fault

_JSON: Final = "application/json; charset=utf-8"
_PIECE: Final = b"x" * 65_536
_GZIP_WINDOW: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: Fault | None = None
    """None, or one that does not concern the wire: it is sent as it is."""


def json_reply(body: Mapping[str, Any], *, status: int = 200, fault: Fault | None = None) -> Reply:
    return Reply(status=status, headers={"content-type": _JSON}, body=_encoded(body), fault=fault)


def _encoded(body: object) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(body), separators=(",", ":")).encode()


def _finite(value: object) -> object:
    """JSON has no infinity: null stands for what has no number."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in cast("dict[str, object]", value).items()}
        case list():
            return [_finite(each) for each in cast("list[object]", value)]
        case _:
            return value


def garbled(body: bytes) -> bytes:
    """As long as it was, and no JSON."""
    half = len(body) // 2
    return body[:half] + b"\xff" * (len(body) - half)


def flood(size_bytes: int, *, compressed: bool) -> Iterator[bytes]:
    """One JSON document of at least this many bytes (as it is read), in pieces."""
    pieces = _flood(size_bytes)
    return _compressed(pieces) if compressed else pieces


def _flood(size_bytes: int) -> Iterator[bytes]:
    yield b'{"data":{"padding":"'
    for _ in range(-(-size_bytes // len(_PIECE))):
        yield _PIECE
    yield b'"}}'


def _compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(wbits=_GZIP_WINDOW)
    for piece in pieces:
        yield packing.compress(piece)
    yield packing.flush()

"""Cursors: an opaque place in a list, bound to the question it belongs to.

A cursor holds no state on the server. It carries the offset, a digest of the arguments it was made for (so that it
cannot be used with other ones) and the fingerprint of what was listed (so that a change between pages is noticed).
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from tools.errors import InvalidArgument

_REMEDY = "cursor does not belong to this call: repeat the call that returned it with the same arguments, or omit it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to go on."""

    offset: int
    moved: bool
    """What is listed has changed since the cursor was made."""


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def make_cursor(offset: int, *, question: tuple[object, ...], fingerprint: str) -> str:
    """Name the place `offset` in the answer to `question`."""
    body = json.dumps([offset, _digest(question), _digest(fingerprint)], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *, question: tuple[object, ...], fingerprint: str) -> Place:
    """Read a cursor back; None is the start. Raises `InvalidArgument` when it belongs to another question."""
    if cursor is None:
        return Place(offset=0, moved=False)
    try:
        body = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        offset, asked, seen = body
    except (binascii.Error, ValueError, TypeError) as fault:
        raise InvalidArgument(_REMEDY) from fault
    if not isinstance(offset, int) or offset < 0 or asked != _digest(question):
        raise InvalidArgument(_REMEDY)
    return Place(offset=offset, moved=seen != _digest(fingerprint))

"""An event as it lies in Redis: one opaque byte string in its session's list, bound to the event before it.

The layout: one byte that says which layout it is, one with the nonce's length, the nonce, 16 bytes of salt, 32 of
digest, 32 of link, and the content as `state/event_text.py` writes it. Scripts read nonce and link by their places.
"""

import hashlib
import os
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from state.chain import Link
from state.chain import Stored
from state.chain import digest_of
from state.chain import link_of
from state.event_text import encoded
from state.journal import Checkpoint
from state.journal import Piece

_LAYOUT: Final = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_NONCE_BYTES_MOST: Final = 255


class NotARecord(Exception):
    """These bytes are not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Events that are ready to be written after a head."""

    head: Link
    """Of the last of them."""
    nonce: str
    records: tuple[bytes, ...]
    size_bytes: int
    """Of their contents."""


def written(after: Link, pieces: Sequence[Piece]) -> Written:
    """The records of events that follow `after`. `ValueError`: no drafts, or a number in a body is not finite."""
    records: list[bytes] = []
    version, link, size_bytes = after.version, after.link, 0
    for piece in pieces:
        opening = _opening(piece.nonce)
        for draft in piece.drafts:
            content, salt = encoded(draft).encode(), os.urandom(_SALT_BYTES)
            version += 1
            digest = digest_of(salt, content)
            link = link_of(link, version, piece.nonce, digest)
            size_bytes += len(content)
            records.append(b"%b%b%b%b%b" % (opening, salt, digest, link, content))
    if not records or not all(piece.drafts for piece in pieces):
        raise ValueError("an append writes at least one event")
    head = Link(version=version, link=link)
    return Written(head=head, nonce=pieces[-1].nonce, records=tuple(records), size_bytes=size_bytes)


def stored(records: Iterable[bytes], after: int) -> list[Stored]:
    """The events of records that follow a version. Raises `NotARecord`."""
    return [stored_at(version, record) for version, record in enumerate(records, start=after + 1)]


def stored_at(version: int, record: bytes) -> Stored:
    """The event of a record. Raises `NotARecord`."""
    try:
        layout, length = record[0], record[1]
        nonce = record[2 : 2 + length].decode()
    except (IndexError, UnicodeDecodeError) as fault:
        raise NotARecord from fault
    salt_at = 2 + length
    digest_at = salt_at + _SALT_BYTES
    link_at = digest_at + _HASH_BYTES
    content_at = link_at + _HASH_BYTES
    if layout != _LAYOUT or len(record) < content_at:
        raise NotARecord
    return Stored(
        version=version,
        nonce=nonce,
        salt=record[salt_at:digest_at],
        digest=record[digest_at:link_at],
        link=record[link_at:content_at],
        content=record[content_at:],
    )


def sealed(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as it is kept: with what tells whether it is what was put in."""
    nonce = _opening(checkpoint.nonce)
    return hashlib.sha256(nonce + checkpoint.state).digest() + nonce + checkpoint.state


def unsealed(version: int, kept: bytes) -> Checkpoint | None:
    """The checkpoint again. None: it does not hold what was put in."""
    digest, rest = kept[:_HASH_BYTES], kept[_HASH_BYTES:]
    if hashlib.sha256(rest).digest() != digest or len(rest) < 2:  # noqa: PLR2004 - layout and length
        return None
    state_at = 2 + rest[1]
    return Checkpoint(version=version, nonce=rest[2:state_at].decode(), state=rest[state_at:])


def _opening(nonce: str) -> bytes:
    raw = nonce.encode()
    if not 0 < len(raw) <= _NONCE_BYTES_MOST:
        raise ValueError("a nonce has 1 to 255 bytes")
    return bytes((_LAYOUT, len(raw))) + raw

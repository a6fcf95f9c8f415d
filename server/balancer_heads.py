"""Heads of HTTP/1.1 messages, as a balancer reads and rewrites them. Pure.

Only what the balancer has to know is looked at; everything else passes through byte for byte.
"""

from dataclasses import dataclass
from typing import Final

INSTANCE_FIELD: Final = b"x-uds-instance"
"""Of every answer: the name of the instance that gave it."""
BODY_BYTES_MOST: Final = 16 * 2**20
"""Requests larger than this are refused; a server of ours takes 4 MiB."""

_OF_ONE_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"expect", INSTANCE_FIELD})
_LAST_CHUNK = b"0\r\n\r\n"
_WITHOUT_BODY = frozenset({b"204", b"304"})


class Garbled(Exception):
    """What arrived is no head of HTTP/1.1, or one that this balancer does not pass on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first line, and the fields as name (lower case) and value."""

    first: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def field(self, name: bytes) -> bytes | None:
        """The value of the first field of that name."""
        return next((value for each, value in self.fields if each == name), None)


def parsed(raw: bytes) -> Head:
    """Read a head, up to and with its empty line. Raises `Garbled`."""
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if len(first.split(b" ", 2)) < 2 or b"HTTP/1." not in first:  # noqa: PLR2004 - a status may come without a reason
        raise Garbled("not a line of HTTP/1.1")
    return Head(first=first, fields=tuple(_field(line) for line in lines))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():  # a folded line, or a blank before the colon
        raise Garbled("a header field without a name")
    return name.lower(), value.strip()


def request_body_bytes(head: Head) -> int:
    """How long the body of a request is. Raises `Garbled` when that is not said, twice said, or too much."""
    lengths = {value for name, value in head.fields if name == b"content-length"}
    if head.field(b"transfer-encoding") is not None or len(lengths) > 1:
        raise Garbled("a body needs exactly one content-length")
    text = next(iter(lengths), b"0")
    if not text.isdigit() or int(text) > BODY_BYTES_MOST:
        raise Garbled(f"a body of {BODY_BYTES_MOST} bytes is the most")
    return int(text)


def to_instance(head: Head) -> bytes:
    """The head of a request as an instance gets it: it shall close the connection, which is how its answer ends."""
    return _written(head, [(b"connection", b"close")])


def to_client(head: Head, instance: str) -> bytes:
    """The head of an answer as the client gets it."""
    ends = [] if has_own_end(head) else [(b"connection", b"close")]
    return _written(head, [(INSTANCE_FIELD, instance.encode()), *ends])


def has_own_end(head: Head) -> bool:
    """Whether a client sees the end of this answer without the connection being closed."""
    return _status(head) in _WITHOUT_BODY or _is_chunked(head) or head.field(b"content-length") is not None


def is_whole(head: Head, *, body_bytes: int, last: bytes) -> bool:
    """Whether an answer that ended is complete. `last`: the last five bytes of its body, as they were sent."""
    if _status(head) in _WITHOUT_BODY:
        return True
    if _is_chunked(head):
        return last == _LAST_CHUNK
    return head.field(b"content-length") == b"%d" % body_bytes


def _status(head: Head) -> bytes:
    return head.first.split(b" ", 2)[1]


def _is_chunked(head: Head) -> bool:
    return (head.field(b"transfer-encoding") or b"").lower() == b"chunked"


def wants_close(head: Head) -> bool:
    """Whether the client ends its connection after this request."""
    said = (head.field(b"connection") or b"").lower()
    return b"close" in said or (head.first.endswith(b"HTTP/1.0") and b"keep-alive" not in said)


def _written(head: Head, added: list[tuple[bytes, bytes]]) -> bytes:
    kept = [each for each in head.fields if each[0] not in _OF_ONE_CONNECTION]
    lines = [head.first, *(b"%b: %b" % each for each in (*kept, *added))]
    return b"\r\n".join(lines) + b"\r\n\r\n"

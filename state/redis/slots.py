"""Which slot of a cluster a key falls into, which node has it, and what nodes say about that. Pure."""

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any

from state.redis.address import Place

SLOTS = 16_384


def slot_of(key: str) -> int:
    """Only what stands in the first braces counts, if anything does."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return crc_hqx((tag if opened and closed and tag else key).encode(), 0) % SLOTS


def slot_map(answer: Sequence[Any], asked: Place) -> dict[int, Place]:
    """The master of each slot, as `CLUSTER SLOTS` tells. `asked`: who was, since nodes may leave their own name out."""
    return {
        slot: _place(master[0], master[1], asked)
        for first, last, master, *_ in answer
        for slot in range(int(first), int(last) + 1)
    }


def pointed_to(text: str, asked: Place) -> Place:
    """Where `MOVED 3999 127.0.0.1:6381` or `ASK ...` points."""
    host, _, port = text.rsplit(maxsplit=1)[-1].rpartition(":")
    return _place(host, port, asked)


def _place(host: str | bytes | None, port: str | bytes | int, asked: Place) -> Place:
    name = host.decode() if isinstance(host, bytes) else host
    return (asked[0] if not name or name == "?" else name), int(port)

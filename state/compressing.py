"""Compression of what is kept outside the process: zstd, from wherever this Python has it."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 1
"""53 KB in 77 us; higher levels take longer and save little on JSON. Source: measured on discovery answers."""


def compressed(plain: bytes) -> bytes:
    return zstd.compress(plain, _LEVEL)


def decompressed(packed: bytes, most_bytes: int) -> bytes | None:
    """None: not compressed by us, cut off, or longer than `most_bytes`, of which no more is ever held."""
    opening = zstd.ZstdDecompressor()
    try:
        plain = opening.decompress(packed, max_length=most_bytes + 1)
    except zstd.ZstdError:
        return None
    return plain if opening.eof and len(plain) <= most_bytes else None

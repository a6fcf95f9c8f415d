"""Whether files changed since they were looked at: stamps of their inodes, never of their contents."""

import hashlib
import os
from collections.abc import Iterable

Stamp = tuple[int, int, int, int] | None
"""Inode, size, mtime and ctime in nanoseconds. None: it is not there.

Only ctime tells a rewrite in place that kept size and mtime (measured).
"""


def stamp(path: str) -> Stamp:
    """Cost: about 2.5 us. Source: measured on ext4 with a warm cache."""
    try:
        found = os.stat(path)  # noqa: PTH116  # twice as fast as Path.stat, and this is the hot path of every call
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def folder_stamp(path: str) -> int | None:
    """The mtime of a folder in nanoseconds: it moves when an entry comes or goes."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  # as above
    except OSError:
        return None


def file_stamps(paths: Iterable[str]) -> tuple[tuple[str, Stamp], ...]:
    """Stamps of files, in their order."""
    return tuple((path, stamp(path)) for path in paths)


def folder_stamps(paths: Iterable[str]) -> tuple[tuple[str, int | None], ...]:
    """Stamps of folders, in their order."""
    return tuple((path, folder_stamp(path)) for path in paths)


def token(stamps: object) -> str:
    """A short text that differs when the stamps differ."""
    return hashlib.blake2b(repr(stamps).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

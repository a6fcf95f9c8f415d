"""What is kept of results: entries bounded by number, bytes and time, and found by tag. Knows nothing of loading."""

import fnmatch
import re
from collections.abc import Hashable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from state.deadlines import Deadlines

SWEEP_ENTRIES = 256
"""Expired entries given back with every store: at most about 0.5 ms, while only one new entry comes in."""

LARGEST_SHARE = 8
"""An entry over an eighth of all room is not kept: it would push out too much that is used."""


@dataclass(slots=True)
class Entry:
    """A result at rest. `loaded_at` and `deadline` are on the cache's monotonic clock."""

    value: Any
    fingerprint: str
    loaded_at: float
    deadline: float
    size_bytes: int
    tags: tuple[str, ...]


class Shelf:
    """Least recently used goes first. Expiry is decided by the reader; `sweep` only gives memory back."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._entries: LRUCache[Hashable, Entry] = LRUCache(max_entries)
        self._tagged: dict[str, set[Hashable]] = {}
        self._deadlines: Deadlines[Hashable] = Deadlines()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Hashable) -> Entry | None:
        """The entry, now the most recently used. None: nothing is kept under the key."""
        try:
            return self._entries[key]
        except KeyError:
            return None

    def put(self, key: Hashable, entry: Entry) -> bool:
        """Keep an entry in place of any earlier one, evicting others for it. False: too large to keep."""
        self.drop(key)
        if entry.size_bytes > self._max_bytes // LARGEST_SHARE or not self._max_entries:
            return False
        while len(self._entries) >= self._max_entries or self.bytes + entry.size_bytes > self._max_bytes:
            self._forget(*self._entries.popitem())
            self.evictions += 1
        self._entries[key] = entry
        self.bytes += entry.size_bytes
        self._deadlines.add(key, entry.deadline)
        for tag in entry.tags:
            self._tagged.setdefault(tag, set()).add(key)
        return True

    def drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._forget(key, entry)

    def sweep(self, now: float, most: int = SWEEP_ENTRIES) -> int:
        """Drop up to `most` expired entries; returns how many."""
        due = self._deadlines.due(now, most)
        for key in due:
            self.drop(key)
        return len(due)

    def drop_tagged(self, tags: Sequence[str]) -> int:
        """Drop what carries any of the tags, at the cost of what is dropped."""
        affected = {key for tag in tags for key in self._tagged.get(tag, ())}
        for key in affected:
            self.drop(key)
        return len(affected)

    def drop_matching(self, pattern: re.Pattern[str]) -> int:
        """Drop what has a matching tag or a matching text key; looks at each tag and each key once."""
        affected: set[Hashable] = {key for key in self._entries if isinstance(key, str) and pattern.match(key)}
        for tag, keys in self._tagged.items():
            if pattern.match(tag):
                affected |= keys
        for key in affected:
            self.drop(key)
        return len(affected)

    def clear(self) -> int:
        dropped = len(self._entries)
        self._entries.clear()
        self._tagged.clear()
        self._deadlines = Deadlines()
        self.bytes = 0
        return dropped

    def _forget(self, key: Hashable, entry: Entry) -> None:
        self.bytes -= entry.size_bytes
        self._deadlines.discard(key, entry.deadline)
        for tag in set(entry.tags):
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]


def globbed(pattern: str) -> re.Pattern[str]:
    """A case-sensitive shell pattern (`*`, `?`, `[...]`) over the whole text."""
    return re.compile(fnmatch.translate(pattern))

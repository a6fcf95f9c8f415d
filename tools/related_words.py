"""Which words of the names at hand may stand for a word that is asked for, and how glued names come apart."""

import math
from bisect import bisect_left
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tools.language import expansion
from tools.language import like
from tools.language import name_words
from tools.language import split_glued
from tools.language import stem
from tools.lexicon import EXPANSIONS

_STEM: Final = 0.95
_ABBREVIATION: Final = 0.9
_LIKE: Final = 0.6
_BEGINNING: Final = 0.6
"""How sure a word is that is related to the one asked for; a beginning also by how much of the word it is."""
_BEGINNING_CHARS: Final = 4
_BEGINNING_SHARE: Final = 0.4
_KEPT: Final = 10_000
"""Words of questions whose relations are kept; questions are foreign text."""
_PIECE_CHARS: Final = 3
"""Shorter words are no pieces of glued names: `id` is in everything."""


class Pieces:
    """Splits names; glued ones where the words of the other names say how."""

    def __init__(self, names: Iterable[str]) -> None:
        """Without names nothing glued is split."""
        said = {word for name in names for word in name_words(name) if len(word) >= _PIECE_CHARS and word.isalpha()}
        customary = {short for short in EXPANSIONS if len(short) >= _PIECE_CHARS}
        self._known = frozenset(said | customary) if said else frozenset[str]()
        self._of: dict[str, tuple[str, ...]] = {}
        self._splits: dict[str, tuple[str, ...]] = {}

    def of(self, name: str) -> tuple[str, ...]:
        """The words of a name, glued ones both whole and split."""
        found = self._of.get(name)
        if found is None:
            whole, parts = name_words(name), self.parts(name)
            found = whole if parts == whole else (*whole, *(part for part in parts if part not in whole))
            self._of[name] = found
        return found

    def parts(self, name: str) -> tuple[str, ...]:
        """The words of a name, glued ones split."""
        return (
            tuple(part for word in name_words(name) for part in self.split(word)) if self._known else name_words(name)
        )

    def split(self, word: str) -> tuple[str, ...]:
        """The pieces of a word; itself when there is no single way to split it."""
        found = self._splits.get(word)
        if found is None:
            found = split_glued(word, self._known) or (word,)
            if len(self._splits) < _KEPT * 10:
                self._splits[word] = found
        return found


class RelatedWords:
    """The words of some names, to be found by others that mean them."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = frozenset(known)
        self._sorted = sorted(known)
        self._stems: dict[str, list[str]] = {}
        for word in self._sorted:
            self._stems.setdefault(stem(word), []).append(word)
        self._related: dict[str, Mapping[str, float]] = {}

    def related(self, word: str) -> Mapping[str, float]:
        """Known words that may stand for this one, and how sure that is, from 0 to 1."""
        found = self._related.get(word)
        if found is None:
            if len(self._related) >= _KEPT:
                self._related.clear()
            found = self._related[word] = self._find(word)
        return found

    def joined(self, said: Sequence[str]) -> Iterable[str]:
        """Neighbours that names write as one: `time zone` is `timezone`, or `tz`."""
        for one, other in pairwise(said):
            word = one + other
            if word in self._known or any(short in self._known for short in _SHORT.get(stem(word), ())):
                yield word

    def _find(self, word: str) -> dict[str, float]:
        found = dict(self._beginnings(word))
        for other in like(word):
            found |= dict.fromkeys(self._stems.get(other, ()), _LIKE)
        for other in self._abbreviated(word):
            found |= dict.fromkeys(self._stems.get(stem(other), ()), _ABBREVIATION)
        found |= dict.fromkeys(self._stems.get(stem(word), ()), _STEM)
        if word in self._known:
            found[word] = 1.0
        return found

    def _abbreviated(self, word: str) -> Iterable[str]:
        long = expansion(word)
        yield from () if long is None else (long,)
        yield from (short for short in _SHORT.get(stem(word), ()) if short in self._known)

    def _beginnings(self, word: str) -> Iterable[tuple[str, float]]:
        """Words that begin like it, four letters and two fifths of the longer one at least."""
        root = stem(word)
        if len(root) < _BEGINNING_CHARS:
            return
        for end in range(max(_BEGINNING_CHARS, math.ceil(len(word) * _BEGINNING_SHARE)), len(word)):
            if word[:end] in self._known:
                yield word[:end], _BEGINNING * end / len(word)
        at = bisect_left(self._sorted, root)
        while at < len(self._sorted) and self._sorted[at].startswith(root):
            other = self._sorted[at]
            if len(root) >= len(other) * _BEGINNING_SHARE:
                yield other, _BEGINNING * min(1.0, len(root) / len(other))
            at += 1


def _short() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for short, long in EXPANSIONS.items():
        found[stem(long)] = (*found.get(stem(long), ()), short)
    return found


_SHORT: Final = _short()
"""Customary abbreviations by the stem of what they stand for."""

"""How people and identifiers write the same thing: splitting, inflection, abbreviations, and words of like meaning.

The tables of words are in `tools.lexicon`.
"""

import functools
import re
from collections.abc import Mapping
from typing import Final

from tools.lexicon import EXPANSIONS
from tools.lexicon import LIKE
from tools.lexicon import STOP

_RUN: Final = re.compile(r"[^\W\d_]+|\d+")
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _grouped(text: str) -> Mapping[str, frozenset[str]]:
    like: dict[str, set[str]] = {}
    for line in text.strip().splitlines():
        group = [stem(word) for word in line.split()]
        for word in group:
            like.setdefault(word, set()).update(group)
    return {word: frozenset(others - {word}) for word, others in like.items()}


@functools.lru_cache(maxsize=65_536)
def name_words(name: str) -> tuple[str, ...]:
    """Split a name into lower-case words: camelCase, snake_case, dots and plurals fall away."""
    runs: list[str] = _RUN.findall(name)
    return tuple(singular(hump.casefold()) for run in runs for hump in _humps(run))


@functools.lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """Split prose the same way, without the words that never stand for anything in a schema."""
    runs: list[str] = _RUN.findall(text)
    found = (hump.casefold() for run in runs for hump in _humps(run))
    return tuple(singular(word) for word in found if word not in STOP)


def _humps(run: str) -> list[str]:
    """Only ASCII is split at capitals: elsewhere a word in one piece is the better guess."""
    return _HUMP.findall(run) if run.isascii() and run.isalpha() else [run]


_IRREGULAR: Final = {"people": "person", "children": "child", "men": "man", "women": "woman", "indices": "index"}
_ES: Final = ("sses", "shes", "ches", "xes", "zes")


def singular(word: str) -> str:
    """One of what the word counts; a word that is no plural stays as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - "ties" stays, "cities" becomes "city"
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(_ES):  # noqa: PLR2004 - "axes" stays
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):  # noqa: PLR2004 - "bus" stays
        return word[:-1]
    return word


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """What inflections of an English word share: `shipped`, `shipping`, `shipper` and `shipment` are all `ship`.

    Conservative: where an ending may belong to the word itself (`order`, `speed`, `string`, `department`) it stays.
    """
    if not word.isascii():
        return word
    if word.endswith("ied") and len(word) > 4:  # noqa: PLR2004 - "tied" stays
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and not word.endswith("eed") and re.search("[aeiouy]", rest):  # noqa: PLR2004
            return _undoubled(rest)
    rest = word.removesuffix("er")
    if rest != word and _undoubled(rest) != rest:
        return _undoubled(rest)
    rest = word.removesuffix("ment")
    if rest != word and len(rest) > 3 and not rest.endswith("part"):  # noqa: PLR2004 - "comment" stays
        return rest
    return word[:-1] if len(word) > 4 and word.endswith("e") else word  # noqa: PLR2004 - "late" is not "lat"


def _undoubled(rest: str) -> str:
    """`shipp` is `ship` before an ending; `call`, `pass` and `buzz` are words that end so."""
    return rest[:-1] if len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest  # noqa: PLR2004


_LIKE: Final = _grouped(LIKE)


def expansion(word: str) -> str | None:
    """The word that a customary abbreviation stands for. None: it is none."""
    return EXPANSIONS.get(word)


def like(word: str) -> frozenset[str]:
    """Stems of words that often mean the same thing as this one."""
    return _LIKE.get(stem(word), frozenset())


def split_glued(word: str, known: frozenset[str]) -> tuple[str, ...]:
    """The two or three known words a lower-case name was glued from, if that is the only way to read it; else none.

    Each has three letters at least.
    """
    if len(word) < 6:  # noqa: PLR2004 - twice three
        return ()
    ways = list(_ways(word, known, 3))
    return ways[0] if len(ways) == 1 else ()


def _ways(word: str, known: frozenset[str], most: int) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for end in range(3, len(word) - 2):
        first, rest = word[:end], word[end:]
        if first not in known:
            continue
        if rest in known:
            found.append((first, rest))
        if most > 2:  # noqa: PLR2004 - a word, and two more
            found += [(first, *others) for others in _ways(rest, known, most - 1)]
    return found

"""How well names fit a question: identifiers split into words, ranked by BM25 over name and attributes.

Source of the formula and its constants (k1 = 1.2, b = 0.75): Robertson and Zaragoza, "The Probabilistic Relevance
Framework: BM25 and Beyond", 2009. A hit in the schema's own name counts as much as three in its attributes.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence

_K1 = 1.2
_B = 0.75
_NAME_WEIGHT = 3
_RUN = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STOP_TEXT = """
a an and are as at be by did do does find for from get had has have how in is it its me many much of on or per show tell
that the their them there these this to us was we were what when where which who why will with
"""
_STOP = frozenset(_STOP_TEXT.split())


@functools.lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """Split names and prose into lower-case words: camelCase, snake_case, dots and plurals fall away."""
    runs: list[str] = _RUN.findall(text)
    found = (hump.casefold() for run in runs for hump in _humps(run))
    return tuple(_singular(word) for word in found if word not in _STOP)


def _humps(run: str) -> list[str]:
    """Only ASCII is split at capitals: elsewhere a word in one piece is the better guess."""
    return _HUMP.findall(run) if run.isascii() and run.isalpha() else [run]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - "ties" stays, "cities" becomes "city"
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):  # noqa: PLR2004 - "bus" stays
        return word[:-1]
    return word


def rank(question: str, documents: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Score each document (its name to the names inside it) against the question, the best of all being 1.

    Documents that share no word with the question score 0. A word also meets the longer word it begins
    (`manufacture` meets `manufacturer`) at half weight, if it is at least half of it.
    """
    asked = set(words(question))
    bags = {name: _bag(name, inside) for name, inside in documents.items()}
    if not asked or not bags:
        return dict.fromkeys(documents, 0.0)
    mean_length = sum(bag.total() for bag in bags.values()) / len(bags) or 1.0
    hits = {name: {word: _count(word, bag) for word in asked} for name, bag in bags.items()}
    rarity = {word: _rarity(sum(1 for hit in hits.values() if hit[word]), len(bags)) for word in asked}
    scores = {
        name: sum(rarity[word] * _saturate(hits[name][word], bag.total() / mean_length) for word in asked)
        for name, bag in bags.items()
    }
    best = max(scores.values())
    return {name: round(score / best, 3) if best else 0.0 for name, score in scores.items()}


def _bag(name: str, inside: Sequence[str]) -> Counter[str]:
    bag = Counter(words(name) * _NAME_WEIGHT)
    for each in inside:
        bag.update(words(each))
    return bag


def _count(word: str, bag: Counter[str]) -> float:
    exact = bag.get(word, 0)
    if exact:
        return float(exact)
    return 0.5 * sum(count for other, count in bag.items() if _begins(word, other))


def _begins(word: str, other: str) -> bool:
    if len(other) < len(word):
        word, other = other, word
    return other.startswith(word) and len(word) >= max(3, len(other) / 2)


def _rarity(documents_with: int, documents: int) -> float:
    return math.log(1 + (documents - documents_with + 0.5) / (documents_with + 0.5))


def _saturate(count: float, relative_length: float) -> float:
    return count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * relative_length))

"""How well schemas fit a question: BM25 over names, attributes and seen values, and what ids lead to.

Source of the formula and its constant k1 = 1.2: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
and Beyond", 2009. A hit in the schema's own name counts as much as three in its attributes, and a value half.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from sources.protocol import AttributeWords
from tools.language import name_words
from tools.language import stem
from tools.language import words
from tools.lexicon import ASKING
from tools.lexicon import TIMES
from tools.links import Named
from tools.links import links
from tools.related_words import Pieces
from tools.related_words import RelatedWords

_PART = re.compile(r"[^\W_]+")
_K1 = 1.2
_B = 0.4
_NAME_WEIGHT = 3.0
_MEANING_WEIGHT = 0.7
"""What a word of what the owners wrote is worth beside one in an attribute's name."""
_VALUE = 0.6
"""What a value is worth beside a single hit in an attribute's name, which is 1; only the word itself counts there."""
_ALONE = 0.3
"""Share of its relevance that a schema keeps whose source meets nothing else of the question."""
_EMPTY = 0.2
"""Share of its relevance that a schema without rows keeps."""
_ASKING_IMPORTANCE = 0.25
_TIME_IMPORTANCE = 0.6
_REPEATED = 0.7
"""Share of what a document has in common with better ones that does not count for it."""
_PICKS = 8
"""Documents that are picked so, one after the other."""
_POOL = 60
"""Documents, best first, among which they are picked."""
_LEADS = 0.15
_BRIDGES = 0.15
"""Shares of relevance a schema gets from the best schema that an id connects it with, and from the second best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A schema as far as a question can meet it."""

    source: str
    name: str
    attributes: tuple[str, ...]
    values: tuple[AttributeWords, ...] = ()
    meanings: tuple[str, ...] = ()
    """What its owners wrote about it and its attributes."""
    empty: bool = False
    """It is known to have no rows, so it answers little."""


_Met = tuple[float, dict[int, float]]
"""How rare a word of the question is, and how well each document that has it does."""


class Index:
    """Documents made ready to be ranked: some milliseconds for a thousand schemas, and each ranking far less."""

    def __init__(self, documents: Sequence[Document], *, glued: bool = True) -> None:
        """`glued`: lower-case names are split where the names of the others say how."""
        self.documents = tuple(documents)
        names = [name for each in self.documents for name in (each.name, *each.attributes)] if glued else []
        self._names = Pieces(names)
        bags = [self._bag(document) for document in self.documents]
        self._values = _valued(self.documents)
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for place, bag in enumerate(bags):
            for word, weight in bag.items():
                self._postings.setdefault(word, []).append((place, weight))
        lengths = [sum(len(self.pieces(name)) for name in each.attributes) + 1 for each in self.documents]
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        self._lengths = [1 - _B + _B * length / mean for length in lengths]
        self._words = RelatedWords(self._postings)
        self._links = self._drawn()

    def pieces(self, name: str) -> tuple[str, ...]:
        """The words of a name, glued ones both whole and split."""
        return self._names.of(name)

    def related(self, word: str) -> Mapping[str, float]:
        """Words of the documents that may stand for this one, and how sure that is, from 0 to 1."""
        return self._words.related(word)

    def scores(self, question: str) -> list[float]:
        """One score for each document; 0 where it shares nothing with the question."""
        return self._totals(self._met(question))

    def steered(self, question: str) -> list[float]:
        """Scores for a set of documents that answers the question together.

        What ids lead to gets a share, since answers are often found where a matching schema points, or between two.
        Among the best, what an earlier one has already is worth less in the next, so that all of the question is met.
        """
        met = self._met(question)
        factors = self._factors(met)
        plain = [total * factor for total, factor in zip(self._totals(met), factors, strict=True)]
        found = self._spread(plain)
        covered = [0.0] * len(met)
        waiting = sorted((place for place, score in enumerate(found) if score), key=lambda place: -found[place])[:_POOL]
        ceiling = math.inf
        for _ in range(min(_PICKS, len(waiting))):
            lost = {place: factors[place] * self._lost(met, covered, place) for place in waiting}
            best = max(waiting, key=lambda place: found[place] - lost[place])
            waiting.remove(best)
            ceiling = found[best] = min(ceiling, found[best] - lost[best])
            covered = [max(had, hits.get(best, 0.0)) for had, (_, hits) in zip(covered, met, strict=True)]
        for place in waiting:
            found[place] = min(ceiling, found[place] - factors[place] * self._lost(met, covered, place))
        return found

    def _lost(self, met: "Sequence[_Met]", covered: Sequence[float], place: int) -> float:
        return _REPEATED * sum(
            rarity * min(had, hits.get(place, 0.0)) for had, (rarity, hits) in zip(covered, met, strict=True) if had
        )

    def _totals(self, met: "Sequence[_Met]") -> list[float]:
        totals = [0.0] * len(self.documents)
        for rarity, hits in met:
            for place, hit in hits.items():
                totals[place] += rarity * hit
        return totals

    def _factors(self, met: "Sequence[_Met]") -> list[float]:
        """What each document's relevance is multiplied by: less without rows, and less where its source meets little.

        An answer seldom needs two sources, so one that meets more of the question as a whole comes first.
        """
        sources = [each.source for each in self.documents]
        meets = dict.fromkeys(sources, 0.0)
        for rarity, hits in met:
            best: dict[str, float] = {}
            for place, hit in hits.items():
                best[sources[place]] = max(best.get(sources[place], 0.0), hit)
            for source, hit in best.items():
                meets[source] += rarity * hit
        most = max(meets.values(), default=0.0) or 1.0
        return [
            (_ALONE + (1 - _ALONE) * meets[each.source] / most) * (_EMPTY if each.empty else 1.0)
            for each in self.documents
        ]

    def _spread(self, scores: Sequence[float]) -> list[float]:
        found = list(scores)
        for place, others in self._links.items():
            best = sorted((scores[other] for other in others), reverse=True)[:2]
            found[place] += _LEADS * best[0] + (_BRIDGES * best[1] if len(best) > 1 else 0.0)
        return found

    def _met(self, question: str) -> "list[_Met]":
        met: list[_Met] = []
        for word, importance in self._asked(question).items():
            hits, reach = self._hits(word)
            met.append((importance * _rarity(reach, len(self.documents)), hits))
        return met

    def _asked(self, question: str) -> dict[str, float]:
        asked: dict[str, float] = {}
        said = words(question)
        for word in (*said, *self._words.joined(said)):
            split = () if word in self._postings else self._names.split(word)
            for each in split or (word,):
                importance = _ASKING_IMPORTANCE if each in ASKING else _TIME_IMPORTANCE if each in TIMES else 1.0
                asked[each] = importance
        return asked

    def _hits(self, word: str) -> tuple[dict[int, float], float]:
        """The best hit in each document, and how many documents are hit, unsure ones counted in part."""
        hits: dict[int, float] = {}
        reach: dict[int, float] = {}
        for place in self._values.get(stem(word), ()):
            hits[place], reach[place] = _VALUE, 1.0
        for other, sure in self.related(word).items():
            for place, weight in self._postings[other]:
                hit = sure * _saturate(weight, self._lengths[place])
                hits[place] = max(hits.get(place, 0.0), hit)
                reach[place] = max(reach.get(place, 0.0), sure)
        return hits, sum(reach.values())

    def _bag(self, document: Document) -> Mapping[str, float]:
        bag: defaultdict[str, float] = defaultdict(float)
        named = set(self.pieces(document.name))
        for word in named:
            bag[word] += _NAME_WEIGHT / math.sqrt(len(named))
        for name in document.attributes:
            for word in self.pieces(name):
                bag[word] += 1.0
        for word in {word for meaning in document.meanings for word in words(meaning)}:
            bag[word] += _MEANING_WEIGHT
        return bag

    def _drawn(self) -> dict[int, set[int]]:
        return links(
            [
                Named(
                    source=each.source,
                    name=name_words(each.name),
                    attributes=tuple(self._names.parts(name) for name in each.attributes),
                )
                for each in self.documents
            ]
        )


def rank(question: str, documents: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Score texts (a name to the texts inside it) against the question, the best of all being 1.

    Those that share nothing with the question score 0.
    """
    index = Index(
        [Document(source="", name=name, attributes=tuple(inside)) for name, inside in documents.items()], glued=False
    )
    return dict(zip(documents, normalised(index.scores(question)), strict=True))


def normalised(scores: Sequence[float]) -> list[float]:
    """Scores as shares of the best one."""
    best = max(scores, default=0.0)
    return [round(score / best, 3) if best else 0.0 for score in scores]


def value_words(value: str) -> tuple[str, ...]:
    """The words of a value; letters mixed with digits are marks of machines, and say nothing."""
    return tuple(word for part in _PART.findall(value) if part.isalpha() for word in words(part) if len(word) > 1)


def _valued(documents: Sequence[Document]) -> dict[str, set[int]]:
    """Which documents have which stems among their values."""
    found: dict[str, set[int]] = {}
    for place, document in enumerate(documents):
        for each in document.values:
            for word in {word for value in each.values for word in value_words(value)}:
                found.setdefault(stem(word), set()).add(place)
    return found


def _rarity(reach: float, documents: int) -> float:
    return math.log(1 + (documents - reach + 0.5) / (reach + 0.5)) if documents else 0.0


def _saturate(weight: float, relative_length: float) -> float:
    return weight * (_K1 + 1) / (weight + _K1 * relative_length)

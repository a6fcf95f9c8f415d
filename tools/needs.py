"""What a goal needs: its text as terms, what each term meets in the schemas, and which of that a session has verified.

Pure: everything is an argument.
"""

import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final
from typing import Literal

from state.session import Finding
from state.session import Session
from tools.language import name_words
from tools.language import stem
from tools.language import words
from tools.lexicon import ASKING
from tools.lexicon import STOP
from tools.lexicon import TIMES
from tools.links import subject
from tools.relevance import Document
from tools.relevance import Index
from tools.relevance import value_words

Kind = Literal["name", "value", "condition"]
"""`value`: quoted, or capitalised in the middle of the text. `condition`: a number, a date, or a word for a time."""

_TERMS_MOST: Final = 24
_MEETINGS_MOST: Final = 6
_SCHEMAS_MOST: Final = 12
"""Schemas, best first, in which terms are looked for."""
_LEAST: Final = 0.3
"""Meetings that are less sure are none."""
_ID: Final = 0.85
"""An id only points to what the term is about."""
_NEARLY: Final = 0.85
"""Meetings within this share of the best one settle a term just as well."""
_QUOTED: Final = r'"(?P<double>[^"]{2,80})"|“(?P<curly>[^”]{2,80})”|(?<!\w)\'(?P<single>[^\']{2,80})\'(?!\w)'
_CAPITALISED: Final = r"(?P<capitalised>[A-Z][\w'-]*[a-z][\w'-]*(?: [A-Z][\w'-]+)+)"
_WORD: Final = r"(?P<number>\d[\d.,:/-]*\d|\d+)(?!\w)|(?P<word>\w+(?:[._]\w+)*)(?:['\u2019]s\b)?"
_PIECES: Final = re.compile(f"{_QUOTED}|{_CAPITALISED}|{_WORD}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A piece of a goal's text that stands for something in the schemas."""

    text: str
    words: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What a term may stand for."""

    source: str
    schema: str
    attribute: str | None
    """None: the schema itself."""
    value: str | None = None
    """A value the attribute was seen to hold, where the term meets that and not the name."""
    score: float
    """How sure that is, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A term, what it meets, and whether the session has really looked at that."""

    term: Term
    meetings: tuple[Meeting, ...] = ()
    """Best first, 6 at most. Empty: nothing meets it."""
    is_verified: bool = False

    @property
    def open_meetings(self) -> tuple[Meeting, ...]:
        """Those that would settle it: the best, and others about as good."""
        return tuple(each for each in self.meetings if each.score >= _NEARLY * self.meetings[0].score)


def terms(text: str) -> tuple[Term, ...]:
    """The terms of a goal in their order, each once; words of the question itself (`average`, `most`) are none."""
    found: dict[tuple[str, ...], Term] = {}
    for match in _PIECES.finditer(text):
        for term in _terms_of(match, is_first=not text[: match.start()].strip()):
            found.setdefault(tuple(stem(word) for word in term.words), term)
    return tuple(found.values())[:_TERMS_MOST]


def _terms_of(match: re.Match[str], *, is_first: bool) -> tuple[Term, ...]:
    text = match["word"] or match.group()
    quoted = match["double"] or match["curly"] or match["single"]
    if quoted:
        return _term(quoted, name_words(quoted), "value")
    if match["number"]:
        return _term(text, (text,), "condition")
    if match["capitalised"]:
        first, *others = text.split()
        if is_first or first.casefold() in STOP | ASKING:
            rest = " ".join(others)
            return (*_worded(first), *(_worded(rest) if len(others) == 1 else _term(rest, name_words(rest), "value")))
        return _term(text, name_words(text), "value")
    return _worded(text)


def _worded(text: str) -> tuple[Term, ...]:
    said = words(text)
    if not said or (len(said) == 1 and said[0] in ASKING):
        return ()
    kind: Kind = "condition" if all(word in TIMES or word.isdigit() for word in said) else "name"
    return _term(text, said, kind)


def _term(text: str, said: tuple[str, ...], kind: Kind) -> tuple[Term, ...]:
    return (Term(text=text, words=said, kind=kind),) if said else ()


def needs(text: str, index: Index) -> tuple[Need, ...]:
    """What a goal needs, as far as the schemas of the index tell. A condition that nothing meets is left out."""
    scores = index.steered(text)
    best = max(scores, default=0.0) or 1.0
    places = sorted(range(len(scores)), key=lambda place: -scores[place])
    relevant = [(index.documents[place], scores[place] / best) for place in places[:_SCHEMAS_MOST] if scores[place] > 0]
    found = [Need(term=term, meetings=_meetings(term, index, relevant)) for term in terms(text)]
    return tuple(need for need in _joined(found, text) if need.meetings or need.term.kind != "condition")


def _meetings(term: Term, index: Index, relevant: Sequence[tuple[Document, float]]) -> tuple[Meeting, ...]:
    sure = [dict(index.related(word)) for word in term.words]
    found: list[Meeting] = []
    for document, relevance in relevant:
        for meeting in (*_by_name(document, index, sure), *_by_value(document, term)):
            score = round(meeting.score * (0.8 + 0.2 * relevance), 3)
            if score >= _LEAST:
                found.append(replace(meeting, score=score))
    found.sort(key=lambda each: -each.score)
    return tuple(found[:_MEETINGS_MOST])


def _by_name(document: Document, index: Index, sure: Sequence[Mapping[str, float]]) -> list[Meeting]:
    named = [(None, document.name), *((name, name) for name in document.attributes)]
    return [
        Meeting(source=document.source, schema=document.name, attribute=attribute, score=score)
        for attribute, name in named
        if (score := _fit(index.pieces(name), sure) * (_ID if attribute and subject(name) else 1.0)) > 0
    ]


def _fit(pieces: Sequence[str], sure: Sequence[Mapping[str, float]]) -> float:
    """How well a name is what the term says: all of the term's words, and little else."""
    if not pieces:
        return 0.0
    said = [max((each.get(piece, 0.0) for piece in pieces), default=0.0) for each in sure]
    if min(said) == 0.0:
        return 0.0
    met = sum(1 for piece in pieces if any(piece in each for each in sure))
    return sum(said) / len(said) * (0.65 + 0.35 * met / len(pieces))


def _by_value(document: Document, term: Term) -> list[Meeting]:
    wanted = {stem(word) for word in term.words if len(word) > 1}  # as the words of values
    if term.kind == "condition" or not wanted:
        return []
    found: list[Meeting] = []
    for each in document.values:
        value = next((value for value in each.values if wanted <= {stem(word) for word in value_words(value)}), None)
        if value is not None:
            score = 0.75 if term.kind == "value" or len(wanted) == len(value_words(value)) else 0.5
            found.append(
                Meeting(
                    source=document.source, schema=document.name, attribute=each.attribute, value=value, score=score
                )
            )
    return found


def _joined(found: Sequence[Need], text: str) -> list[Need]:
    """Neighbours that one attribute meets together are one need: `departure delay` is not two things."""
    joined: list[Need] = []
    for need in found:
        last = joined[-1] if joined else None
        shared = None if last is None else _shared(last, need)
        if last is None or shared is None or not _adjacent(last.term.text, need.term.text, text):
            joined.append(need)
            continue
        term = Term(text=f"{last.term.text} {need.term.text}", words=(*last.term.words, *need.term.words), kind="name")
        joined[-1] = Need(term=term, meetings=(shared,))
    return joined


def _shared(one: Need, other: Need) -> Meeting | None:
    if "value" in (one.term.kind, other.term.kind):
        return None
    theirs = {(each.source, each.schema, each.attribute): each for each in other.meetings if each.value is None}
    for each in one.meetings:
        same = theirs.get((each.source, each.schema, each.attribute))
        if same is not None and each.value is None and each.attribute is not None:
            return replace(each, score=round((each.score + same.score) / 2, 3))
    return None


def _adjacent(one: str, other: str, text: str) -> bool:
    return f"{one} {other}" in text


def verified(found: Sequence[Need], session: Session) -> tuple[Need, ...]:
    """The same needs, with what the session has really seen measured, or has a finding about."""
    told = told_by(session.findings)
    measured = {(each.source, each.schema): frozenset(each.attributes) for each in session.explored}
    return tuple(
        replace(
            need,
            is_verified=bool(need.meetings)
            and (any(_seen(each, measured) for each in need.open_meetings) or is_told(need, told)),
        )
        for need in found
    )


def is_told(need: Need, told: Sequence[frozenset[str]]) -> bool:
    """Whether a finding (`told_by`) mentions the term, or the name of what meets it if that is no everyday word."""
    names = {(each.attribute or each.schema).casefold() for each in need.open_meetings}
    names = {name for name in names if len(name) > 4}  # noqa: PLR2004 - name, type, date and time are in every sentence
    said = {stem(word) for word in need.term.words}
    return any(said <= each or bool(names & each) for each in told)


def _seen(meeting: Meeting, measured: Mapping[tuple[str, str], frozenset[str]]) -> bool:
    """A schema counts when any of its attributes was measured: a query alone shows no more than its own result."""
    attributes = measured.get((meeting.source, meeting.schema), frozenset[str]())
    return bool(attributes) if meeting.attribute is None else meeting.attribute in attributes


def told_by(findings: Sequence[Finding]) -> tuple[frozenset[str], ...]:
    """The names and stems that each finding mentions, in its key, its value and its evidence."""
    said = (f"{each.key or ''} {each.value} {each.evidence or ''}" for each in findings)
    return tuple(
        frozenset({each.casefold() for each in re.findall(r"\w+", text)} | {stem(word) for word in words(text)})
        for text in said
    )


def share_verified(found: Sequence[Need]) -> float:
    """The share of the needs that something meets which are verified, 0 to 1; 0 when nothing meets any."""
    met = [need for need in found if need.meetings]
    return sum(need.is_verified for need in met) / len(met) if met else 0.0

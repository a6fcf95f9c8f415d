"""Written questions find the schemas they need among the first three, on a catalogue of six real sets of schemas."""

from collections.abc import Mapping
from collections.abc import Sequence

import pytest

from tests.rules.relevance_catalogue import catalogue
from tests.rules.relevance_questions import QUESTIONS
from tests.rules.relevance_questions import Asked
from tools.relevance import Index

SETS = catalogue()
ALONE = {of: Index(documents) for of, documents in SETS.items()}
POOL = dict.fromkeys(SETS, Index([document for documents in SETS.values() for document in documents]))


def is_served(asked: Asked, index: Index) -> bool:
    scores = index.steered(asked.text)
    first = sorted(range(len(scores)), key=lambda place: (-scores[place], index.documents[place].name.casefold()))[:3]
    found = {(index.documents[place].source, index.documents[place].name) for place in first}
    return {(asked.of, name) for name in asked.looked_for} <= found


def served_share(questions: Sequence[Asked], indices: Mapping[str, Index]) -> float:
    served = [asked for asked in questions if is_served(asked, indices[asked.of])]
    missed = [asked.text for asked in questions if asked not in served]
    print(f"\n{len(served)} of {len(questions)} served; missed: {missed}")  # noqa: T201 - shown with -s
    return len(served) / len(questions)


def test_every_question_is_about_schemas_that_exist() -> None:
    assert sum(not asked.held_out for asked in QUESTIONS) == 30
    assert sum(asked.held_out for asked in QUESTIONS) == 10
    for asked in QUESTIONS:
        assert set(asked.needs) <= {document.name for document in SETS[asked.of]}, asked.text


@pytest.mark.parametrize(
    ("held_out", "indices", "at_least"),
    [(False, ALONE, 0.85), (False, POOL, 0.75), (True, ALONE, 0.6), (True, POOL, 0.5)],
    ids=["written, each set alone", "written, one pool", "held out, each set alone", "held out, one pool"],
)
def test_what_a_question_needs_is_among_the_first_three(
    held_out: bool,  # noqa: FBT001 - a case of the table
    indices: Mapping[str, Index],
    at_least: float,
) -> None:
    questions = [asked for asked in QUESTIONS if asked.held_out is held_out]
    assert served_share(questions, indices) >= at_least


def test_without_values_fewer_questions_are_served_and_names_still_carry_most() -> None:
    bare = {
        of: Index([type(each)(source=of, name=each.name, attributes=each.attributes) for each in documents])
        for of, documents in SETS.items()
    }
    assert 0.7 <= served_share(QUESTIONS[:30], bare) <= served_share(QUESTIONS[:30], ALONE)

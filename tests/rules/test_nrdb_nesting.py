"""How many statements may stand inside one another, and that each of them counts once."""

import pytest

from sources.nrdb.events import event_form
from sources.nrdb.plan import Plan
from sources.nrdb.refused import NotTranslated
from sources.nrdb.translate import translate
from sources.nrql.parse import parse

EVENTS = {"Log": event_form("Log", '"Log"', [("at", "TIMESTAMP"), ("size", "BIGINT")], time="at")}


def nested(times: int, clauses: str = "") -> Plan:
    text = "SELECT max(size) AS v FROM Log"
    for _ in range(times):
        text = f"SELECT max(v) AS v FROM ({text})"
    return translate(parse(text + clauses), EVENTS, now_ms=1_767_225_600_000, default_ms=3_600_000)


@pytest.mark.parametrize("times", [1, 3, 8])
def test_a_statement_in_from_counts_once_however_deep_it_stands(times: int) -> None:
    (step,) = nested(times).steps

    assert step.sql.count('FROM "Log"') == 1
    assert step.sql.count("max(") == times + 1


def test_more_statements_inside_one_another_than_eight_are_refused() -> None:
    with pytest.raises(NotTranslated, match="more than 8 statements in parentheses"):
        nested(9)


def test_the_earlier_window_of_compare_with_reads_the_inner_statement_anew() -> None:
    steps = {step.name: step.sql for step in nested(1, " COMPARE WITH 1 day ago").steps}

    assert "1767222000000" in steps["rows"]
    assert "1767222000000" not in steps["before.rows"]
    assert str(1_767_222_000_000 - 86_400_000) in steps["before.rows"]

"""What is not NRQL is refused with the place, the reason, and what to write instead.

Promise: NRQL is only read with, and whoever knows SQL is told the way.
"""

import pytest

from sources.nrql.errors import NrqlError
from sources.nrql.errors import caret
from sources.nrql.parse import parse

HERE = "¦"
"""Marks the place that the error must name."""

SLIPS = {
    "no ago": ("SELECT count(*) FROM T SINCE ¦7 days", "SINCE 7 days ago"),
    "no ago, more behind": ("SELECT count(*) FROM T SINCE ¦7 days LIMIT 5", "SINCE 7 days ago"),
    "no ago in until": ("SELECT count(*) FROM T UNTIL ¦2 hours", "UNTIL 2 hours ago"),
    "no ago in compare with": ("SELECT count(*) FROM T COMPARE WITH ¦1 week", "COMPARE WITH 1 week ago"),
    "short units": ("SELECT count(*) FROM T SINCE 7¦d ago", "spelled out"),
    "short units of a series": ("SELECT count(*) FROM T TIMESERIES 5¦m", "spelled out"),
    "last n": ("SELECT count(*) FROM T SINCE last ¦7 days", "SINCE 7 days ago"),
    "a bare date": ("SELECT count(*) FROM T SINCE ¦2026-01-31", "single quotes"),
    "having": ("SELECT count(*) FROM T FACET a ¦HAVING count(*) > 5", "FROM (...)"),
    "group by": ("SELECT count(*) FROM T ¦GROUP BY a", "FACET"),
    "facet by": ("SELECT count(*) FROM T FACET ¦BY a", "FACET attribute"),
    "distinct": ("SELECT DISTINCT ¦a FROM T", "uniques(x)"),
    "count distinct": ("SELECT count(DISTINCT ¦a) FROM T", "uniqueCount(x)"),
    "angles": ("SELECT a FROM T WHERE a ¦<> 1", "!="),
    "double equals": ("SELECT a FROM T WHERE a ¦== 1", "="),
    "and signs": ("SELECT a FROM T WHERE a = 1 ¦&& b = 2", "AND"),
    "or signs": ("SELECT a FROM T WHERE a = 1 ¦|| b = 2", "OR"),
    "exclamation": ("SELECT a FROM T WHERE ¦!a", "NOT"),
    "between": ("SELECT a FROM T WHERE a ¦BETWEEN 1 AND 2", ">= 1 AND"),
    "case when": ("SELECT CASE ¦WHEN a = 1 THEN 2 END FROM T", "if(condition"),
    "ilike": ("SELECT a FROM T WHERE a ¦ILIKE '%x%'", "LIKE"),
    "tilde": ("SELECT a FROM T WHERE a =¦~ 'x'", "RLIKE"),
    "union": ("SELECT a FROM T ¦UNION SELECT a FROM U", "FROM A, B"),
    "right join": ("SELECT a FROM T ¦RIGHT JOIN (SELECT b FROM U) ON k", "LEFT"),
    "join of a table": ("SELECT a FROM T JOIN ¦U ON k", "JOIN (SELECT"),
    "order beside facet": ("SELECT count(*) FROM T FACET a LIMIT 5 ¦ORDER BY b", "FACET attribute ORDER BY"),
    "a second where": ("SELECT a FROM T WHERE a = 1 ¦WHERE b = 2", "AND"),
    "a second limit": ("SELECT a FROM T LIMIT 1 ¦LIMIT 2", "keep one LIMIT"),
    "mistyped from": ("SELECT a ¦FORM T", "FROM"),
    "mistyped where": ("SELECT a FROM T ¦WHRE a = 1", "WHERE"),
    "mistyped select": ("¦SELCT a FROM T", "SELECT"),
    "mistyped facet": ("SELECT count(*) FROM T ¦FACETS a", "FACET"),
    "open parenthesis": ("SELECT count(* ¦FROM T", None),
    "unclosed to the end": ("SELECT a FROM T WHERE ¦(a = 1", "close it"),
    "too many parentheses": ("SELECT count(*)¦) FROM T", "remove it"),
    "open quote": ("SELECT a FROM T WHERE a = ¦'x", "close it"),
    "open backtick": ("SELECT ¦`a FROM T", "backtick"),
    "open comment": ("SELECT a FROM T ¦/* x", "*/"),
    "an apostrophe": ("SELECT a FROM T WHERE a = 'it's¦'", r"\'"),
    "a doubled quote": ("SELECT a FROM T WHERE a = 'it'¦'s'", r"\'"),
    "chained comparisons": ("SELECT a FROM T WHERE 1 < a ¦< 5", "AND"),
    "in without parentheses": ("SELECT a FROM T WHERE a IN ¦'x'", None),
    "facet twice": ("SELECT count(*) FROM T FACET a ¦FACET b", "keep one FACET"),
    "no from": ("SELECT count(*)¦", "add FROM"),
    "no select": ("FROM T¦", "add SELECT"),
    "two statements": ("SELECT a FROM T; ¦SELECT b FROM T", None),
    "template variable": ("SELECT a FROM T WHERE a = ¦{{x}}", "template variable"),
    "limit of two numbers": ("SELECT a FROM T LIMIT 5¦, 10", None),
    "slide after auto": ("SELECT count(*) FROM T TIMESERIES AUTO SLIDE BY ¦1 minute", "TIMESERIES 5 minutes"),
    "a name with a hyphen at its start": ("SELECT a FROM T WHERE ¦@timestamp > 1", "backticks"),
    "a name that begins with digits": ("SELECT 4¦xx FROM T", "backticks"),
    "a reserved name": ("SELECT ¦from FROM T", "backticks"),
    "no expression": ("SELECT a FROM T WHERE ¦LIMIT 10", None),
    "a table expression": ("WITH x AS (¦SELECT 1) SELECT x FROM T", "FROM (...)"),
    "empty name": ("SELECT ¦`` FROM T", None),
    "a number nobody can hold": (f"SELECT a FROM T WHERE a = ¦{'9' * 400}", "fewer digits"),
}


@pytest.mark.parametrize(("marked", "remedy"), SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_is_told_with_its_place_and_remedy(marked: str, remedy: str | None) -> None:
    with pytest.raises(NrqlError) as caught:
        parse(marked.replace(HERE, ""))
    assert caught.value.position == marked.index(HERE), caught.value
    assert remedy is None or remedy in caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM Transaction WHERE a = 1",
        "delete appName from Transaction",
        "DROP TABLE Transaction",
        "INSERT INTO T VALUES (1)",
        "UPDATE T SET a = 1",
        "CREATE TABLE T (a)",
        "ALTER T",
        "  TRUNCATE T",
        "/* SELECT */ DELETE FROM T",
    ],
)
def test_only_what_reads_is_a_statement(text: str) -> None:
    with pytest.raises(NrqlError) as caught:
        parse(text)
    assert "reads" in caught.value.reason
    assert "begin with SELECT" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["SELECT a FROM T; DELETE FROM T", "SELECT a FROM T DELETE FROM T", "SHOW EVENT TYPES; DROP T"]
)
def test_nothing_hides_behind_a_statement(text: str) -> None:
    with pytest.raises(NrqlError):
        parse(text)


@pytest.mark.parametrize("text", ["", "   ", ";", "-- nothing"])
def test_an_empty_statement_says_how_one_begins(text: str) -> None:
    with pytest.raises(NrqlError, match="SELECT"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "SHOW TABLES",
        "SHOW",
        "SHOW EVENT",
        "SHOW EVENT TYPES LIMIT 5",
        "SHOW EVENT TYPES SINCE 1 day ago SINCE 2 days ago",
    ],
)
def test_show_knows_event_types_only(text: str) -> None:
    with pytest.raises(NrqlError):
        parse(text)


def test_too_long_a_statement_is_refused_unread() -> None:
    with pytest.raises(NrqlError, match="20,000"):
        parse("SELECT a FROM T WHERE b = '" + "x" * 20_000 + "'")


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("(", ")"),
        ("f(", ")"),
        ("- ", ""),
        ("NOT ", ""),
        ("(SELECT a FROM T WHERE ", ")"),
        ("b IN (", ")"),
        ("f(x: {", "})"),
    ],
)
def test_nesting_has_a_limit(opened: str, closed: str) -> None:
    assert parse(f"SELECT a FROM T WHERE {opened * 25}a{closed * 25}")
    with pytest.raises(NrqlError, match="nested deeper than 60"):
        parse(f"SELECT a FROM T WHERE {opened * 61}a{closed * 61}")


@pytest.mark.parametrize("link", [" + a", " AND a", " OR a = 1", "[0]", " - (a)"])
def test_a_chain_has_a_limit(link: str) -> None:
    with pytest.raises(NrqlError, match="in one chain"):
        parse(f"SELECT a FROM T WHERE a{link * 400}")


def test_the_caret_stands_under_the_place() -> None:
    text = "SELECT count(*) FROM T HAVING x"
    first, second = caret(text, 23).split("\n")
    assert first == text
    assert second == " " * 23 + "^"


def test_the_caret_needs_little_room() -> None:
    text = "SELECT\t" + "a,\n" * 2_000 + "\x1b[31mb FROM T"
    for position in (0, 3_000, len(text), len(text) + 50, -5):
        lines = caret(text, position).split("\n")
        assert len(lines) == 2
        assert all(len(line) < 110 and line.isprintable() for line in lines)
        assert lines[1].strip() == "^"


def test_errors_bring_nothing_along_that_is_long_or_does_not_print() -> None:
    with pytest.raises(NrqlError) as caught:
        parse("SELECT a FROM T \u202e" + "x" * 5_000)
    assert len(str(caught.value)) < 300
    with pytest.raises(NrqlError) as caught:
        parse("SELECT a FROM T " + "x" * 5_000 + "\x1b")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT average(apm.service.%) FROM Metric",
        "SELECT sum(a) FROM T NEWCLAUSE 5",
        "SELECT a FROM T WHERE a SOUNDSLIKE 'x'",
        "SELECT a FROM T SINCE epoch",
        "SELECT a FROM T WHERE",
    ],
)
def test_what_may_be_newer_than_this_has_no_remedy(text: str) -> None:
    """Whoever sends statements may then leave the judgement to New Relic."""
    with pytest.raises(NrqlError) as caught:
        parse(text)
    assert caught.value.remedy == ""

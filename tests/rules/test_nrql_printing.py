"""Whatever a statement holds, writing it and reading it again gives the same statement.

Promise: what is sent is what was meant, and its text can stand for it in a cache.
"""

from hypothesis import given

from sources.nrql.parse import parse
from sources.nrql.text import printed
from sources.nrql.tree import Statement
from tests.rules.nrql_trees import STATEMENTS


@given(STATEMENTS)
def test_what_is_written_reads_as_what_it_was(statement: Statement) -> None:
    assert parse(printed(statement)) == statement


@given(STATEMENTS)
def test_writing_again_changes_nothing(statement: Statement) -> None:
    text = printed(statement)
    assert printed(parse(text)) == text

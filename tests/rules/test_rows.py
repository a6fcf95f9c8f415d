"""Rows are cut to what an answer can hold, and it is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.errors import TooLarge
from sources.protocol import Attribute
from sources.protocol import Json
from sources.protocol import Provenance
from sources.protocol import Table
from tools import limits
from tools.rows import fitted
from tools.tokens import json_tokens


def table(columns: int, *rows: tuple[Json, ...]) -> Table:
    return Table(
        columns=tuple(Attribute(name=f"column_{number}", type="VARCHAR") for number in range(columns)),
        rows=rows,
        more=False,
        repeatable=True,
        schemas=(),
        provenance=Provenance(source="s", queries=(), rows_inspected=0, method="exact", as_of_at=0.0, took_ms=0.0),
    )


def test_rows_that_fit_are_all_there() -> None:
    found = fitted(table(2, ("a", 1), ("b", None)), times=1)
    assert (found.rows, found.cut) == ([["a", 1], ["b", None]], False)


def test_no_row_is_no_row() -> None:
    assert fitted(table(2), times=1).rows == []


def test_rows_beyond_the_budget_are_left_for_the_next_page() -> None:
    found = fitted(table(1, *[("x" * 600,)] * 50), times=1)
    assert 0 < len(found.rows) < 50
    assert not found.cut
    assert len(fitted(table(1, *[("x" * 600,)] * 50), times=10).rows) == 50


def test_a_first_row_of_long_texts_is_shortened_and_said() -> None:
    found = fitted(table(3, ("word " * 4_000, "short", 5)), times=1)
    assert found.cut
    assert found.rows[0][1:] == ["short", 5]
    assert str(found.rows[0][0]).endswith("…")


@pytest.mark.parametrize("wide", [table(2_000), table(1_500, tuple(range(1_500)))])
def test_too_many_columns_are_refused_with_the_way_out(wide: Table) -> None:
    with pytest.raises(TooLarge, match="select the columns you need"):
        fitted(wide, times=1)


@given(rows=st.lists(st.tuples(st.text(max_size=5_000), st.integers()), max_size=20), times=st.integers(0, 100))
def test_an_answer_never_takes_more_than_its_share(rows: list[tuple[str, int]], times: int) -> None:
    found = fitted(table(2, *rows), times=times)
    budget = min(limits.ROWS_TOKENS * max(1, times), limits.ROWS_TOKENS_MOST)
    assert sum(json_tokens(row) for row in found.rows) <= max(budget, limits.ROW_TOKENS_MOST)
    assert bool(found.rows) == bool(rows)

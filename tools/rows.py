"""Which rows of a result an answer holds: as many as fit, the first one whatever it takes, within reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sources.errors import TooLarge
from sources.protocol import Attribute
from sources.protocol import Json
from sources.protocol import Table
from tools import limits
from tools.tokens import fitting
from tools.tokens import json_tokens

_CELL_CHARS = (1_000, 200, 60)
"""Where the texts of rows are cut, one after the other, when not even the first row fits as it is."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows of an answer; `cut` says that texts in them were shortened to make the first one fit."""

    rows: list[list[Any]]
    cut: bool


def fitted(table: Table, *, times: int) -> Fitted:
    """The rows that fit; `times` is how many times the default size the caller asked for.

    Raises `TooLarge` when there are so many columns that one row is too much.
    """
    columns = _columns_tokens(table.columns)
    if columns > limits.ROW_TOKENS_MOST:
        raise _too_wide(table)
    wide = max(0, columns - limits.COLUMNS_TOKENS)
    budget = max(limits.ROWS_TOKENS_LEAST, limits.ROWS_TOKENS * max(1, times) - wide)
    budget = min(budget, limits.ROWS_TOKENS_MOST)
    if not table.rows or json_tokens(table.rows[0]) <= budget:
        return Fitted([list(row) for row in fitting(table.rows, budget, tokens_of=json_tokens)], cut=False)
    rows: list[list[Any]] = []
    for chars in _CELL_CHARS:
        rows = [[_shortened(cell, chars) for cell in row] for row in table.rows]
        if json_tokens(rows[0]) <= budget:
            break
    if json_tokens(rows[0]) > limits.ROW_TOKENS_MOST:
        raise _too_wide(table)
    return Fitted(fitting(rows, budget, tokens_of=json_tokens), cut=True)


def _columns_tokens(columns: Sequence[Attribute]) -> int:
    return sum(json_tokens({"name": column.name, "type": column.type}) for column in columns)


def _shortened(cell: Json, chars: int) -> Json:
    return cell[:chars] + "…" if isinstance(cell, str) and len(cell) > chars else cell


def _too_wide(table: Table) -> TooLarge:
    return TooLarge(
        f"one row of these {len(table.columns)} columns does not fit an answer; select the columns you need "
        "(describe_schema lists them), or parts of nested values"
    )

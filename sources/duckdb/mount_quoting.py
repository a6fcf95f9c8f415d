"""Names and texts written into SQL: the only place that knows how DuckDB quotes."""

from collections.abc import Iterable
from typing import Final

ROWS_SCHEMA: Final = "uds_rows"
"""Where views lie whose rows can be picked one by one."""
PICK: Final = "uds_pick"
"""Their last attribute: a hash of the row's place, from 0 to 2**64 - 1."""
SEED: Final = 42


def quoted(name: str) -> str:
    """An identifier, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """A list of text values."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"

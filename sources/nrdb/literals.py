"""Constants of NRQL written into SQL: the one place where text of a caller becomes text of a statement."""

import math
from functools import lru_cache
from typing import Final

from sources.duckdb.mount_quoting import literal
from sources.duckdb.mount_quoting import quoted
from sources.nrdb.refused import NotTranslated
from sources.nrql.tree import Number
from sources.nrql.tree import Text

_DIGITS_MOST: Final = 18
"""Whole numbers up to here fit 64 bits; longer ones are written as 128-bit numbers, much longer ones as reals."""
_HUGE_DIGITS_MOST: Final = 38


@lru_cache(maxsize=4_096)
def name_sql(name: str) -> str:
    """The column that holds an attribute, whatever characters its name has.

    DuckDB does not tell `Timestamp` from `timestamp`, which every event has, so the former is kept under another name.
    """
    return quoted(f"uds:{name}" if name.lower() == "timestamp" and name != "timestamp" else name)


def number_sql(number: Number) -> str:
    """Whole numbers stay whole, others become doubles (DuckDB would make decimals of them)."""
    value = number.value
    if isinstance(value, int) and len(number.text) <= _DIGITS_MOST:
        return str(value)
    if isinstance(value, int) and len(number.text) <= _HUGE_DIGITS_MOST:
        return f"CAST({value} AS HUGEINT)"
    return real_sql(float(value), number.span.start)


def real_sql(value: float, position: int = 0) -> str:
    """A double."""
    if not math.isfinite(value):
        raise NotTranslated("the number is too large", position, "Use a smaller number.")
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def text_sql(text: Text) -> str:
    """A quoted text; DuckDB knows no escapes in it but the doubled quote."""
    return plain_sql(text.value, text.span.start)


def plain_sql(value: str, position: int = 0) -> str:
    """As `text_sql`, for text that is not of a tree."""
    if not value.isascii() or "\x00" in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotTranslated("the text holds half a character", position, "Remove it.") from None
        if "\x00" in value:
            raise NotTranslated("the text holds a NUL character", position, "Remove it.")
    return literal(value)

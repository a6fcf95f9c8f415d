"""Constants of NRQL written into SQL: the one place where text of a caller becomes text of a statement."""

import math
from functools import lru_cache
from typing import Final

from sources.duckdb.mount_quoting import literal
from sources.duckdb.mount_quoting import quoted
from sources.nrdb.refused import NotTranslated
from sources.nrql.tree import Number
from sources.nrql.tree import Text

name_sql: Final = lru_cache(maxsize=4_096)(quoted)
"""An identifier, whatever characters it holds; the same few are asked for again and again."""
_DIGITS_MOST: Final = 18
"""Whole numbers up to here fit 64 bits; longer ones are written as 128-bit numbers, much longer ones as reals."""
_HUGE_DIGITS_MOST: Final = 38


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

"""Families of DuckDB types: what can be measured of an attribute, and how its values are shown."""

from typing import Final
from typing import Literal

from sources.duckdb.mount_quoting import quoted

Family = Literal["whole", "decimal", "real", "moment", "clock", "text", "truth", "bits", "nested"]
"""`moment`: dates and timestamps. `clock`: times of day and intervals. `nested`: everything that holds other values."""

TEXT_LENGTH: Final = 80
"""Characters of a text that are shown before it is cut."""

_WHOLE: Final = frozenset(f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")) | {
    "INTEGER",
    "UINTEGER",
    "BIGNUM",
}
_FAMILIES: Final[dict[str, Family]] = {
    "FLOAT": "real",
    "DOUBLE": "real",
    "DATE": "moment",
    "TIME": "clock",
    "TIME WITH TIME ZONE": "clock",
    "TIME_NS": "clock",
    "INTERVAL": "clock",
    "VARCHAR": "text",
    "JSON": "text",
    "UUID": "text",
    "BOOLEAN": "truth",
    "BLOB": "bits",
    "BIT": "text",
}


def family(kind: str) -> Family:
    """The family of a type as DuckDB names it."""
    if kind.endswith("]"):
        return "nested"
    if kind in _WHOLE:
        return "whole"
    if kind in _FAMILIES:
        return _FAMILIES[kind]
    if kind.startswith("TIMESTAMP"):
        return "moment"
    if kind.startswith("DECIMAL"):
        return "decimal"
    return "text" if kind.startswith("ENUM") else "nested"


def is_numeric(of: Family) -> bool:
    """Whether a mean makes sense."""
    return of in ("whole", "decimal", "real")


def is_ordered(of: Family) -> bool:
    """Whether a smallest and a largest value make sense."""
    return of not in ("bits", "nested")


def comparable(name: str, of: Family) -> str:
    """The attribute as something that can be counted distinctly, grouped and ordered, whatever its type."""
    return f"{quoted(name)}::VARCHAR" if of == "nested" else quoted(name)


def shown(value: str, of: Family) -> str:
    """An SQL value as it crosses the wire: numbers and truths as they are, all else as bounded text."""
    if of == "real":  # by way of text: 0.1 as a FLOAT is 0.1, and not the double nearest to it
        return f"{value}::VARCHAR::DOUBLE"
    if is_numeric(of) or of == "truth":
        return value
    text = f"'0x' || lower(hex({value}))" if of == "bits" else f"{value}::VARCHAR"
    return f"left({text}, {TEXT_LENGTH + 1})"


def listed(value: str, of: Family) -> str:
    """As `shown`, for values inside a list: real numbers as text, since JSON lists hold no NaN."""
    return f"{value}::VARCHAR" if of == "real" else shown(value, of)


def untied(name: str, of: Family) -> str:
    """The attribute for ranges: texts of fixed sets are ordered as text, not by their position in the set."""
    return f"{quoted(name)}::VARCHAR" if of == "text" else quoted(name)

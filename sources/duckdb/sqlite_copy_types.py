"""Which DuckDB type holds a SQLite column without losing a value: pure rules over its declaration and its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

_EXACT_INTEGER: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the copy."""

    name: str
    type: str
    wanted: str | None = None
    """The type its texts are turned into when all of them allow it."""


def chosen(name: str, declared: str, found: Mapping[str, tuple[Any, Any]]) -> Column:
    """The type for a column. `found`: for each storage class that occurs, its smallest and largest value.

    SQLite's affinities are promises nobody keeps: a column is what its values are, and VARCHAR when they differ.
    """
    kinds = {kind for kind in found if kind != "null"}
    upper = declared.upper()
    if not kinds:
        return Column(name=name, type=_declared(upper))
    if kinds == {"integer"}:
        return Column(name=name, type=_of_integers(upper, *found["integer"]))
    if kinds <= {"integer", "real"}:
        low, high = found.get("integer", (0, 0))
        fits = low >= -_EXACT_INTEGER and high <= _EXACT_INTEGER
        return Column(name=name, type="DOUBLE" if fits else "VARCHAR")
    if kinds == {"blob"}:
        return Column(name=name, type="BLOB")
    return Column(name=name, type="VARCHAR", wanted=_moment(upper) if kinds == {"text"} else None)


def as_text(value: object) -> str | None:
    """A value of a column of mixed kinds, as text."""
    if value is None or isinstance(value, str):
        return value
    return f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)


def _of_integers(declared: str, low: int, high: int) -> str:
    if "BOOL" in declared and low >= 0 and high <= 1:
        return "BOOLEAN"
    is_real = any(word in declared for word in ("REAL", "FLOA", "DOUB"))
    return "DOUBLE" if is_real and low >= -_EXACT_INTEGER and high <= _EXACT_INTEGER else "BIGINT"


def _declared(declared: str) -> str:
    """The type of a column without any value."""
    rules = (
        ("BOOL", "BOOLEAN"),
        ("INT", "BIGINT"),
        ("BLOB", "BLOB"),
        ("REAL", "DOUBLE"),
        ("FLOA", "DOUBLE"),
        ("DOUB", "DOUBLE"),
        ("NUMERIC", "DOUBLE"),
        ("DECIMAL", "DOUBLE"),
    )
    return next((kind for word, kind in rules if word in declared), _moment(declared) or "VARCHAR")


def _moment(declared: str) -> str | None:
    if "DATETIME" in declared or "TIMESTAMP" in declared:
        return "TIMESTAMP"
    return "DATE" if declared.startswith("DATE") else None

"""Names and texts written into SQL: the only place that knows how DuckDB quotes."""

from collections.abc import Iterable


def quoted(name: str) -> str:
    """An identifier, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """A list of text values."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"

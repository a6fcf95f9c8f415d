"""How suggestions are worded."""

from collections.abc import Iterable


def did_you_mean(suggestions: Iterable[str]) -> str:
    """A sentence for an error, or nothing when there is no suggestion."""
    quoted = [f'"{name}"' for name in suggestions]
    return f" Did you mean {' or '.join(quoted)}?" if quoted else ""

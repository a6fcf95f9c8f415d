"""Did-you-mean: the nearest names to one that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """The known names closest to `name`, best first; case never matters."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=most, cutoff=0.5)
    within = [key for key in folded if name.casefold() in key and key not in close]
    return tuple(folded[key] for key in [*close, *within][:most])


def did_you_mean(suggestions: Iterable[str]) -> str:
    """A sentence for an error, or nothing when there is no suggestion."""
    quoted = [f'"{name}"' for name in suggestions]
    return f" Did you mean {' or '.join(quoted)}?" if quoted else ""

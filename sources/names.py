"""Did-you-mean: the nearest names to one that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """The known names closest to `name`, best first; case never matters."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=most, cutoff=0.5)
    within = [key for key in folded if name.casefold() in key and key not in close]
    return tuple(folded[key] for key in [*close, *within][:most])

"""Which of many remembered things an answer shows: what matches, newest first, and no more than fits."""

import json
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Generic
from typing import TypeVar

from tools.relevance import rank
from tools.tokens import fitting

VALUE_CHARS = 600
"""Longer values are cut in answers; the session's resource has them whole."""

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Picked(Generic[S]):
    """What is shown, and whether something that matches is not."""

    shown: list[S]
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the caller asked to see of each list."""

    about: str | None
    limit: int


def pick(
    items: Sequence[T],
    wanted: Wanted,
    *,
    text_of: Callable[[T], str],
    show: Callable[[T], S],
    tokens_of: Callable[[S], int],
    budget: int,
) -> Picked[S]:
    """Pick from items that are in their own best order; `about` replaces that order by how well they match."""
    matching = items if wanted.about is None else _matching(items, wanted.about, text_of)
    shown = fitting((show(item) for item in matching[: wanted.limit]), budget, tokens_of=tokens_of)
    return Picked(shown, len(shown) < len(matching))


def _matching(items: Sequence[T], about: str, text_of: Callable[[T], str]) -> list[T]:
    scores = rank(about, {str(place): (text_of(item),) for place, item in enumerate(items)})
    places = [place for place in range(len(items)) if scores[str(place)] > 0]
    return [items[place] for place in sorted(places, key=lambda place: -scores[str(place)])]


def plain(value: Any) -> str:
    """A value as the text that is searched and measured."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shortened(value: Any) -> Any:
    """The value itself, or the beginning of its text with how much is left out."""
    text = plain(value)
    return value if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}… (+{len(text) - VALUE_CHARS} characters)"

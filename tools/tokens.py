"""How much of a model's context a text takes, estimated without a tokenizer."""

import json
import re
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import TypeVar

_Item = TypeVar("_Item")
_PIECE = re.compile(r"[A-Za-z]{1,6}|\d{1,3}|[^A-Za-z\d\s]{1,2}")


def tokens_about(text: str) -> int:
    """Estimate o200k tokens: up to six letters, three digits or two marks make one.

    Source: compared with the real encoder on JSON rows of numbers, names, times and prose it was between 2 % below and
    20 % above, and 9 % below where most letters are not Latin.
    """
    return sum(1 for _ in _PIECE.finditer(text))


def json_tokens(value: Any) -> int:
    """Estimate what a value takes as compact JSON."""
    return tokens_about(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def fitting(items: Iterable[_Item], budget: int, *, tokens_of: Callable[[_Item], int]) -> list[_Item]:
    """The first items that fit the budget together, at least one of them."""
    taken: list[_Item] = []
    for item in items:
        budget -= tokens_of(item)
        if budget < 0 and taken:
            break
        taken.append(item)
    return taken

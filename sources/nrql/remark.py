"""What a check has to say about a statement."""

from dataclasses import dataclass
from typing import Literal

RemarkKind = Literal[
    "unknown_event_type",
    "unknown_attribute",
    "numeric_as_text",
    "text_as_number",
    "boolean_as_text",
    "like_without_wildcard",
    "equals_with_wildcard",
    "epoch_seconds",
    "implicit_limit",
    "implicit_window",
    "limit_too_high",
    "nested_window",
    "too_many_buckets",
    "too_many_facets",
    "compare_without_window",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing about a statement that may make its answer other than it seems.

    `position` is an offset into the text it was read from. `fatal`: NRDB refuses it, or it cannot have an answer.
    """

    kind: RemarkKind
    text: str
    position: int
    suggestions: tuple[str, ...] = ()
    fatal: bool = False

"""What must not be seen is not: the key never turns into text by accident, and text from outside is bounded."""

import hashlib
import re
from typing import Final

NOT_SHOWN: Final = "(not shown)"
MESSAGE_CHARS: Final = 600

_ODD: Final = re.compile(r"[^\x21-\x7e]")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_KEYS: Final = re.compile(r"\bNR[A-Z]{2}-[A-Za-z0-9]{6,}")
"""What keys of New Relic look like, whosever they are."""


class Secret:
    """The key. Printing it, formatting it or showing an error with it in it shows nothing."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises `ValueError` for what no header can carry; the text does not repeat it."""
        if not text or _ODD.search(text):
            raise ValueError("NEW_RELIC_API_KEY is empty or holds blanks or characters that no key has")
        self._text = text

    def reveal(self) -> str:
        return self._text

    @property
    def digest(self) -> str:
        """The same in every process that has the key, and nothing to guess it from: keys are long and random."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return NOT_SHOWN

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")

    def without(self, text: str, *, most: int = MESSAGE_CHARS) -> str:
        """Text from outside as one bounded line without control characters and without keys."""
        line = _CONTROLS.sub(" ", text[: most * 4].replace(self._text, NOT_SHOWN)).strip()
        line = _KEYS.sub(NOT_SHOWN, line)
        return line if len(line) <= most else f"{line[: most - 1]}\u2026"

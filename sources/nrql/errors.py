"""What is wrong with a text that should be NRQL: the reason, the place, and what to write instead."""

from typing import Final

_AROUND: Final = 48
"""Characters shown on each side of the place."""


class NrqlError(ValueError):
    """A text that is no NRQL statement, or one that NRQL has no meaning for; `str()` is safe to show to a model.

    `position` is an offset into the text, in characters. `remedy` says what to write instead, or is empty.
    """

    def __init__(self, reason: str, position: int = 0, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.position = position
        self.remedy = remedy


def caret(text: str, position: int) -> str:
    """Two lines: the text around `position`, and a caret under it. About a hundred characters wide at most."""
    place = min(max(position, 0), len(text))
    first = max(0, place - _AROUND)
    last = min(len(text), place + _AROUND)
    before = ("... " if first else "") + legible(text[first:place])
    after = legible(text[place:last]) + (" ..." if last < len(text) else "")
    return f"{before}{after}\n{' ' * len(before)}^"


def legible(text: str) -> str:
    """The text with a space in place of whatever does not print, so that it stays on its line."""
    return "".join(each if each.isprintable() else " " for each in text)


def excerpt(text: str, most: int = 40) -> str:
    """A short, printable piece of the text, for the sentence of an error."""
    return legible(text[:most]) + ("..." if len(text) > most else "")

"""Which changes were heard, and in what order they may be told: pure rules over sequence numbers.

Every change has a number, one higher than the one before. Messages are hints that may be lost, doubled or out of order;
the log has what is missing, as long as it goes back far enough and is still the log of the same history.
"""

from dataclasses import dataclass
from typing import Final

AHEAD_MOST: Final = 1_000
"""Messages that came before their turn and are kept until it comes; what is beyond is read from the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What one look found, all of one instant."""

    epoch: str
    server: str
    """Another one may not have all that was acknowledged. Empty: it does not say."""
    sequence: int
    """Of the newest change."""
    log: tuple[tuple[int, str], ...]
    """Numbers and texts from the one that was asked for on, oldest first."""
    cut: bool = False
    """True: the log goes on, one has to look again."""
    epoch_age_s: float = float("inf")
    """Seconds since the epoch began; infinite: that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is to be told now, in this order."""

    texts: tuple[str, ...] = ()
    missed: bool = False
    """True: some changes can not be learned any more; told after the texts."""


class Hearing:
    """Tells each change once and in order, or that some were missed. Begins wherever the first look finds the end."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._last_text: str | None = None
        self._epoch = ""
        self._server = ""
        self._asked: tuple[int | None, str | None] | None = None
        self._unsure = False
        self._ahead: dict[int, str] = {}
        self.behind = True
        """Whether one has to look: nothing is known yet, or a message says that others are missing."""
        self.gaps = 0
        self.repaired = 0
        """Changes that were told from the log."""

    def heard(self, number: int, text: str) -> Heard:
        """A message came."""
        if self._last is None or number <= self._last:
            return Heard()  # before the beginning, or told already
        if len(self._ahead) < AHEAD_MOST:
            self._ahead[number] = text
        if number != self._last + 1:
            self.gaps += not self.behind
            self.behind = True
            return Heard()
        return Heard(texts=self._joined())

    def ask(self) -> int | None:
        """Begin to look: the number from which the log is wanted. None: none of it."""
        self._unsure = self._unsure or (self._last is None and self._asked is not None)
        self._asked = (self._last, self._last_text)
        return self._last

    def seen(self, picture: Picture) -> Heard:
        """What was looked for came; messages may have come meanwhile."""
        if self._last is None:
            missed = self._unsure  # the time of which nothing is known began when it was first asked in vain
            self._begin(picture)
            return Heard(missed=missed)
        if self._parted(picture):
            self._begin(picture)
            return Heard(missed=True)
        texts = self._caught_up(picture)
        if self._last < picture.sequence and not (picture.cut and self._got_on()):
            self._begin(picture)
            return Heard(texts=texts, missed=True)
        texts += self._joined()
        self.behind = picture.cut or bool(self._ahead)
        return Heard(texts=texts)

    def _parted(self, picture: Picture) -> bool:
        """Whether this is not the history that was heard until now."""
        asked, text = self._asked or (None, None)
        if asked is None:
            return False
        first = picture.log[0] if picture.log else (0, "")
        return (
            picture.epoch != self._epoch
            or picture.server != self._server
            or picture.sequence < asked
            or (text is not None and first[0] == asked and first[1] != text)
        )

    def _begin(self, picture: Picture) -> None:
        self._last = picture.sequence
        self._last_text = None
        self._epoch = picture.epoch
        self._server = picture.server
        self._ahead.clear()
        self.behind = False

    def _caught_up(self, picture: Picture) -> tuple[str, ...]:
        texts: list[str] = []
        for number, text in picture.log:
            if self._follows(number):
                texts.append(self._took(number, text))
        self.repaired += len(texts)
        return tuple(texts)

    def _joined(self) -> tuple[str, ...]:
        """What came before its turn, now that it has come."""
        assert self._last is not None  # noqa: S101 - nothing is put ahead of an unknown beginning
        texts: list[str] = []
        while (text := self._ahead.pop(self._last + 1, None)) is not None:
            texts.append(self._took(self._last + 1, text))
        if self._ahead and min(self._ahead) <= self._last:
            self._ahead = {number: text for number, text in self._ahead.items() if number > self._last}
        return tuple(texts)

    def _got_on(self) -> bool:
        """Whether the next look will begin further on."""
        return self._asked is not None and self._asked[0] != self._last

    def _follows(self, number: int) -> bool:
        return self._last is not None and number == self._last + 1

    def _took(self, number: int, text: str) -> str:
        self._last, self._last_text = number, text
        return text

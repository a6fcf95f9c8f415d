"""The rule by which a worker that died is started again, later each time, or all is given up. Pure."""

from dataclasses import dataclass
from typing import Final

SHORT_LIFE_S: Final = 10.0
"""Whoever dies sooner than this has most likely died of how it was started, and will again."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_SHORT_LIVES_MOST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """What happened so far in one worker's place."""

    short: int = 0
    """Lives in a row that were short."""
    ever_ready: bool = False
    """Whether any of them came as far as serving."""

    def after(self, *, lived_s: float, was_ready: bool) -> "Lives":
        """With one more life that ended."""
        return Lives(short=self.short + 1 if lived_s < SHORT_LIFE_S else 1, ever_ready=self.ever_ready or was_ready)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next one is started."""
        return min(_FIRST_PAUSE_S * 2.0 ** max(0, self.short - 1), _LONGEST_PAUSE_S)

    def is_hopeless(self, code: int) -> bool:
        """Whether another start would be no better, given the exit code of the last.

        A first start that ends by itself has said why; starting it again would say it again.
        """
        return self.short >= _SHORT_LIVES_MOST or (not self.ever_ready and code > 0)

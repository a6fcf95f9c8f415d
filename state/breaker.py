"""Whether a place far away is worth asking: a state machine over what was seen of it. It asks nobody itself."""

from collections.abc import Callable
from dataclasses import dataclass

TIMEOUTS_MOST = 2
"""In a row, without an answer between them: then the place counts as down."""
PROBE_FIRST_S = 0.05
PROBE_MOST_S = 1.0
_JITTER = 0.2


@dataclass(slots=True)
class Breaker:
    """Up at first. What was seen returns True if it changed that. `random`: within 0 and 1."""

    clock: Callable[[], float]
    random: Callable[[], float]
    up: bool = True
    reason: str = ""
    """Why it is down. Empty: it is up."""
    _timeouts: int = 0
    _probes: int = 0
    _probe_at: float = 0.0

    def answered(self) -> None:
        """An answer came, whatever it says."""
        self._timeouts = 0

    def timed_out(self, reason: str) -> bool:
        """Nothing came in time."""
        self._timeouts += 1
        return self._timeouts >= TIMEOUTS_MOST and self.refused(reason)

    def refused(self, reason: str) -> bool:
        """There is nobody: it was asked twice and refused twice."""
        if not self.up:
            return False
        self.up, self.reason, self._probes = False, reason, 0
        return True

    def next_probe_s(self) -> float:
        """How long to wait before it is asked again: longer each time, and not at the same moment as everybody else."""
        pause = min(PROBE_FIRST_S * 2.0 ** min(self._probes, 16), PROBE_MOST_S)
        self._probes += 1
        pause *= 1 + _JITTER * (2 * self.random() - 1)
        self._probe_at = self.clock() + pause
        return pause

    def probed(self) -> bool:
        """It did what it was asked to when it was down."""
        changed = not self.up
        self.up, self.reason, self._timeouts, self._probes = True, "", 0, 0
        return changed

    @property
    def retry_after_s(self) -> float:
        """When a caller who was turned away may come again."""
        return max(self._probe_at - self.clock(), PROBE_FIRST_S)

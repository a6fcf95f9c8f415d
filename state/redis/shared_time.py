"""How instants of this machine's clock become those of Redis and back, so that instances with wrong clocks agree.

Callers tell how long from now, the script adds that to the time of Redis, and an answer carries that time, so that what
it says is told from now again.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SharedTime:
    """`shared`: the time that all instances go by, when that is not Redis's own; then instants are told as they are."""

    clock: Callable[[], float]
    shared: Callable[[], float] | None = None

    def now(self) -> str:
        """For a script. Empty: it asks Redis."""
        return "" if self.shared is None else repr(float(self.shared()))

    def told(self, at: float) -> str:
        """An instant of the clock, for a script."""
        return repr(float(at)) if self.shared is not None else repr(at - self.clock())

    def heard(self, at: bytes, stamp: bytes, asked_at: float) -> float:
        """An instant that a script told, by the clock. `stamp`: when the script ran, which was asked for at `asked_at`.

        Told a little too early rather than too late: what happens here afterwards never seems to be before it.
        """
        return float(at) if self.shared is not None else asked_at + (float(at) - float(stamp))

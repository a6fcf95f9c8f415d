"""How the process is asked to stop, and its promise to be gone two seconds later."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

EXIT_STOPPED = 0
"""Being asked to stop is no failure: SIGTERM and SIGINT end the process with this code."""

_PATIENCE_S = 1.7
"""After this long the process exits as it stands. Workers go with it: they end when their pipe closes."""


class Stop:
    """Turns SIGTERM and SIGINT into one call of whoever is serving."""

    def __init__(self) -> None:
        self.should_exit = False
        """Also read by sse-starlette, which finds it through the installed signal handler and ends open streams."""
        self._wake: Callable[[], object] | None = None

    def install(self) -> None:
        """Listen from now on; must be called on the main thread."""
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # not every platform has each
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, self.asked)

    def call_on_stop(self, wake: Callable[[], object]) -> None:
        """Call `wake`, from a signal handler on the main thread, when asked to stop. Until then a stop just exits."""
        self._wake = wake

    def asked(self, _signal: int, _frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(EXIT_STOPPED)  # asked twice: somebody is impatient
        self.should_exit = True
        last_resort = threading.Timer(_PATIENCE_S, os._exit, (EXIT_STOPPED,))
        last_resort.daemon = True
        last_resort.start()
        if self._wake is None:
            raise SystemExit(EXIT_STOPPED)
        self._wake()

"""Changes within one process: for a server that shares nothing, and the last step of those that do."""

import logging
from collections.abc import Callable

from state.changes import Change
from state.changes import Listener

_log = logging.getLogger(__name__)


class LocalChanges:
    """Implements `Changes`. Listeners are told in the order they came, each before `publish` returns."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def publish(self, change: Change) -> None:
        for listener in tuple(self._listeners.values()):
            try:
                listener(change)
            except Exception:  # noqa: BLE001 - who listens is foreign here, and one must not silence the others
                _log.exception("a listener failed on %s", change)

    def listen(self, listener: Listener) -> Callable[[], None]:
        place = object()  # the same listener may be there twice
        self._listeners[place] = listener

        def end() -> None:
            self._listeners.pop(place, None)

        return end

    async def aclose(self) -> None:
        self._listeners.clear()

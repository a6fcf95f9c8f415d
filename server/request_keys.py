"""Keys that seal what a client carries from one round of a call to the next, so that any process can finish it.

All processes that share a state directory share a file with keys; all instances of a deployment share a value in Redis.
The first key seals, all of them are accepted. Keys are never logged.
"""

import logging
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mcp.server.request_state import AESGCMRequestStateCodec
from mcp.server.request_state import InvalidRequestState
from mcp.server.request_state import RequestStateSecurity

from server.settings import Settings
from state.errors import StateBusy
from state.redis.keys import Keys
from state.redis.wire import Wire
from state.sqlite.lock import exclusive

_log = logging.getLogger(__name__)

KEYS_NAME: Final = "request.keys"
_KEY_CHARS = 64
_KEPT: Final = 2
"""Keys in a ring: the one that seals, and the one before, whose calls may still be under way."""
_RENEWED_AFTER_S: Final = 30 * 86400.0
_LOOK_AGAIN_S: Final = 1.0
"""Tokens that nobody here has sealed are forged as fast as anybody likes; the file is not read as fast."""


class KeyRing:
    """The codec of the SDK, whose keys may change while it is used. Calls come from one event loop."""

    def __init__(
        self,
        keys: Sequence[str],
        *,
        again: Callable[[], Sequence[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`again` reads the keys anew when one that is not known is met; None: they are what they are."""
        self._keys = tuple(keys)
        self._codec = AESGCMRequestStateCodec(self._keys)
        self._again = again
        self._clock = clock
        self._looked_s = -_LOOK_AGAIN_S

    def use(self, keys: Sequence[str]) -> None:
        """Seal with the first of `keys` from now on, and go on accepting what was sealed before."""
        ring = tuple(dict.fromkeys((*keys, *self._keys)))[: len(keys) + _KEPT]
        if ring != self._keys:
            self._codec = AESGCMRequestStateCodec(ring)
            self._keys = ring

    def seal(self, payload: bytes) -> str:
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """What was sealed. Raises `InvalidRequestState` when it was not sealed with any of our keys."""
        try:
            return self._codec.unseal(token)
        except InvalidRequestState:
            if not self._looked_again():
                raise
        return self._codec.unseal(token)

    def _looked_again(self) -> bool:
        """Whether there are other keys now than there were."""
        now_s = self._clock()
        if self._again is None or now_s - self._looked_s < _LOOK_AGAIN_S:
            return False
        self._looked_s = now_s
        before = self._keys
        self.use(self._again())
        return self._keys != before


def security(ring: KeyRing) -> RequestStateSecurity:
    """What the SDK's server takes."""
    return RequestStateSecurity(codec=ring)


def ring_of(settings: Settings) -> KeyRing:
    """The keys of the processes that share this state directory; of this process only where nothing can be kept."""
    path = settings.state_dir / KEYS_NAME
    if settings.store == "memory":
        return KeyRing([_new_key()])
    try:
        return KeyRing(file_keys(path, now=time.time()), again=lambda: _look_again(path))
    except (OSError, StateBusy) as fault:
        _log.warning("calls of several rounds can be finished by this process only: %s", fault)
        return KeyRing([_new_key()])


def file_keys(path: Path, *, now: float) -> tuple[str, ...]:
    """The keys in the file, which is made when it is missing and gets a new first key every 30 days.

    `now`: wall clock. Processes that meet here agree. Raises `OSError`, `StateBusy`.
    """
    found = _read_or_none(path)
    if found and now - path.stat().st_mtime < _RENEWED_AFTER_S:
        return found
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(path, within_s=5.0):
        found = _read_or_none(path)
        if found and now - path.stat().st_mtime < _RENEWED_AFTER_S:
            return found
        _write(path, (_new_key(), *found[: _KEPT - 1]))
        return _read_or_none(path)


async def shared_keys(wire: Wire, keys: Keys) -> tuple[str, ...]:
    """The keys of all instances that share this Redis; whoever comes first makes them. Raises `Away`, `Refused`."""
    name = f"{keys.tag}{KEYS_NAME}"
    found = _parsed(await wire.call("GET", name, key=name))
    if not found:
        await wire.call("SET", name, _new_key(), "NX", key=name)
        found = _parsed(await wire.call("GET", name, key=name))
    return found


def _new_key() -> str:
    return secrets.token_hex(_KEY_CHARS // 2)


def _read_or_none(path: Path) -> tuple[str, ...]:
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return ()


def _look_again(path: Path) -> tuple[str, ...]:
    try:
        return _read_or_none(path)
    except OSError:
        return ()  # those we have are still good


def _parsed(text: bytes | None) -> tuple[str, ...]:
    """Keys, one a line; lines that are none do not count."""
    lines = (text or b"").decode("ascii", "replace").split()
    return tuple(dict.fromkeys(line for line in lines if len(line) >= _KEY_CHARS and line.isalnum()))


def _write(path: Path, ring: Sequence[str]) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600 from the beginning
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(ring) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise

"""The protocol by which everything here talks to Redis, and what is raised when that does not work."""

from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from typing import Any
from typing import Protocol

from state.errors import StateBusy

Part = str | bytes | int
"""Of a command. Floats are written by `repr` before, so that nothing is lost."""


class Away(StateBusy):
    """Redis does not answer in time. Worth trying again after `retry_after_s`."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(f"the shared store of sessions cannot be reached ({reason})")
        self.sent = sent
        """True: what was asked may have been carried out all the same."""


class Refused(Exception):
    """Redis answered with an error: a script that is wrong, a permission, a full memory; the text is Redis's own."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]
        """Such as `NOPERM`, `OOM`, `READONLY` or `ERR`."""


@dataclass(frozen=True)
class Script:
    """A Lua script. All its keys share one hash tag."""

    name: str
    text: str

    @cached_property
    def digest(self) -> str:
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Wire(Protocol):
    """Commands to one Redis, from one event loop. Calls of one moment travel together; each has a deadline.

    Answers are bytes, ints, None and lists of them, never decoded.
    """

    async def call(self, *parts: Part, key: str) -> Any:
        """Send a command and return its answer. `key`: one that it touches, for finding its node in a cluster.

        Never sent a second time once it may have been carried out. Raises `Away`, `Refused`.
        """
        ...

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        """Run a script. `again`: it may run twice, so that it is sent again when the connection broke under it.

        Raises `Away`, `Refused`.
        """
        ...

    def messages(self, channel: str) -> AsyncGenerator[bytes]:
        """What is published to a channel, over a connection of its own; an empty one first, once it listens.

        Raises `Away` as soon as the connection is lost or silent for too long: it never resumes by itself, since what
        was published meanwhile is lost and somebody must know.
        """
        ...

    @property
    def up(self) -> bool:
        """Whether Redis answered when last asked. While False every call is refused at once, and it is probed."""
        ...

    def watch(self, told: Callable[[bool, str], None]) -> None:
        """Be told each time `up` changes, and why. Never blocks, never raises."""
        ...

    async def aclose(self) -> None:
        """Let go of all connections. Waits for nothing that Redis would have to answer."""
        ...

"""The names of everything that lies in Redis. One hash tag, so that one script may touch a session and its owner.

A session, its owner's quota and the one sequence of all changes are compared and written in one step; that is what
keeps promises, and it needs one slot. Results are not bound to anything and are spread over all slots.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """`prefix`: of everything that one deployment keeps in a Redis that others use too."""

    prefix: str = "uds"

    @property
    def tag(self) -> str:
        """Before every name that belongs to state: `uds:{s}:`."""
        return f"{self.prefix}:{{s}}:"

    @property
    def sequence(self) -> str:
        """Counts all changes; each change's number is its id in the log."""
        return f"{self.tag}seq"

    @property
    def log(self) -> str:
        """The stream of changes, the newest about 10,000."""
        return f"{self.tag}log"

    @property
    def epoch(self) -> str:
        """Random, made by the first instance that finds none: another one means that everything before it was lost."""
        return f"{self.tag}epoch"

    @property
    def channel(self) -> str:
        """Where each change is called out at once."""
        return f"{self.tag}changes"

    def told(self, origin: str) -> str:
        """The ticket of the last change that an instance announced apart from writing, so that none is sent twice."""
        return f"{self.tag}told:{origin}"

    def result(self, digest: str) -> str:
        """A cached result."""
        return f"{self.prefix}:r:{digest}"

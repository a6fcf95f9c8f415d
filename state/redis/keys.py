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

    def told(self, outbox: str) -> str:
        """The ticket of the last change that an instance announced apart from writing, so that none is sent twice."""
        return f"{self.tag}told:{outbox}"

    def session(self, session_id: str) -> tuple[str, ...]:
        """Where one session lies, and what every write moves, in the order in which scripts expect it.

        Its header, events and checkpoints; the ends of life of all sessions, those that have ended, and counts of all;
        then what announces. What belongs to its owner, and other sessions whose time has come, the scripts name
        themselves (`state/redis/lua_lives.py`): who the owner is, only the header tells.
        """
        tag = self.tag
        own = (f"{tag}h:{session_id}", f"{tag}e:{session_id}", f"{tag}c:{session_id}")
        return (*own, f"{tag}ends", f"{tag}ended", f"{tag}held", self.sequence, self.log, self.epoch, self.nothing)

    @property
    def lists(self) -> tuple[str, ...]:
        """What scripts look at that are not about one session: ends of life, and sessions that have ended."""
        return (f"{self.tag}ends", f"{self.tag}ended", self.nothing)

    @property
    def nothing(self) -> str:
        """Never there. While a slot moves between nodes of a cluster, they refuse scripts that miss one of their keys.

        So none sees only a part of what there is, or writes beside what is still to come.
        """
        return f"{self.tag}nothing"

    def result(self, digest: str) -> str:
        """A cached result."""
        return f"{self.prefix}:r:{digest}"

"""The past of a session: its events, how it was, whether its history is intact, and going back."""

from bisect import bisect_right

from state import decisions
from state.chain import Verdict
from state.commands import Command
from state.commands import Commands
from state.errors import InvalidValue
from state.errors import UnknownSession
from state.journal import Event
from state.journal import Journal
from state.session import Session


class Histories:
    """Every method raises `UnknownSession`, and but for `restore` none of them moves a session's life on."""

    def __init__(self, journal: Journal, commands: Commands) -> None:
        self._journal = journal
        self._commands = commands

    async def events(self, handle: str, *, principal: str, after: int = 0) -> tuple[Event, ...]:
        """The kept events after a version, oldest first."""
        await self._commands.standing(handle, principal)
        return await self._commands.folds.events(handle, after=after)

    async def as_of(self, handle: str, *, principal: str, version: int) -> Session:
        """The session as it was at a version. Raises `InvalidValue` when it has none such, or it was compacted."""
        now = (await self._commands.standing(handle, principal)).alive
        if version == now.version:
            return now
        then = await self._commands.folds.load_at(handle, version) if 0 < version < now.version else None
        if then is None:
            raise InvalidValue(f"version {version} cannot be looked at: pass one from {_first(now)} to {now.version}")
        return then

    async def version_at(self, handle: str, *, principal: str, at: float) -> int:
        """The newest version at an instant. Raises `InvalidValue` when nothing is kept from before it."""
        events = await self.events(handle, principal=principal)
        place = bisect_right([event.at for event in events], at)
        if not place:
            raise InvalidValue("the history that is kept begins later than this time: pass a later one, or a version")
        return events[place - 1].version

    async def verify(self, handle: str, *, principal: str) -> Verdict:
        """Whether every kept event is as it was written, in its place."""
        await self._commands.standing(handle, principal)
        verdict = await self._journal.verify(handle)
        if verdict is None:
            raise UnknownSession
        return verdict

    async def restore(self, handle: str, *, principal: str, to: int) -> Session:
        """Bring back what the session knew at a version, by an event more, so that this can be undone in the same way.

        Nothing is written when it knows just that. Raises `InvalidValue`, `OverLimit`.
        """
        then = await self.as_of(handle, principal=principal, version=to)
        command = Command(decide=lambda seen, actor: decisions.restore(seen, then, actor))
        return await self._commands.carry_out(handle, principal, command)


def _first(session: Session) -> int:
    """The earliest version that can be looked at."""
    return max(session.compacted_version, 1)

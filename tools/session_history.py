"""Tool `session_history`: what happened in a session, its state as it was, what changed, and the way back."""

from dataclasses import dataclass
from dataclasses import field
from typing import Annotated
from typing import Any

from pydantic import BeforeValidator
from pydantic import Field

from state.chain import Verdict
from state.document import document
from state.errors import StateUnavailable
from state.histories import Histories
from state.journal import Event
from state.patch import difference
from state.session import Session
from state.timeline import summary
from tools import limits
from tools.answer import Answer
from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Cursor
from tools.arguments import Handle
from tools.arguments import list_from_text
from tools.call import Call
from tools.cursor import make_cursor
from tools.cursor import read_cursor
from tools.errors import InvalidArgument
from tools.history_parts import Window
from tools.history_parts import cut_changes
from tools.history_parts import cut_state
from tools.moments import Moment
from tools.moments import version_of
from tools.ports import Ports
from tools.ports import session_uri
from tools.session_answers import session_fields
from tools.times import rfc3339
from tools.tokens import fitting
from tools.tokens import json_tokens

Pair = Annotated[list[Moment], BeforeValidator(list_from_text), Field(min_length=2, max_length=2)]
Version = Annotated[int, Field(ge=0)]


class EventShown(Answer):
    """One event; `actor` is the principal who wrote it."""

    version: int
    at: str
    kind: str
    actor: str
    summary: str


class HistoryShown(Remembered):
    """Events come newest first, or oldest first with `since` or `diff`, which leave out what is not asked about.

    `state` is what the session held at `state_version`; `changes` is a JSON Patch (RFC 6902) that makes the state of
    the first version in `compared` into that of the second. `truncated`: one of them is not whole, hints say what is
    left out. Only a first page has them. `verified`: every event is as it was written; if not, `fault` names the first
    that is not.
    """

    events: list[EventShown]
    verified: bool
    fault: str | None = None
    state_version: int | None = None
    state: dict[str, Any] | None = None
    compared: list[int] | None = None
    changes: list[dict[str, Any]] | None = None
    truncated: bool | None = None
    hints: list[str]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    since: int | None
    at: Moment | None
    diff: list[Moment] | None
    restore_to: int | None
    limit: int
    cursor: str | None

    def refuse_mixed(self) -> None:
        if self.restore_to is not None and not (self.at is self.diff is self.since is self.cursor is None):
            raise InvalidArgument("restore_to changes the session: pass it without since, at, diff and cursor")
        if self.diff is not None and self.since is not None:
            raise InvalidArgument("diff says already which events are meant: leave out since")

    def question(self, handle: str) -> tuple[object, ...]:
        return ("session_history", handle, self.since, self.at, None if self.diff is None else tuple(self.diff))


@dataclass(slots=True, kw_only=True)
class _Shown:
    """What is shown beside the events, and which events belong to it."""

    session: Session
    window: Window
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    hints: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """Reads the journal; only `restore_to` writes, one event that can be undone in the same way."""

    ports: Ports

    async def session_history(
        self,
        call: Call,
        session: Handle,
        since: Annotated[Version | None, Field(description="version: only later events")] = None,
        at: Annotated[Moment | None, Field(description="version or time: the state then")] = None,
        diff: Annotated[Pair | None, Field(description="[from, to], versions or times: what changed")] = None,
        restore_to: Annotated[Version | None, Field(description="version whose state to bring back")] = None,
        limit: Annotated[int, Field(ge=1, le=limits.EVENTS_MOST)] = 50,
        cursor: Cursor = None,
    ) -> Rendered:
        """Show a session's timeline, its state as of a version or time, what changed, or restore an earlier state."""
        asked = _Asked(since=since, at=at, diff=diff, restore_to=restore_to, limit=limit, cursor=cursor)
        asked.refuse_mixed()
        await self.ports.notes.settled()
        if restore_to is None:
            shown = await self._looked(call, session, asked)
        else:
            shown = await self._restored(call, session, restore_to)
        return render(await self._answer(call, shown, asked))

    async def _looked(self, call: Call, handle: str, asked: _Asked) -> _Shown:
        found = await self.ports.sessions.get(handle, principal=call.principal)
        after = min(asked.since or 0, found.version)
        whole = Window(after=after, through=found.version, oldest_first=asked.since is not None)
        shown = _Shown(session=found, window=whole)
        both = asked.at is not None and asked.diff is not None
        budget = limits.STATE_TOKENS // 2 if both else limits.STATE_TOKENS
        if asked.at is not None:
            await self._add_state(call, shown, asked.at, budget)
        if asked.diff is not None:
            first, last = [await self._version(call, shown, each, "diff") for each in asked.diff]
            if first > last:
                raise InvalidArgument(f"diff goes from an earlier to a later version, not from {first} to {last}")
            await self._add_changes(call, shown, (first, last), budget)
        return shown

    async def _add_state(self, call: Call, shown: _Shown, at: Moment, budget: int) -> None:
        version = await self._version(call, shown, at, "at")
        if shown.window.after > version:
            raise InvalidArgument(f"since is {shown.window.after}, later than at, which is version {version}")
        then = await self._histories.as_of(shown.session.handle, principal=call.principal, version=version)
        cut = cut_state(document(then), budget)
        shown.fields |= {"state_version": version, "state": cut.kept}
        shown.window = Window(after=shown.window.after, through=version, oldest_first=shown.window.oldest_first)
        if cut.left_out:
            shown.fields["truncated"] = True
            shown.hints.append(f"Of the state {cut.told}: {_whole_at(shown.session, version)}")

    async def _add_changes(self, call: Call, shown: _Shown, between: tuple[int, int], budget: int) -> None:
        handle, (first, last) = shown.session.handle, between
        before = await self._histories.as_of(handle, principal=call.principal, version=first)
        after = await self._histories.as_of(handle, principal=call.principal, version=last)
        changes = difference(document(before), document(after))
        cut = cut_changes(changes, budget)
        shown.fields |= {"compared": [first, last], "changes": cut.kept}
        shown.window = Window(after=first, through=last, oldest_first=True)
        if not changes:
            shown.hints.append(f"The state is the same at versions {first} and {last}.")
        if cut.left_out:
            shown.fields["truncated"] = True
            narrower = "compare versions that are closer, or " if last - first > 1 else ""
            shown.hints.append(f"Of the changes {cut.told}: {narrower}{_whole_at(shown.session, last)}")

    async def _restored(self, call: Call, handle: str, version: int) -> _Shown:
        found = await self._histories.restore(handle, principal=call.principal, to=version)
        shown = _Shown(session=found, window=Window(after=0, through=found.version, oldest_first=False))
        if found.restored_version != found.version:
            shown.hints.append(f"The state is that of version {version} already: nothing was written.")
            return shown
        self.ports.changed(session_uri(handle))
        await self._add_changes(call, shown, (found.version - 1, found.version), limits.STATE_TOKENS)
        shown.window = Window(after=0, through=found.version, oldest_first=False)
        shown.hints.append(f"Restored version {version}; restore_to={found.version - 1} undoes it.")
        return shown

    async def _answer(self, call: Call, shown: _Shown, asked: _Asked) -> HistoryShown:
        found, question = shown.session, asked.question(shown.session.handle)
        place = read_cursor(asked.cursor, question=question, fingerprint="")
        window = shown.window.from_place(place.offset)
        verdict = await self._histories.verify(found.handle, principal=call.principal)
        events = await self._events(call, found.handle, window.first_read(asked.limit), verdict)
        beside = shown.fields if asked.cursor is None else {}
        budget = limits.EVENTS_TOKENS_BESIDE if beside else limits.EVENTS_TOKENS
        page = [_event_shown(each) for each in window.page(events, asked.limit)]
        page = fitting(page, budget, tokens_of=lambda each: json_tokens(each.model_dump()))
        more = bool(page) and window.goes_on(page[-1].version, found.compacted_version)
        return HistoryShown(
            **session_fields(found),
            events=page,
            verified=verdict.ok,
            fault=verdict.fault,
            **beside,
            hints=_hints(shown, asked, verified=verdict.ok),
            next_cursor=make_cursor(page[-1].version, question=question, fingerprint="") if more else None,
        )

    async def _events(self, call: Call, handle: str, after: int, verdict: Verdict) -> tuple[Event, ...]:
        """None where the history is damaged so that they cannot be read: the verdict is then what there is to tell."""
        try:
            return await self._histories.events(handle, principal=call.principal, after=after)
        except StateUnavailable:
            if verdict.ok:
                raise
            return ()

    async def _version(self, call: Call, shown: _Shown, moment: Moment, name: str) -> int:
        return await version_of(self.ports.sessions, call, shown.session.handle, moment, name=name)

    @property
    def _histories(self) -> Histories:
        return self.ports.sessions.histories


def _event_shown(event: Event) -> EventShown:
    return EventShown(
        version=event.version, at=rfc3339(event.at), kind=event.kind, actor=event.actor, summary=summary(event)
    )


def _whole_at(found: Session, version: int) -> str:
    """Where to read a state that does not fit an answer."""
    if version == found.version:
        return f"read {session_uri(found.handle)}."
    return f"open_session with branch_of and at={version} makes a session of it, whose resource has it whole."


def _hints(shown: _Shown, asked: _Asked, *, verified: bool) -> list[str]:
    found = shown.session
    hints = list(shown.hints) if asked.cursor is None else []
    if not verified:
        hints.append("This history was damaged or changed by others: do not rely on it, and tell the operator.")
    if asked.since is not None and asked.since >= found.version:
        hints.append(f"Nothing happened after version {asked.since}: the session is at version {found.version}.")
    if shown.window.after < found.compacted_version:
        hints.append(f"Events up to version {found.compacted_version} were dropped for good; what they led to is kept.")
    return hints

"""Tool `recall`: which sessions there are, or what one of them knows."""

import json
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import TypeVar

from pydantic import Field

from state.session import Session
from tools.answer import Answer
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import ShortText
from tools.arguments import Text
from tools.call import Call
from tools.next_steps import NextStep
from tools.next_steps import next_steps
from tools.ports import Ports
from tools.relevance import rank
from tools.session_answers import GoalShown
from tools.session_answers import active_goal
from tools.session_answers import common
from tools.session_answers import goal_shown
from tools.times import rfc3339

_VALUE_CHARS = 600
_Item = TypeVar("_Item")


class SessionListed(Answer):
    """One of the caller's own sessions."""

    session: str
    label: str | None = None
    goal: str | None = None
    last_access_at: str
    expires_at: str
    findings: int


class FindingShown(Answer):
    """A finding; long values are cut here and whole in the session's resource."""

    id: str
    key: str | None = None
    value: Any
    evidence: str | None = None
    at: str
    version: int


class ExploredShown(Answer):
    """A schema the session looked at, and the attributes it saw."""

    source: str
    schema_name: str = Field(serialization_alias="schema")
    attributes: list[str]
    last_at: str


class Recalled(Answer):
    """Either the caller's sessions, or all that follows `session`."""

    sessions: list[SessionListed] | None = None
    session: str | None = None
    version: int | None = None
    etag: str | None = None
    label: str | None = None
    parent: str | None = None
    goals: list[GoalShown] | None = None
    context: dict[str, Any] | None = None
    preferences: dict[str, Any] | None = None
    explored: list[ExploredShown] | None = None
    findings: list[FindingShown] | None = None
    next_steps: list[NextStep] | None = None
    expires_at: str | None = None
    hints: list[str]


@dataclass(frozen=True, slots=True)
class Recall:
    """Reads memory only; nothing is measured."""

    ports: Ports

    async def recall(
        self,
        call: Call,
        session: Annotated[ShortText | None, Field(description="handle; omit to list your sessions")] = None,
        about: Annotated[Text | None, Field(description="words; best match first")] = None,
        limit: Annotated[int, Field(ge=1, le=200, description="per list")] = 20,
    ) -> Rendered:
        """Recall what a session knows (goals, findings, context, explored schemas), or list your open sessions."""
        await self.ports.notes.settled()
        if session is None:
            return render(await self._sessions(call, about, limit))
        found = await self.ports.sessions.get(session, principal=call.principal)
        return render(await self._one(found, about, limit))

    async def _sessions(self, call: Call, about: str | None, limit: int) -> Recalled:
        every = await self.ports.sessions.of(principal=call.principal, limit=limit if about is None else 1_000)
        chosen, cut = _chosen(every, about, limit, lambda each: f"{each.label or ''} {active_goal(each) or ''}")
        listed = [
            SessionListed(
                session=each.handle,
                label=each.label,
                goal=active_goal(each),
                last_access_at=rfc3339(each.last_access_at),
                expires_at=rfc3339(each.expires_at),
                findings=len(each.findings),
            )
            for each in chosen
        ]
        hints = _hints(about, cut=cut)
        if not listed:
            hints.append("No open session: call open_session.")
        return Recalled(sessions=listed, hints=hints)

    async def _one(self, found: Session, about: str | None, limit: int) -> Recalled:
        findings, cut_findings = _chosen(
            list(reversed(found.findings)), about, limit, lambda each: f"{each.key or ''} {_plain(each.value)}"
        )
        explored, cut_explored = _chosen(
            sorted(found.explored, key=lambda each: -each.last_at),
            about,
            limit,
            lambda each: " ".join((each.schema, *each.attributes)),
        )
        context, cut_context = _kept(found.context, about, limit)
        preferences, cut_preferences = _kept(found.preferences, about, limit)
        cut = cut_findings or cut_explored or cut_context or cut_preferences
        return Recalled(
            **common(found),
            label=found.label,
            parent=found.parent,
            goals=[goal_shown(each) for each in found.goals[-limit:]],
            context=context,
            preferences=preferences,
            explored=[
                ExploredShown(
                    source=each.source,
                    schema_name=each.schema,
                    attributes=list(each.attributes[:limit]),
                    last_at=rfc3339(each.last_at),
                )
                for each in explored
            ],
            findings=[
                FindingShown(
                    id=each.id,
                    key=each.key,
                    value=_shown(each.value),
                    evidence=None if each.evidence is None else _shown(each.evidence),
                    at=rfc3339(each.at),
                    version=each.version,
                )
                for each in findings
            ],
            next_steps=await next_steps(self.ports, found),
            expires_at=rfc3339(found.expires_at),
            hints=_hints(about, cut=cut, resource=f"uds://sessions/{found.handle}"),
        )


def _chosen(
    items: Sequence[_Item], about: str | None, limit: int, text_of: Callable[[_Item], str]
) -> tuple[list[_Item], bool]:
    """The `limit` best items (those that match `about`, else in their own order) and whether some were left out."""
    if about is None:
        return list(items[:limit]), len(items) > limit
    scores = rank(about, {str(place): (text_of(item),) for place, item in enumerate(items)})
    matching = sorted((place for place in range(len(items)) if scores[str(place)] > 0), key=lambda at: -scores[str(at)])
    return [items[place] for place in matching[:limit]], len(matching) > limit


def _kept(kept: Any, about: str | None, limit: int) -> tuple[dict[str, Any], bool]:
    newest = sorted(kept.items(), key=lambda pair: -pair[1].at)
    chosen, cut = _chosen(newest, about, limit, lambda pair: f"{pair[0]} {_plain(pair[1].value)}")
    return {key: _shown(each.value) for key, each in chosen}, cut


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> Any:
    text = _plain(value)
    if len(text) <= _VALUE_CHARS:
        return value
    return f"{text[:_VALUE_CHARS]}… (+{len(text) - _VALUE_CHARS} characters)"


def _hints(about: str | None, *, cut: bool, resource: str | None = None) -> list[str]:
    hints: Iterable[str] = ()
    if cut:
        where = f" or read {resource}" if resource else ""
        hints = (f"Not everything is shown: raise limit, narrow about{where}.",)
    if about is not None and not cut:
        hints = (*hints, "Only what matches about is shown.")
    return list(hints)

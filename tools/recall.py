"""Tool `recall`: which sessions there are, or what one of them knows."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from state.session import Finding
from state.session import Kept
from state.session import OpenConflict
from state.session import Session
from tools import limits
from tools.answer import Answer
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import ShortText
from tools.arguments import Text
from tools.call import Call
from tools.landscape import goal_needs
from tools.needs import Need
from tools.next_steps import NextStep
from tools.next_steps import next_steps
from tools.picking import Picked
from tools.picking import Wanted
from tools.picking import pick
from tools.picking import plain
from tools.picking import shortened
from tools.ports import Ports
from tools.ports import notices
from tools.ports import session_uri
from tools.session_answers import DEGRADED
from tools.session_answers import GoalShown
from tools.session_answers import active_goal
from tools.session_answers import goal_shown
from tools.session_answers import session_fields
from tools.times import rfc3339
from tools.tokens import fitting
from tools.tokens import json_tokens

_SESSIONS_SEARCHED = 1_000


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


class ConflictShown(Answer):
    """Two values for one field, the parent's being kept until `remember` with this kind and key settles it."""

    kind: str
    key: str
    parent: Any
    child: Any
    child_session: str
    at: str


class Recalled(Answer):
    """Either the caller's sessions, or all that follows `session`."""

    sessions: list[SessionListed] | None = None
    session: str | None = None
    version: int | None = None
    etag: str | None = None
    degraded: str | None = None
    label: str | None = None
    parent: str | None = None
    children: int | None = None
    branch_of: str | None = None
    branch_version: int | None = None
    conflicts: list[ConflictShown] | None = None
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
        read: Annotated[
            Literal["session", "strong"], Field(description="strong: fail rather than answer without Redis")
        ] = "session",
    ) -> Rendered:
        """Recall what a session knows (goals, findings, context, explored schemas), or list your open sessions."""
        wanted = Wanted(about=about, limit=limit)
        await self.ports.notes.settled()
        if session is None:
            return render(await self._sessions(call, wanted))
        found = await self.ports.sessions.get(session, principal=call.principal, level=read)
        return render(await self._one(found, wanted))

    async def _sessions(self, call: Call, wanted: Wanted) -> Recalled:
        looked_at = wanted.limit + 1 if wanted.about is None else _SESSIONS_SEARCHED
        alone = self.ports.alone()
        every = await self.ports.sessions.of(principal=call.principal, limit=looked_at)
        listed = pick(
            every,
            wanted,
            text_of=lambda each: f"{each.label or ''} {active_goal(each) or ''}",
            show=_session_listed,
            tokens_of=_tokens,
            budget=limits.RECALLED_SESSIONS_TOKENS,
        )
        hints = _hints(wanted, cut=listed.cut)
        if not listed.shown:
            hints.append("No open session: call open_session.")
        degraded = DEGRADED if alone or self.ports.alone() or any(each.local for each in every) else None
        return Recalled(sessions=listed.shown, degraded=degraded, hints=[*hints, *notices(self.ports)])

    async def _one(self, found: Session, wanted: Wanted) -> Recalled:
        conflicts = _conflicts(found)
        findings = _findings(found, wanted, limits.RECALLED_TOKENS["findings"] - sum(map(_tokens, conflicts)))
        explored = _explored(found, wanted)
        context = _kept(found.context, wanted, limits.RECALLED_TOKENS["context"])
        preferences = _kept(found.preferences, wanted, limits.RECALLED_TOKENS["preferences"])
        goals = _goals(found, wanted, await goal_needs(self.ports, found))
        cut = any(each.cut for each in (goals, findings, explored, context, preferences))
        return Recalled(
            **session_fields(found),
            label=found.label,
            parent=found.parent,
            children=len(found.children) or None,
            branch_of=found.branch_of,
            branch_version=found.branch_version or None,
            conflicts=conflicts or None,
            goals=goals.shown[::-1],
            context=dict(context.shown),
            preferences=dict(preferences.shown),
            explored=explored.shown,
            findings=findings.shown,
            next_steps=await next_steps(self.ports, found),
            expires_at=rfc3339(found.expires_at),
            hints=[
                *_conflict_hints(found),
                *_hints(wanted, cut=cut, resource=session_uri(found.handle)),
                *notices(self.ports),
            ],
        )


def _goals(found: Session, wanted: Wanted, needs: Mapping[str, Sequence[Need]]) -> Picked[GoalShown]:
    """The newest, whatever is searched for: they say what the session is about."""
    newest = (goal_shown(each, needs.get(each.id), listed=False) for each in found.goals[::-1][: wanted.limit])
    shown = fitting(newest, limits.RECALLED_TOKENS["goals"], tokens_of=_tokens)
    return Picked(shown, len(shown) < len(found.goals))


def _conflicts(found: Session) -> list[ConflictShown]:
    """Whatever is searched for: they wait for somebody to settle them."""
    return fitting(map(_conflict_shown, found.conflicts), limits.CONFLICTS_TOKENS, tokens_of=_tokens)


def _conflict_shown(each: OpenConflict) -> ConflictShown:
    return ConflictShown(
        kind=each.kind,
        key=each.key,
        parent=shortened(each.parent),
        child=shortened(each.child),
        child_session=each.child_session,
        at=rfc3339(each.at),
    )


def _conflict_hints(found: Session) -> list[str]:
    if not found.conflicts:
        return []
    count = len(found.conflicts)
    return [f"Conflicts to be settled: {count}. Call remember with the kind and key of one, and the value to keep."]


def _findings(found: Session, wanted: Wanted, budget: int) -> Picked[FindingShown]:
    return pick(
        found.findings[::-1],
        wanted,
        text_of=lambda each: f"{each.key or ''} {plain(each.value)}",
        show=_finding_shown,
        tokens_of=_tokens,
        budget=budget,
    )


def _explored(found: Session, wanted: Wanted) -> Picked[ExploredShown]:
    return pick(
        sorted(found.explored, key=lambda each: -each.last_at),
        wanted,
        text_of=lambda each: " ".join((each.schema, *each.attributes)),
        show=lambda each: ExploredShown(
            source=each.source,
            schema_name=each.schema,
            attributes=list(each.attributes[: wanted.limit]),
            last_at=rfc3339(each.last_at),
        ),
        tokens_of=_tokens,
        budget=limits.RECALLED_TOKENS["explored"],
    )


def _kept(kept: Mapping[str, Kept], wanted: Wanted, budget: int) -> Picked[tuple[str, Any]]:
    return pick(
        sorted(kept.items(), key=lambda pair: -pair[1].version),
        wanted,
        text_of=lambda pair: f"{pair[0]} {plain(pair[1].value)}",
        show=lambda pair: (pair[0], shortened(pair[1].value)),
        tokens_of=json_tokens,
        budget=budget,
    )


def _session_listed(each: Session) -> SessionListed:
    return SessionListed(
        session=each.handle,
        label=each.label,
        goal=active_goal(each),
        last_access_at=rfc3339(each.last_access_at),
        expires_at=rfc3339(each.expires_at),
        findings=len(each.findings),
    )


def _finding_shown(each: Finding) -> FindingShown:
    return FindingShown(
        id=each.id,
        key=each.key,
        value=shortened(each.value),
        evidence=None if each.evidence is None else shortened(each.evidence),
        at=rfc3339(each.at),
        version=each.version,
    )


def _tokens(shown: Answer) -> int:
    return json_tokens(shown.model_dump(mode="json", exclude_none=True))


def _hints(wanted: Wanted, *, cut: bool, resource: str | None = None) -> list[str]:
    hints: list[str] = []
    if cut:
        where = f", or read {resource}" if resource else ""
        hints.append(f"Not everything is shown: narrow with about{where}.")
    if wanted.about is not None:
        hints.append("Only what matches about is shown.")
    return hints

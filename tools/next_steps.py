"""What to call next, computed from what a session's goal names and what it has not looked at yet."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sources.errors import SourceError
from sources.protocol import Schema
from sources.protocol import Source
from state.session import Session
from tools.answer import Answer
from tools.ports import Ports
from tools.relevance import rank

_PATIENCE_S = 2.0
"""Looking at files for the first time may take minutes; opening a session must not."""


class NextStep(Answer):
    """A call that can be made as it stands."""

    tool: str
    arguments: dict[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    schema: Schema
    score: float


async def next_steps(
    ports: Ports, session: Session, *, limit: int = 3, patience_s: float = _PATIENCE_S
) -> list[NextStep]:
    """At most `limit` calls, the most settling first; never a schema that the session has already described."""
    described = {(each.source, each.schema) for each in session.explored if each.attributes}
    goal = " ".join(each.text for each in session.goals if each.status == "active")
    try:
        async with asyncio.timeout(patience_s):
            candidates = await _candidates(ports, goal)
    except (SourceError, TimeoutError):
        candidates = []  # a session is worth having while its sources are slow or away
    unseen = [each for each in candidates if (each.schema.source, each.schema.name) not in described]
    steps = [_describe(session, each, ports.sources) for each in unseen if each.score > 0 or not goal]
    if goal and not session.findings:
        steps += _profiles(session, goal, ports.sources)
    if not steps and not described:
        steps.append(_list(session))
    return steps[:limit]


async def _candidates(ports: Ports, goal: str) -> list[_Candidate]:
    schemas = [
        (source, schema) for source in ports.sources for schema in await ports.schemas_of(source) if not schema.fault
    ]
    documents = {
        f"{schema.source}/{schema.name}": (
            schema.name,
            *await ports.attributes_of(source, schema.name),
        )
        for source, schema in schemas
    }
    scores = rank(goal, documents)
    found = [_Candidate(schema, scores[f"{schema.source}/{schema.name}"]) for _, schema in schemas]
    return sorted(found, key=lambda each: (-each.score, each.schema.name.casefold()))


def _describe(session: Session, candidate: _Candidate, sources: Sequence[Source]) -> NextStep:
    arguments = {"schema": candidate.schema.name, "session": session.handle}
    if len(sources) > 1:
        arguments["source"] = candidate.schema.source
    if candidate.score > 0:
        why = f"fits the goal (relevance {candidate.score:g}) and has not been described in this session"
    else:
        why = "has not been described in this session"
    return NextStep(tool="describe_schema", arguments=arguments, why=why)


def _list(session: Session) -> NextStep:
    return NextStep(
        tool="list_schemas", arguments={"session": session.handle}, why="no schema has been looked at in this session"
    )


def _profiles(session: Session, goal: str, sources: Sequence[Source]) -> list[NextStep]:
    """The attribute of each described schema that has most to do with the goal: its values decide how to filter."""
    steps: list[NextStep] = []
    for seen in session.explored:
        scores = rank(goal, dict.fromkeys(seen.attributes, ()))
        best = max(scores, key=lambda attribute: scores[attribute], default=None)
        if best is not None and scores[best] > 0:
            arguments = {"schema": seen.schema, "attribute": best, "session": session.handle}
            if len(sources) > 1:
                arguments["source"] = seen.source
            steps.append(NextStep(tool="profile_attribute", arguments=arguments, why="the goal is about it"))
    return steps

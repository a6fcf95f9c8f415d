"""Which calls would settle most of what a session's goals still need: pure, from the session and the landscape."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from state.goals import Goal
from state.session import OpenConflict
from state.session import Session
from tools.answer import Answer
from tools.answered import Answered
from tools.landscape import Landscape
from tools.limits import ATTRIBUTES_BRIEF
from tools.needs import Meeting
from tools.needs import Need
from tools.needs import is_told
from tools.step_nrql import first_nrql
from tools.step_queries import Matched
from tools.step_queries import first_query

_ATTRIBUTES_NAMED: Final = 8
_TERMS_NAMED: Final = 3
_CHARS: Final = 60
_PROFILES: Final = 2
_WRITERS: Final = {"duckdb": first_query, "newrelic": first_nrql}
"""Who writes a first query in the language of each kind of source."""

Key = tuple[str, str]


class NextStep(Answer):
    """A call that can be made as it stands."""

    tool: str
    arguments: dict[str, Any]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that steps are computed from."""

    session: Session
    landscape: Landscape
    needs: Mapping[str, Sequence[Need]]
    """By the id of each active goal, newest last."""
    told: Sequence[frozenset[str]]
    """What the session's findings mention."""
    answered: Answered
    is_source_named: bool
    """There are several sources, so a step says which one it means."""

    def goals(self) -> list[tuple[Goal, Sequence[Need]]]:
        """Active goals, newest first."""
        return [(goal, self.needs[goal.id]) for goal in reversed(self.session.goals) if goal.id in self.needs]

    def measured(self, key: Key) -> frozenset[str]:
        """The attributes of a schema that the session has seen measured."""
        return frozenset(
            name for each in self.session.explored if (each.source, each.schema) == key for name in each.attributes
        )

    def call(self, key: Key, **arguments: Any) -> dict[str, Any]:
        """Arguments of a call about a schema."""
        named = {"source": key[0]} if self.is_source_named else {}
        return {**arguments, "session": self.session.handle, **named}


def steps(standing: Standing) -> Iterator[NextStep]:
    """Every step there is, the most settling first."""
    yield from settlements(standing.session)
    yield from describes(standing)
    yield from profiles(standing)
    yield from queries(standing)
    yield from completions(standing)
    if not standing.session.goals:
        yield from looks(standing)


def settlements(session: Session) -> Iterator[NextStep]:
    """One for each open conflict: writing the value that stands is a decision too."""
    for each in session.conflicts:
        why = f"settles an open conflict by keeping the present value; the child session has {_cut(each.child)}"
        yield NextStep(tool="remember", arguments=_kept(session, each), why=why)


def _kept(session: Session, conflict: OpenConflict) -> dict[str, Any]:
    return {"session": session.handle, "kind": conflict.kind, "key": conflict.key, "value": conflict.parent}


def describes(standing: Standing) -> Iterator[NextStep]:
    """The schemas that settle most of what is not verified, each for what those before it leave open."""
    waiting = [
        (need, {(each.source, each.schema): each for each in reversed(need.open_meetings)})
        for _, needs in standing.goals()
        for need in needs
        if need.meetings and not need.is_verified
    ]
    while waiting:
        gains: dict[Key, float] = {}
        for _, meetings in waiting:
            for key, meeting in meetings.items():
                gains[key] = gains.get(key, 0.0) + meeting.score
        best = max(gains, key=lambda key: gains[key])
        settled = [(need, meetings[best]) for need, meetings in waiting if best in meetings]
        yield _describe(standing, best, settled)
        waiting = [(need, meetings) for need, meetings in waiting if best not in meetings]


def _describe(standing: Standing, key: Key, settled: Sequence[tuple[Need, Meeting]]) -> NextStep:
    """All of a schema of one page; of a larger one, or one that is known in part, what is needed."""
    arguments: dict[str, Any] = {"schema": key[1]}
    needed = [each.attribute for _, each in settled if each.attribute is not None]
    is_wide = len(standing.landscape.held[key].attributes) > ATTRIBUTES_BRIEF
    if needed and (is_wide or standing.measured(key)):
        arguments["attributes"] = list(dict.fromkeys(needed))[:_ATTRIBUTES_NAMED]
    terms = [f"{_cut(need.term.text)} ({each.attribute or 'its name'})" for need, each in settled[:_TERMS_NAMED]]
    more = f" and {len(settled) - _TERMS_NAMED} more" if len(settled) > _TERMS_NAMED else ""
    why = f"meets {', '.join(terms)}{more} of the goal; not measured in this session"
    return NextStep(tool="describe_schema", arguments=standing.call(key, **arguments), why=why)


def profiles(standing: Standing) -> Iterator[NextStep]:
    """Attributes whose values decide a filter: those in which a value was met, then those of text."""
    open_needs = [need for _, needs in standing.goals() for need in _untold(standing, needs)]
    meetings = sorted((need.open_meetings[0] for need in open_needs), key=lambda each: each.value is None)
    offered = 0
    for each in dict.fromkeys((each.source, each.schema, each.attribute) for each in meetings):
        source, schema, attribute = each
        if attribute is None or standing.answered.knows(standing.session.handle, "profile", *each):
            continue
        values = [meeting.value for meeting in meetings if (meeting.schema, meeting.attribute) == (schema, attribute)]
        value = next((value for value in values if value is not None), None)
        if offered == _PROFILES or (value is None and not _is_text(standing, (source, schema), attribute)):
            continue
        offered += 1
        why = "its values decide how to filter for the goal" if value is None else f"holds {_cut(value)}: see how often"
        arguments = standing.call((source, schema), schema=schema, attribute=attribute)
        yield NextStep(tool="profile_attribute", arguments=arguments, why=why)


def _is_text(standing: Standing, key: Key, attribute: str) -> bool:
    return any(
        each.name == attribute and each.type.startswith(("VARCHAR", "ENUM", "string"))
        for each in standing.landscape.held[key].attributes
    )


def queries(standing: Standing) -> Iterator[NextStep]:
    """One for each goal and schema of which something is verified and nothing is told yet."""
    for goal, needs in standing.goals():
        untold = _untold(standing, needs)
        best = dict.fromkeys(
            (each.source, each.schema) for need in untold for each in need.meetings[:1] if each.attribute
        )
        matched = {key: _measured(standing, key, needs) for key in best}
        for key in sorted(matched, key=lambda key: -len(matched[key])):
            query = _query(standing, key, matched[key], goal.text)
            if query is not None and not standing.answered.knows(standing.session.handle, "query", key[0], query):
                arguments = standing.call(key, query=query)
                yield NextStep(
                    tool="run_query", arguments=arguments, why=f"what the goal names in {_cut(key[1])} is verified"
                )


def _measured(standing: Standing, key: Key, needs: Sequence[Need]) -> list[Meeting]:
    """What one schema has for each need among its measured attributes, be it only an id that points elsewhere."""
    known = standing.measured(key)
    found = ([each for each in need.meetings if (each.source, each.schema) == key] for need in needs)
    firsts = (next((each for each in meetings if each.attribute in known), None) for meetings in found)
    return [each for each in firsts if each is not None]


def _query(standing: Standing, key: Key, meetings: Sequence[Meeting], question: str) -> str | None:
    held = standing.landscape.held[key]
    write = _WRITERS.get(held.source.kind)
    if write is None:
        return None
    names = dict.fromkeys(each.attribute for each in meetings if each.attribute is not None)
    values = {each.attribute: each.value for each in meetings if each.attribute is not None and each.value is not None}
    types = {each.name: each.type for each in held.attributes}
    return write(Matched(schema=key[1], types=types, attributes=tuple(names), values=values), question)


def _untold(standing: Standing, needs: Sequence[Need]) -> list[Need]:
    """Verified needs that no finding tells about yet."""
    return [need for need in needs if need.is_verified and not is_told(need, standing.told)]


def completions(standing: Standing) -> Iterator[NextStep]:
    """A goal is done when all it needs is verified and something was found since it was set."""
    for goal, needs in standing.goals():
        is_found = any(each.at >= goal.opened_at for each in standing.session.findings)
        if is_found and all(need.is_verified for need in needs if need.meetings):
            arguments = {"session": standing.session.handle, "goal": goal.id, "status": "done"}
            why = "all it needs that was found is verified, and a finding is kept: if it answers the goal, close it"
            yield NextStep(tool="set_goal", arguments=arguments, why=why)


def looks(standing: Standing) -> Iterator[NextStep]:
    """Without a goal every schema is worth a look."""
    for key in sorted(standing.landscape.held, key=lambda key: (key[1].casefold(), key[0])):
        if not standing.measured(key):
            why = "has not been described in this session"
            yield NextStep(tool="describe_schema", arguments=standing.call(key, schema=key[1]), why=why)


def _cut(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _CHARS else f"{text[: _CHARS - 1]}…"

"""What one copy of a session holds and another lacks, as events: for when a history is lost, and copies are not."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from state import fold
from state.goals import Goal
from state.journal import Draft
from state.session import Finding
from state.session import Kept
from state.session import Session
from state.strategies import STEP_S
from state.strategies import canonical


def remainder(ours: Session, theirs: Session) -> tuple[Draft, ...]:
    """What to write to theirs so that it holds all that ours does; of two values of one field the later stays.

    Both come from one history, so that what differs is only how much of it was seen. Doing it again gives nothing.
    """
    at = max(ours.moved_at, theirs.moved_at)
    parts = (
        *_findings(ours, theirs),
        *_kept(fold.CONTEXT, ours.context, theirs.context),
        *_kept(fold.PREFERENCE, ours.preferences, theirs.preferences),
        *_goals(ours.goals, theirs.goals),
        *_explored(ours, theirs),
        *((fold.CHILD_OPENED, {"child": child}) for child in ours.children if child not in theirs.children),
    )
    return tuple(
        Draft(at=at + place * STEP_S, kind=kind, actor=ours.owner, body=body)
        for place, (kind, body) in enumerate(parts, start=1)
    )


def _findings(ours: Session, theirs: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    there = {_content(each) for each in theirs.findings}
    for each in ours.findings:
        other = None if each.key is None else theirs.findings_by_place.get(each.place)
        if _content(each) in there or (other is not None and other.at >= each.at):
            continue
        body = {"key": each.key, "evidence": each.evidence, "value": each.value, "at": each.at}
        yield fold.FINDING, {name: part for name, part in body.items() if part is not None or name == "value"}


def _content(finding: Finding) -> tuple[float, str | None, str]:
    return finding.at, finding.key, canonical(finding.value)


def _kept(kind: str, ours: Mapping[str, Kept], theirs: Mapping[str, Kept]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, each in ours.items():
        if key not in theirs or theirs[key].at < each.at:
            yield kind, {"key": key, "value": each.value, "at": each.at}


def _goals(ours: tuple[Goal, ...], theirs: tuple[Goal, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    number = len(theirs)
    for each in ours:
        other = next((one for one in theirs if one.text == each.text), None)
        if other is not None:
            if each.status != other.status and _moved_at(each) > _moved_at(other):
                yield fold.GOAL_MOVED, {"id": other.id, "status": each.status}
            continue
        number += 1
        yield fold.GOAL_OPENED, {"text": each.text}
        if each.status != "active":
            yield fold.GOAL_MOVED, {"id": f"g{number}", "status": each.status}


def _moved_at(goal: Goal) -> float:
    return goal.closed_at or goal.opened_at


def _explored(ours: Session, theirs: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, each in ours.explored_by_schema.items():
        other = theirs.explored_by_schema.get(place)
        known = set[str]() if other is None else set(other.attributes)
        fresh = [name for name in each.attributes if name not in known]
        if other is None or fresh:
            yield fold.EXPLORED, {"source": each.source, "schema": each.schema, "attributes": fresh}

"""A session's state as one JSON document whose places stay where they are, made for comparing and for going back."""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Final

from state.session import Finding
from state.session import Goal
from state.session import Kept
from state.session import OpenConflict
from state.session import Session

_LIKE_AN_ID: Final = re.compile(r"key:|(?:[0-9a-f]{8}\.)*f\d+\Z", re.ASCII)

Document = dict[str, Any]


def document(session: Session) -> Document:
    """What the session holds, by name: `{goals, context, preferences, findings, explored, conflicts}`, all objects.

    Two documents differ only if what is held differs: versions and instants are left out, and nothing is in a list
    whose places would shift. Values are shared with the session: never change them.
    """
    return {
        "goals": {each.id: _goal(each) for each in session.goals},
        "context": _values(session.context),
        "preferences": _values(session.preferences),
        "findings": {_finding_place(each): _finding(each) for each in session.findings},
        "explored": {_schema_place(each.source, each.schema): list(each.attributes) for each in session.explored},
        "conflicts": _conflicts(session.conflicts),
    }


def _goal(goal: Goal) -> Document:
    return {"text": goal.text, "status": goal.status}


def _values(kept: Mapping[str, Kept]) -> Document:
    return {key: each.value for key, each in kept.items()}


def _finding_place(finding: Finding) -> str:
    """Its key, which outlives each value under it, else its id; a key that reads like an id is marked as a key."""
    if finding.key is None:
        return finding.id
    return f"key:{finding.key}" if _LIKE_AN_ID.match(finding.key) else finding.key


def _finding(finding: Finding) -> Document:
    whole = {"key": finding.key, "value": finding.value, "evidence": finding.evidence}
    return {name: part for name, part in whole.items() if part is not None or name == "value"}


def _schema_place(source: str, schema: str) -> str:
    """`source/schema`; a slash in a source's own name is written as in addresses, so that no two schemas meet."""
    return f"{source.replace('%', '%25').replace('/', '%2F')}/{schema}"


def _conflicts(left_open: Iterable[OpenConflict]) -> Document:
    return {
        f"{each.kind}.{each.key}": {"parent": each.parent, "child": each.child, "child_session": each.child_session}
        for each in left_open
    }

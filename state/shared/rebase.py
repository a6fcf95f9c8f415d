"""What was written to a session apart from others, decided again on what those others made of it: pure.

Every event either goes on top as it is, or is known there already, or meets another value. Of two values that meet,
the one that its kind's strategy (`state.strategies.OUTCOMES`) picks goes for both sides, and an event `resolved` keeps
both: nothing is dropped silently. Doing it twice gives nothing new: an event that is there, by its stamp and content,
is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any
from typing import Final
from typing import Literal

from state import fold
from state.goals import Goal
from state.journal import Draft
from state.journal import Piece
from state.journal import new_nonce
from state.session import Finding
from state.session import Kept
from state.session import Session
from state.shared.pieces import APART
from state.strategies import OUTCOMES
from state.strategies import STEP_S
from state.strategies import Stamped
from state.strategies import canonical
from state.strategies import keep_latest

Side = Literal["ours", "theirs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What was written apart, oldest first, and where it began."""

    version: int
    """Up to this version both histories are the same; 0: it is not known how far."""
    goals: int
    """Goals the session had there: the next one that was opened apart was called by the number after."""
    pieces: tuple[Piece, ...]
    where: str
    """What was cut off, for those who read the history: an instance's name."""


@dataclass(slots=True)
class _Rebasing:
    theirs: Session
    apart: Apart
    at: float
    drafts: list[Draft] = field(default_factory=list[Draft])
    goal_ids: dict[str, str] = field(default_factory=dict[str, str])
    """From what a goal was called apart to what it is called now."""
    goals: dict[str, Goal] = field(default_factory=dict[str, Goal])
    opened: int = 0
    nonce: str = ""
    """Of the piece whose turn it is."""

    def put(self, draft: Draft, **body: Any) -> None:
        """Write it on top; what the body says of its instant is the instant it was first written."""
        self.at = max(self.at + STEP_S, draft.at)
        self.drafts.append(replace(draft, at=self.at, body={**draft.body, **body, APART: self._named(draft)}))

    def resolved(self, draft: Draft, name: str, ours: Stamped, theirs: Stamped, kept: Side) -> None:
        """Keep both inputs of a decision."""
        self.at = max(self.at + STEP_S, draft.at)
        body = {
            "field": name,
            "strategy": OUTCOMES.get(_STRATEGY_OF.get(draft.kind, ""), "theirs"),
            "kept": kept,
            "ours": {"value": ours.value, "at": ours.at},
            "theirs": {"value": theirs.value, "at": theirs.at},
            "where": self.apart.where,
            APART: self._named(draft),
        }
        self.drafts.append(Draft(at=self.at, kind=fold.RESOLVED, actor=draft.actor, body=body))

    def _named(self, draft: Draft) -> str:
        return draft.body.get(APART, self.nonce)


def rebased(theirs: Session, apart: Apart, nonce: Callable[[], str] = new_nonce) -> tuple[Piece, ...]:
    """What to append to the session so that it holds what was written apart; pieces that need no event are left out.

    Each gets a nonce of its own, since it may come to stand at a version at which it stood before, in another history.
    Its events name the one they had.
    """
    rebasing = _Rebasing(theirs, apart, theirs.moved_at, goals=dict(theirs.goals_by_id))
    rebasing.opened = apart.goals
    pieces: list[Piece] = []
    for piece in apart.pieces:
        rebasing.drafts, rebasing.nonce = [], piece.nonce
        for draft in piece.drafts:
            if draft.key is not None and draft.key in theirs.keys:
                continue  # the same call, sent again to another instance, which carried it out
            _STEPS.get(draft.kind, _on_top)(rebasing, draft)
        if rebasing.drafts:
            pieces.append(Piece(nonce=nonce(), drafts=tuple(rebasing.drafts)))
    return tuple(pieces)


def _on_top(rebasing: _Rebasing, draft: Draft) -> None:
    rebasing.put(draft)


def _left_out(_rebasing: _Rebasing, _draft: Draft) -> None:
    """It speaks of its own history only."""


def _finding(rebasing: _Rebasing, draft: Draft) -> None:
    body, at = draft.body, draft.body.get("at", draft.at)
    if body.get("key") is not None:
        _keyed(rebasing, draft, rebasing.theirs.findings_by_place.get((body["key"], True)))
        return
    if any(each.at == at and _same(each.value, body["value"]) for each in rebasing.theirs.findings):
        return
    rebasing.put(draft, at=at)


def _context(rebasing: _Rebasing, draft: Draft) -> None:
    _keyed(rebasing, draft, rebasing.theirs.context.get(draft.body["key"]))


def _preference(rebasing: _Rebasing, draft: Draft) -> None:
    _keyed(rebasing, draft, rebasing.theirs.preferences.get(draft.body["key"]))


def _keyed(rebasing: _Rebasing, draft: Draft, there: Kept | Finding | None) -> None:
    ours = Stamped(value=draft.body["value"], at=draft.body.get("at", draft.at))
    if there is None:
        rebasing.put(draft, at=ours.at)
        return
    theirs = Stamped(value=there.value, at=there.at)
    if ours.at == theirs.at and _same(ours.value, theirs.value):
        return
    kept: Side = "ours" if keep_latest(ours, theirs) is ours else "theirs"
    if kept == "ours":
        rebasing.put(draft, at=ours.at)
    # A value from before they parted was seen by whoever wrote the later one: no two writers met there.
    if there.version > rebasing.apart.version and not _of_this_side(rebasing.apart, theirs):
        rebasing.resolved(draft, f"{draft.kind}.{draft.body['key']}", ours, theirs, kept)


def _of_this_side(apart: Apart, there: Stamped) -> bool:
    """Whether the value was written apart as well, by one of the pieces: then nobody else is met."""
    return any(
        draft.body.get("at", draft.at) == there.at and _same(draft.body.get("value"), there.value)
        for piece in apart.pieces
        for draft in piece.drafts
    )


def _goal_opened(rebasing: _Rebasing, draft: Draft) -> None:
    rebasing.opened += 1
    called = f"g{rebasing.opened}"
    same = [each for each in rebasing.goals.values() if each.text == draft.body["text"] and each.status == "active"]
    if same:
        rebasing.goal_ids[called] = same[-1].id
        return
    goal_id = f"g{len(rebasing.goals) + 1}"
    rebasing.goals[goal_id] = Goal(
        id=goal_id, text=draft.body["text"], status="active", opened_at=draft.at, version=rebasing.theirs.version + 1
    )
    rebasing.goal_ids[called] = goal_id
    rebasing.put(draft)


def _goal_moved(rebasing: _Rebasing, draft: Draft) -> None:
    goal_id = _called_now(rebasing, draft.body["id"])
    goal = rebasing.goals.get(goal_id)
    if goal is None or goal.status == draft.body["status"]:
        return
    ours = Stamped(value=draft.body["status"], at=draft.at)
    theirs = Stamped(value=goal.status, at=goal.closed_at or goal.opened_at)
    met = rebasing.apart.version < goal.version <= rebasing.theirs.version
    kept: Side = "ours" if not met or keep_latest(ours, theirs) is ours else "theirs"
    if kept == "ours":
        rebasing.put(draft, id=goal_id)
        rebasing.goals[goal_id] = replace(goal, status=draft.body["status"], version=rebasing.theirs.version + 1)
    if met:
        rebasing.resolved(draft, f"goal.{goal_id}", ours, theirs, kept)


def _called_now(rebasing: _Rebasing, goal_id: str) -> str:
    return rebasing.goal_ids.get(goal_id, goal_id)


def _explored(rebasing: _Rebasing, draft: Draft) -> None:
    known = rebasing.theirs.explored_by_schema.get((draft.body["source"], draft.body["schema"]))
    if known is None or not set(draft.body["attributes"]) <= set(known.attributes):
        rebasing.put(draft)


def _child_opened(rebasing: _Rebasing, draft: Draft) -> None:
    if draft.body["child"] not in rebasing.theirs.children:
        rebasing.put(draft)


def _restored(rebasing: _Rebasing, draft: Draft) -> None:
    """Going back would undo what others did meanwhile and nobody could have meant to."""
    ours = Stamped(value={"to": draft.body["to"], "state": draft.body["state"]}, at=draft.at)
    rebasing.resolved(draft, "restored", ours, _standing(rebasing), "theirs")


def _closed(rebasing: _Rebasing, draft: Draft) -> None:
    """Others went on with the session: it stays open for them."""
    rebasing.resolved(draft, "closed", Stamped(value=True, at=draft.at), _standing(rebasing), "theirs")


def _standing(rebasing: _Rebasing) -> Stamped:
    return Stamped(value={"version": rebasing.theirs.version}, at=rebasing.theirs.moved_at)


def _same(left: Any, right: Any) -> bool:
    return canonical(left) == canonical(right)


_STRATEGY_OF: Final = {
    fold.FINDING: "finding with a key",
    fold.CONTEXT: "context",
    fold.PREFERENCE: "preference",
    fold.GOAL_MOVED: "goal",
}

_STEPS: Final[dict[str, Callable[[_Rebasing, Draft], None]]] = {
    fold.OPENED: _left_out,
    fold.COMPACTED: _left_out,
    fold.FINDING: _finding,
    fold.CONTEXT: _context,
    fold.PREFERENCE: _preference,
    fold.GOAL_OPENED: _goal_opened,
    fold.GOAL_MOVED: _goal_moved,
    fold.EXPLORED: _explored,
    fold.CHILD_OPENED: _child_opened,
    fold.RESTORED: _restored,
    fold.CLOSED: _closed,
}

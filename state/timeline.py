"""An event as one short sentence for a reader: bounded, honest, and safe to print whatever the event holds."""

import json
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sized
from typing import Any
from typing import Final

from state import fold
from state.journal import Event

SUMMARY_CHARS: Final = 120
"""No summary is longer."""
_TEXT_CHARS: Final = 48
_NAME_CHARS: Final = 32
_NAMES: Final = 3

_Body = Mapping[str, Any]


def summary(event: Event) -> str:
    """What the event did, in at most `SUMMARY_CHARS` characters; values are cut, control characters left out.

    Events of any kind and shape have one, also those that a newer release wrote.
    """
    say = _SENTENCES.get(event.kind)
    if say is None:
        return _cut(f"An event of a kind that is not known here: {event.kind}.", SUMMARY_CHARS)
    return _cut(say(event.body), SUMMARY_CHARS)


def _cut(value: object, most: int) -> str:
    """The value as one printable line of at most `most` characters, with an ellipsis where more was."""
    # A value may be 16 KiB: blanks and control characters may go, but nothing is read far beyond what is shown.
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join("".join(c for c in text[: 8 * most].replace("\n", " ") if c.isprintable() or c.isspace()).split())
    return line if len(line) <= most and len(text) <= 8 * most else f"{line[: most - 1].rstrip()}…"


def _quoted(value: object) -> str:
    return f"“{_cut(value, _TEXT_CHARS)}”" if isinstance(value, str) else _cut(value, _TEXT_CHARS)


def _name(value: object) -> str:
    return "an unknown one" if value is None else _cut(value, _NAME_CHARS)


def _count(held: object, one: str) -> str:
    """`3 values`, from a number or from what is counted."""
    number = len(held) if isinstance(held, Sized) else held
    if isinstance(number, bool) or not isinstance(number, int):
        return f"some {one}s"
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def _opened(body: _Body) -> str:
    return f"Opened{_origin(body)}{_aim(body)}."


def _origin(body: _Body) -> str:
    if body.get("branch_of") is not None:
        return f" as a branch of {_name(body['branch_of'])} at version {_name(body.get('branch_version'))}"
    if body.get("parent") is not None:
        return f" as a child of {_name(body['parent'])}"
    return ""


def _aim(body: _Body) -> str:
    match body.get("goals"):
        case [*_, newest]:
            return f" with the goal {_quoted(newest)}"
        case _:
            return f" as {_quoted(body['label'])}" if body.get("label") else ""


def _found(body: _Body) -> str:
    key = "" if body.get("key") is None else f" {_name(body['key'])}"
    evidence = " (no evidence)" if body.get("evidence") is None else ""
    return f"Found{key}: {_quoted(body.get('value'))}{evidence}."


def _context(body: _Body) -> str:
    return f"Set context {_name(body.get('key'))} to {_quoted(body.get('value'))}."


def _preference(body: _Body) -> str:
    return f"Set preference {_name(body.get('key'))} to {_quoted(body.get('value'))}."


def _goal_opened(body: _Body) -> str:
    return f"Opened the goal {_quoted(body.get('text'))}."


def _goal_moved(body: _Body) -> str:
    return f"Goal {_name(body.get('id'))} is {_name(body.get('status'))} now."


def _explored(body: _Body) -> str:
    match body.get("attributes"):
        case [_, *_] as seen:
            more = f" and {len(seen) - _NAMES} more" if len(seen) > _NAMES else ""
            names = f": {', '.join(_cut(name, _NAME_CHARS // 2) for name in seen[:_NAMES])}{more}"
        case _:
            names = ""
    return f"Looked at {_name(body.get('source'))}/{_name(body.get('schema'))}{names}."


def _child_opened(body: _Body) -> str:
    return f"Opened the child session {_name(body.get('child'))}."


def _merged(body: _Body) -> str:
    collided = body.get("conflicts")
    left_open = " left open" if body.get("strategy") == "manual" else ""
    conflicts = f", {_count(collided, 'conflict')}{left_open}" if collided else ""
    taken = _count(body.get("exported"), "value")
    return f"Took {taken} from child {_name(body.get('child'))} by {_name(body.get('strategy'))}{conflicts}."


def _closed(_body: _Body) -> str:
    return "Closed."


def _restored(body: _Body) -> str:
    return f"Restored the state of version {_name(body.get('to'))}."


def _resolved(body: _Body) -> str:
    ours, theirs = (_quoted(body.get(side, {}).get("value")) for side in ("ours", "theirs"))
    kept, lost = (ours, theirs) if body.get("kept") == "ours" else (theirs, ours)
    return f"Two values met for {_name(body.get('field'))}: kept {kept}, not {lost}."


def _compacted(body: _Body) -> str:
    return f"Dropped the events up to version {_name(body.get('through'))} for good; their outcome is kept."


def _salvaged(body: _Body) -> str:
    lost = body.get("lost")
    told = "an unknown number of events" if lost is None else _count(lost, "event")
    after = _name(body.get("lost_after"))
    return f"Salvaged from a damaged file: {told} after version {after} lost."


def _forgotten(body: _Body) -> str:
    return f"Forgot the content of {_count(body.get('events'), 'event')} on request."


_SENTENCES: Final[dict[str, Callable[[_Body], str]]] = {
    fold.OPENED: _opened,
    fold.FINDING: _found,
    fold.CONTEXT: _context,
    fold.PREFERENCE: _preference,
    fold.GOAL_OPENED: _goal_opened,
    fold.GOAL_MOVED: _goal_moved,
    fold.EXPLORED: _explored,
    fold.CHILD_OPENED: _child_opened,
    fold.MERGED: _merged,
    fold.CLOSED: _closed,
    fold.RESOLVED: _resolved,
    fold.RESTORED: _restored,
    fold.COMPACTED: _compacted,
    "salvaged": _salvaged,
    "forgotten": _forgotten,
}

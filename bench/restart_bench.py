"""Starting with much remembered: from the start of the process to the first answers of `recall`, over stdio.

The state has 10,000 sessions of 200 events; it is made once, below bench/.cache. Beside it, in turn, an empty state.
Run: python bench/restart_bench.py [--rounds 5] [--sessions 10000] [--events 200] [--json FILE]
"""

import asyncio
import hashlib
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import finding_text
from scratch import CACHE
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from start_bench import Client

from server.registration import LOCAL_PRINCIPAL
from state import checkpoint
from state import decisions
from state import fold
from state.folds import CHECKPOINT_EVENTS
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Event
from state.sqlite.file import JOURNAL_NAME
from state.sqlite.journal import SqliteJournal
from state.sqlite.tables import STEPS

FIRST_ANSWER_BOUND_S = 1.0
_PER_OWNER = 500
_AT_ONCE = 64
_TTL_S = 30 * 86_400.0
_OLDEST_S = 7 * 86_400.0
"""State that is older is made anew: sessions do not live for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Seconds since the process was started."""

    list_s: float
    session_s: float
    """After it: the answer to a question for one session."""
    sessions: int
    """In the list."""


def owner_of(number: int) -> str:
    """The first 500 are those of the one who calls over stdio."""
    return LOCAL_PRINCIPAL if number < _PER_OWNER else f"p{number // _PER_OWNER}"


def drafts_of(number: int, events: int, now: float) -> tuple[Draft, ...]:
    """A session's whole history in one append."""
    opening = decisions.opening(f"s{number}", label=f"month {number}", goal="Why are flights late?", ttl_s=_TTL_S)
    bodies: list[tuple[str, dict[str, Any]]] = [(fold.OPENED, opening)]
    for place in range(events - 1):
        key, value, evidence = finding_text(number, place)
        bodies.append((fold.FINDING, {"key": key, "value": value, "evidence": evidence}))
    return tuple(Draft(at=now, kind=kind, actor=owner_of(number), body=body) for kind, body in bodies)


async def write(journal: SqliteJournal, number: int, events: int, now: float) -> None:
    """One session, with the checkpoint that it would have by then."""
    drafts, handle = drafts_of(number, events, now), f"s{number}"
    head = await journal.append(handle, expected=None, drafts=drafts, expires_at=now + _TTL_S)
    version = events - events % CHECKPOINT_EVENTS
    if version:
        written = [
            Event(version=place, nonce=head.nonce, at=each.at, kind=each.kind, actor=each.actor, body=each.body)
            for place, each in enumerate(drafts[:version], start=1)
        ]
        state = checkpoint.encoded(fold.fold(written))
        journal.keep_checkpoint(handle, Checkpoint(version=version, nonce=head.nonce, state=state))


async def fill(path: Path, sessions: int, events: int) -> None:
    """Through the journal itself, so that the file is as it would be."""
    now = time.time()
    journal = SqliteJournal(path, clock=time.time)
    for first in range(0, sessions, _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, sessions))
        await asyncio.gather(*(write(journal, number, events, now) for number in some))
    await journal.aclose()


def filled(sessions: int, events: int) -> Path:
    """The folder with the state, made when there is none or when it was made for other tables."""
    form = hashlib.sha256("".join(STEPS).encode()).hexdigest()[:8]
    folder = CACHE / f"state-{sessions}x{events}-{form}"
    made = folder / "made"
    if made.exists() and time.time() - made.stat().st_mtime < _OLDEST_S:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"making {sessions:,} sessions of {events} events", flush=True)
    asyncio.run(fill(folder / JOURNAL_NAME, sessions, events))
    made.touch()
    return folder


def answered(folder: Path) -> Answered:
    """One start, one look at the list, one look at the oldest session of the list's owner."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "install the project into this environment first: make test does"
    started_s = time.perf_counter()
    client = Client(["env", f"UDS_STATE_DIR={folder}", "STATE_STORE_TYPE=sqlite", script])
    client.open()
    listed = client.ask("tools/call", name="recall", arguments={})
    list_s = time.perf_counter() - started_s
    sessions = listed["structuredContent"]["sessions"]
    if sessions:
        whole = client.ask("tools/call", name="recall", arguments={"session": sessions[-1]["session"]})
        assert not whole.get("isError"), whole
    session_s = time.perf_counter() - started_s
    client.close()
    return Answered(list_s=list_s, session_s=session_s, sessions=len(sessions))


def measure(full: Path, empty: Path, rounds: int, name: str) -> list[Row]:
    """In turn, after one start of each that only warms the disk cache."""
    for folder in (full, empty):
        answered(folder)
    pairs = [(answered(full), answered(empty)) for _ in range(rounds)]
    full_s, empty_s = (statistics.median(pair[side].list_s for pair in pairs) for side in (0, 1))
    added_s = statistics.median(mine.list_s - other.list_s for mine, other in pairs)
    whole_s = statistics.median(mine.session_s for mine, _ in pairs)
    seen = f"lists {pairs[0][0].sessions}"
    return [
        row(f"start to first recall, {name}", full_s, "s", "an empty state", empty_s, FIRST_ANSWER_BOUND_S),
        row("   more than with an empty state", added_s, "s", seen),
        row("   and recall of one session after it", whole_s - full_s, "s"),
    ]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=200)
    options = parser.parse_args()
    full = filled(options.sessions, options.events)
    size_mb = (full / JOURNAL_NAME).stat().st_size / 2**20
    name = f"{options.sessions:,} sessions x {options.events} events ({size_mb:,.0f} MB)"
    with scratch() as empty:
        keep(measure(full, empty, options.rounds, name), options.json)


if __name__ == "__main__":
    main()

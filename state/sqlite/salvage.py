"""Saving what can be saved: a new file with the longest good beginning of every history, and a word on what is lost."""

import sqlite3
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path

from state.chain import Link
from state.errors import StateUnavailable
from state.journal import Draft
from state.sqlite import swap
from state.sqlite.lock import exclusive
from state.sqlite.records import Record
from state.sqlite.records import count_again
from state.sqlite.records import event_of
from state.sqlite.records import following
from state.sqlite.records import keyed_apart
from state.sqlite.records import numbered
from state.sqlite.records import put
from state.sqlite.verdicts import SALVAGED
from state.sqlite.verify import anchors_beside
from state.sqlite.visits import told
from state.sqlite.wreck import Found
from state.sqlite.wreck import found_in

_OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A session that is not there any more as it was."""

    session: str | None
    """None: not even its name can be read."""
    after: int
    """The events up to this version were carried over; 0: nothing was."""
    events: int | None
    """How many are lost. None: nobody can tell."""
    fault: str
    """What is wrong with the first that is lost, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was carried over into the new file, and what was lost."""

    aside: Path
    """The damaged file, as it was."""
    sessions: int
    """Carried over, whole or in part."""
    events: int
    lost: tuple[Lost, ...]

    @property
    def told(self) -> str:
        """All of it in one sentence."""
        gone = sum(1 for each in self.lost if not each.after)
        cut = len(self.lost) - gone
        return (
            f"The state file was damaged: {self.sessions} sessions with {self.events} events were carried over into a "
            f"new one, {gone} sessions are lost and {cut} lost their newest events. The damaged file is kept as "
            f"{self.aside}."
        )


def salvage(path: Path, *, now: float) -> Salvage:
    """Put a new file in the place of a damaged one, with all that is provably as it was written.

    The damaged file and its anchors are kept aside. Should it die half way, it can be done again.
    Raises `InUse`, `StateBusy`, `StateUnavailable`; then everything is as it was.
    """
    if not path.exists():
        raise StateUnavailable(f"there is no state at {path} to be salvaged")
    with told(path), exclusive(path):
        anchors, _ = anchors_beside(path)
        aside = swap.aside_of(path, "damaged", now)
        new = path.with_name(f"{path.name}.salvaging")
        carrying = _Carrying(aside.name, anchors, now)
        try:
            with swap.made_new(new) as fresh, found_in(path, anchors) as all_found:
                carrying.carry(fresh, all_found)
            swap.put_in_place(path, new, carrying.heads, aside=aside)
        finally:
            swap.discard(new)
    return Salvage(aside=aside, sessions=len(carrying.heads), events=carrying.events, lost=tuple(carrying.lost))


class _Carrying:
    """What was carried over so far."""

    def __init__(self, aside: str, anchors: Mapping[str, Link], now: float) -> None:
        self._aside = aside
        self._anchors = anchors
        self._now = now
        self.heads: dict[str, Link] = {}
        self.events = 0
        self.lost: list[Lost] = []

    def carry(self, fresh: sqlite3.Connection, all_found: Iterator[Found]) -> None:
        for found in all_found:
            self._carry_one(fresh, found)
        for session in self._anchors.keys() - self.heads.keys() - {each.session for each in self.lost}:
            known = self._anchors[session].version
            self.lost.append(Lost(session=session, after=0, events=known, fault="Nothing of it can be read."))
        count_again(fresh, [owner for (owner,) in fresh.execute("SELECT DISTINCT owner FROM sessions")])

    def _carry_one(self, fresh: sqlite3.Connection, found: Found) -> None:
        record = found.record
        if record is None or numbered(fresh, record.row.id) is not None:
            self.lost.append(Lost(session=found.session, after=0, events=found.lost, fault=found.fault or ""))
            return
        row = record.row
        self.events += len(record.events)
        if found.fault is not None:
            self.lost.append(Lost(session=row.id, after=row.version, events=found.lost, fault=found.fault))
            record = self._with_word(record, found.lost)
        put(fresh, keyed_apart(fresh, record))
        self.heads[row.id] = record.row.head

    def _with_word(self, record: Record, lost: int | None) -> Record:
        """With an event that says what is missing, so that the history tells the truth."""
        row, body = record.row, {"from": self._aside, "lost_after": record.row.version, "lost": lost}
        emptied = sum(1 for each in record.events if each.content is None)
        if emptied:
            body["emptied"] = emptied
        if row.compacted_version:
            body["through"] = row.compacted_version
        last = event_of(record.events[-1]) if record.events else None
        at = self._now if last is None else max(self._now, last.at)
        added = following(row.head, Draft(at=at, kind=SALVAGED, actor=_OPERATOR, body=body))
        size_bytes = row.size_bytes + len(added.content or b"")
        row = replace(row, version=added.version, nonce=added.nonce, link=added.link, size_bytes=size_bytes)
        return replace(record, row=row, events=(*record.events, added))

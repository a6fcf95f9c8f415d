"""Reading a damaged file: session by session, as far as SQLite can read and chains can prove."""

import shutil
import sqlite3
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import ExitStack
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from typing import Final

from state.chain import Link
from state.chain import Stored
from state.chain import check
from state.chain import first_link
from state.fold import OPENED
from state.fold import fold
from state.sqlite import swap
from state.sqlite.file import connect
from state.sqlite.pages import Pages
from state.sqlite.records import ROW_COLUMNS
from state.sqlite.records import Kept
from state.sqlite.records import NotARow
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import checkpoints_of
from state.sqlite.records import event_of
from state.sqlite.records import events_of
from state.sqlite.records import row_of

_NOTHING = "Nothing of it can be read."
_FAULTS_MOST: Final = 100_000
"""Questions that may fail before the rest counts as unreadable: a few seconds."""
_BUSY_S: Final = 5.0
_PAGE_BYTES: Final = 4_096
_PAGE_BYTES_ALLOWED: Final = {512 << power for power in range(7)}
_PAGE_SIZE_AT: Final = 16
_CHANGES_AT: Final = 24
_PAGES_AT: Final = 28
_PAGES_VALID_AT: Final = 92
"""Places in the header of a file. Source: SQLite's documentation of its file format, section 1.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is left of a session."""

    session: str | None
    """None: its name cannot be read."""
    record: Record | None
    """Its longest good beginning. None: nothing of it can be used."""
    lost: int | None
    """How many events are missing behind that. None: nobody can tell."""
    fault: str | None
    """Why the first of them is missing. None: the session is whole."""


@contextmanager
def found_in(path: Path, anchors: Mapping[str, Link]) -> Generator[Iterator[Found]]:
    """All sessions a damaged file shows a trace of, oldest first. The file itself is not changed."""
    with _readable(path) as connection, ExitStack() as stack:
        yield _Wreck(
            connection, anchors, lambda: stack.enter_context(closing(Pages(path, _page_bytes(path))))
        ).all_found()


class _Wreck:
    """Asks SQLite first, and the bare pages where SQLite does not get on."""

    def __init__(
        self, connection: sqlite3.Connection, anchors: Mapping[str, Link], open_pages: Callable[[], Pages]
    ) -> None:
        self._connection = connection
        self._anchors = anchors
        self._open_pages = open_pages
        self._opened: Pages | None = None

    @property
    def _pages(self) -> Pages:
        if self._opened is None:
            self._opened = self._open_pages()
        return self._opened

    def all_found(self) -> Iterator[Found]:
        rows = dict(_rows(self._connection, 1, _newest(self._connection), iter(range(_FAULTS_MOST))))
        numbers = {n for n, row in rows.items() if row is not None}
        if not rows or len(numbers) < len(rows):
            numbers |= self._pages.numbers()
        for n in sorted(numbers):
            found = self._found(n, rows.get(n))
            if found is not None:
                yield found

    def _found(self, n: int, row: Row | None) -> Found | None:
        """None: there is no trace of a session of this number."""
        events = self._events(n, row)
        known = row or self._pages.row(n) or _row_from(events)
        if known is None:
            return _nameless(events, self._anchors) if events else None
        good, fault = _good(known, events)
        checkpoints = self._checkpoints(n, known, good)
        last = good[-1].version if good else known.start.version
        anchor = self._anchors.get(known.id)
        acknowledged = max(known.version, 0 if anchor is None else anchor.version)
        if last < acknowledged:
            fault = fault or f"Event {last + 1} cannot be read: the history went on to {acknowledged}."
        elif acknowledged:
            fault = None  # nothing that was acknowledged is missing
        lost = acknowledged - last if last < acknowledged else None
        if not last or (known.compacted_version and not checkpoints):
            return Found(session=known.id, record=None, lost=lost, fault=fault or _NOTHING)
        record = Record(row=_row_for(known, good), events=tuple(good), checkpoints=tuple(checkpoints))
        return Found(session=known.id, record=record, lost=lost, fault=fault)

    def _events(self, n: int, row: Row | None) -> list[Stored]:
        """All that can be read, oldest first."""
        events: list[Stored] = []
        with suppress(sqlite3.DatabaseError, NotARow):
            events.extend(events_of(self._connection, n))
        if row is not None and events and events[-1].version >= row.version:
            return events
        found = {each.version: each for each in (*self._pages.events(n), *events)}
        return [found[each] for each in sorted(found)]

    def _checkpoints(self, n: int, row: Row, good: list[Stored]) -> list[Kept]:
        """Those of this history. None of them if the one is missing with which the history begins."""
        found: list[Kept] = []
        try:
            found.extend(checkpoints_of(self._connection, n))
        except (sqlite3.DatabaseError, NotARow):
            found.extend(self._pages.checkpoints(n))
        base, nonces = row.compacted_version, {each.version: each.nonce for each in good}
        fitting = {
            each.version: each
            for each in found
            if each.intact and (each.version == base or nonces.get(each.version) == each.nonce)
        }
        return [*fitting.values()] if not base or base in fitting else []


def _newest(wreck: sqlite3.Connection) -> int:
    """The largest number a session may have."""
    largest = 0
    for asked in (
        "SELECT seq FROM sqlite_sequence WHERE name = 'sessions'",
        "SELECT max(n) FROM sessions NOT INDEXED",
        "SELECT max(n) FROM events",
    ):
        with suppress(sqlite3.DatabaseError):
            for (n,) in wreck.execute(asked):
                largest = max(largest, n if isinstance(n, int) else 0)
    return largest


def _rows(wreck: sqlite3.Connection, first: int, last: int, faults: Iterator[int]) -> Iterator[tuple[int, Row | None]]:
    """The rows from one number to another; None where one may be and cannot be read."""
    if first > last or next(faults, None) is None:
        return
    asked = f"SELECT n, {ROW_COLUMNS} FROM sessions NOT INDEXED WHERE n BETWEEN ? AND ? ORDER BY n"  # noqa: S608 - ours
    try:
        found = wreck.execute(asked, (first, last)).fetchall()
    except sqlite3.DatabaseError:
        if first == last:
            yield first, None
            return
        middle = (first + last) // 2
        yield from _rows(wreck, first, middle, faults)
        yield from _rows(wreck, middle + 1, last, faults)
        return
    for n, *values in found:
        try:
            yield n, row_of(tuple(values))
        except NotARow:
            yield n, None


def _good(row: Row, events: list[Stored]) -> tuple[list[Stored], str | None]:
    """The events up to the first bad one, and what is wrong with that."""
    at, good = row.start, list[Stored]()
    for event in events:
        after = Link(version=event.version, link=event.link)
        verdict = check(at, (event,), after)
        if not verdict.ok or (event.content is not None and not _is_text(event.content)):
            return good, verdict.fault or f"The content of event {event.version} is not text."
        good.append(event)
        at = after
    return good, None


def _row_for(row: Row, good: list[Stored]) -> Row:
    """The row as the good events say, whatever it said itself."""
    size_bytes = sum(len(each.content or b"") for each in good)
    opening = event_of(good[0]) if good and good[0].version == 1 else None
    if not good:
        return replace(row, version=row.compacted_version, link=row.compacted_link, size_bytes=0)
    return replace(
        row,
        owner=row.owner if opening is None else opening.actor,
        version=good[-1].version,
        nonce=good[-1].nonce,
        link=good[-1].link,
        size_bytes=size_bytes,
        compacted_link=row.start.link,
    )


def _row_from(events: list[Stored]) -> Row | None:
    """A row that cannot be read, as the events tell it. None: they begin too late, or are not a session's."""
    opening = event_of(events[0]) if events else None
    if opening is None or opening.version != 1 or opening.kind != OPENED:
        return None
    known = [event for event in map(event_of, events) if event is not None]
    try:
        session = fold(known[:1])
        last_at = max(float(event.at) for event in known)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    start = first_link(session.handle).link
    return Row(
        id=session.handle,
        owner=session.owner,
        opened_key=opening.key,
        opened_at=opening.at,
        accessed_at=last_at,
        expires_at=last_at + session.ttl_s,
        ended_at=None,
        version=0,
        nonce=opening.nonce,
        link=start,
        size_bytes=0,
        compacted_version=0,
        compacted_link=start,
    )


def _nameless(events: list[Stored], anchors: Mapping[str, Link]) -> Found:
    """A session of which only later events are left; its anchor may be among them, and tells the name."""
    links = {(each.version, each.link) for each in events}
    session = next((each for each, anchor in anchors.items() if (anchor.version, anchor.link) in links), None)
    return Found(session=session, record=None, lost=len(events), fault="Its name and beginning cannot be read.")


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _readable(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that reads what it can; of a file whose beginning is destroyed, by way of a copy with a new one."""
    with closing(_reading(path)) as wreck:
        if _answers(wreck):
            yield wreck
            return
    copy = path.with_name(f"{path.name}.wreck")
    try:
        _copy_with_new_beginning(path, copy)
        with closing(_reading(copy)) as wreck:
            yield wreck
    finally:
        swap.discard(copy)


def _reading(path: Path) -> sqlite3.Connection:
    wreck = connect(path, "mode=ro", busy_s=_BUSY_S)
    with suppress(sqlite3.DatabaseError):
        wreck.execute("PRAGMA cell_size_check = ON")
    return wreck


def _answers(wreck: sqlite3.Connection) -> bool:
    try:
        return wreck.execute("SELECT count(*) FROM sqlite_schema WHERE name IN ('sessions', 'events')").fetchone() == (
            2,
        )
    except sqlite3.DatabaseError:
        return False


def _page_bytes(path: Path) -> int:
    """As the file says itself, or as new files have it."""
    with path.open("rb") as file:
        said = int.from_bytes(_at(file, _PAGE_SIZE_AT, 2))
    return said if said in _PAGE_BYTES_ALLOWED else _PAGE_BYTES


def _copy_with_new_beginning(path: Path, copy: Path) -> None:
    """The first page holds where the tables begin. That is the same in every file, since all are made in one order."""
    with swap.made_new(copy):
        pass
    size_bytes = path.stat().st_size
    with copy.open("rb+") as new, path.open("rb") as old:
        page_bytes = int.from_bytes(_at(new, _PAGE_SIZE_AT, 2))
        new.seek(page_bytes)
        old.seek(page_bytes)
        shutil.copyfileobj(old, new)
        new.seek(_PAGES_AT)
        new.write((size_bytes // page_bytes).to_bytes(4))
        new.seek(_PAGES_VALID_AT)
        new.write(_at(new, _CHANGES_AT, 4, back_to=_PAGES_VALID_AT))
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))


def _at(file: BinaryIO, place: int, count: int, *, back_to: int = 0) -> bytes:
    file.seek(place)
    found = file.read(count)
    file.seek(back_to)
    return found

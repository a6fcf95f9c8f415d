"""Where the writer works: one transaction for many wishes, each decided on what those before it left."""

import asyncio
import sqlite3
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Head
from state.journal import Quota
from state.journal import VersionMoved
from state.sqlite import refusals
from state.sqlite.adoptions import Adoptions
from state.sqlite.anchors import Anchors
from state.sqlite.appends import Appends
from state.sqlite.book import Book
from state.sqlite.endings import Endings
from state.sqlite.file import JournalFile
from state.sqlite.many import Many
from state.sqlite.overlay import Overlay
from state.sqlite.overlay import Touch
from state.sqlite.wishes import Adopt
from state.sqlite.wishes import Answered
from state.sqlite.wishes import Append
from state.sqlite.wishes import Keep
from state.sqlite.wishes import Refusal
from state.sqlite.wishes import Wish

Outcome = tuple[asyncio.Future[Head], Head | Refusal]
Touches = list[tuple[str, Touch]]

_TOUCHED: Final = Many(
    "UPDATE sessions SET accessed_at = v.column2, expires_at = v.column3 FROM (VALUES {rows}) AS v WHERE "
    "sessions.id = v.column1 AND ended_at IS NULL AND accessed_at <= v.column2 AND expires_at > v.column4",
    4,
)


class Desk:
    """For one thread. After a fault that is not just others' writing it opens the file anew."""

    def __init__(
        self,
        file: JournalFile,
        overlay: Overlay,
        *,
        clock: Callable[[], float],
        quota: Quota,
        kept_past_s: float,
        past_bytes: int,
    ) -> None:
        self.path = file.path
        self.anchors = Anchors(file.path)
        self._file = file
        self._overlay = overlay
        self._clock = clock
        self._quota = quota
        self._kept_past_s = kept_past_s
        self._past_bytes = past_bytes
        self._work: _Work | None = None

    def carry_out(self, wishes: list[Wish], *, flush: bool, try_it: bool = False) -> list[Outcome]:
        """Write all that can be, and say what became of each. Raises `sqlite3.Error`, `OSError`: nothing was written.

        `flush`: touches as well. `try_it`: something, to know whether that works again.
        """
        work = self._opened()
        due = self.due()
        touches = self._overlay.unsettled() if flush or due else []
        if not (wishes or touches or due or try_it):
            return []
        try:
            outcomes, settled = work.transaction(wishes, touches, self._clock, try_it=try_it)
        except BaseException as fault:
            self._recover(fault)
            raise
        for touch in settled:
            touch.settled = True
        self._anchor(work)
        return outcomes

    def due(self) -> bool:
        """Whether sessions have to be ended or deleted."""
        return self._work is not None and self._work.due(self._clock())

    def close(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            # So that nothing is left beside the file; not if others are using it, and then nobody waits for them.
            work.connection.execute("PRAGMA busy_timeout = 0")
            work.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            work.connection.close()
        self.anchors.close()

    def _anchor(self, work: "_Work") -> None:
        """Note where histories end now, and forget those that were taken away before or while that was noted."""
        heads = work.heads()
        self.anchors.keep(heads)
        self.anchors.drop(work.gone(heads))

    def _opened(self) -> "_Work":
        if self._work is None:
            connection = self._file.writing()
            book = Book(connection)
            endings = Endings(
                book, self._overlay, self.anchors, kept_past_s=self._kept_past_s, past_bytes=self._past_bytes
            )
            self._work = _Work(book, endings, Appends(book, endings, self._quota), Adoptions(book, endings))
        return self._work

    def _recover(self, fault: BaseException) -> None:
        work = self._work
        if work is None:
            return
        with suppress(sqlite3.Error):
            if work.connection.in_transaction:
                work.connection.execute("ROLLBACK")
        if isinstance(fault, sqlite3.Error) and refusals.busy(fault):
            work.forget()
            return
        self._work = None
        with suppress(sqlite3.Error):
            work.connection.close()


class _Work:
    """What belongs to one connection."""

    def __init__(self, book: Book, endings: Endings, appends: Appends, adoptions: Adoptions) -> None:
        self.connection = book.connection
        self._book = book
        self._endings = endings
        self._appends = appends
        self._adoptions = adoptions

    def due(self, now: float) -> bool:
        return now >= self._endings.due_at

    def forget(self) -> None:
        self._book.forget()
        self._adoptions.discarded.clear()
        self._endings.look_again()

    def heads(self) -> Sequence[tuple[str, int, bytes]]:
        """Where the histories end that the last transaction moved on."""
        moved = [(row.id, row.version, row.link) for row in self._book.heads.values()]
        self._book.heads.clear()
        return moved

    def gone(self, heads: Sequence[tuple[str, int, bytes]]) -> list[str]:
        """Sessions that were discarded here, and those of these that others have discarded since the commit."""
        discarded = [*self._adoptions.discarded]
        self._adoptions.discarded.clear()
        with suppress(sqlite3.Error):  # the commit stands, whatever this says
            discarded += self._book.overtaken([(each, version) for each, version, _ in heads])
        return discarded

    def transaction(
        self, wishes: list[Wish], touches: Touches, clock: Callable[[], float], *, try_it: bool
    ) -> tuple[list[Outcome], list[Touch]]:
        if self._book.begin():
            self._endings.look_again()
        if try_it:
            self._rewrite_form()
        settled = self._touch(touches)
        self._book.find(each.session_id for each in wishes if isinstance(each, Answered))
        outcomes: list[Outcome] = []
        for wish in wishes:
            if isinstance(wish, Answered):
                outcome = self._outcome(wish)
                outcomes.append((wish.answer, outcome))
                if wish.touch is not None and isinstance(outcome, Head):
                    settled.append(wish.touch)
            elif isinstance(wish, Keep):
                self._appends.keep(wish)
        self._endings.step(clock())
        self._book.flush()
        self.connection.execute("COMMIT")
        return outcomes, settled

    def _rewrite_form(self) -> None:
        """Write what is there already."""
        (form,) = self.connection.execute("PRAGMA user_version").fetchone()
        self.connection.execute(f"PRAGMA user_version = {form:d}")

    def _outcome(self, wish: Answered) -> Head | Refusal:
        try:
            if isinstance(wish, Append):
                return self._appends.write(wish)
            return self._adoptions.adopt(wish) if isinstance(wish, Adopt) else self._adoptions.discard(wish)
        except (VersionMoved, AlreadyOpened, OverLimit, ValueError) as refusal:
            return refusal

    def _touch(self, touches: Touches) -> list[Touch]:
        if touches:
            rows = [(each, touch.at, touch.expires_at, touch.since) for each, touch in touches]
            _TOUCHED.run(self.connection, rows)
            self._book.drop([each for each, _ in touches])
            for _, touch in touches:
                self._endings.expect(touch.expires_at)
        return [touch for _, touch in touches]

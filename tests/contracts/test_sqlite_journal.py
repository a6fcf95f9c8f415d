"""The journal in a SQLite file keeps the contract, alone and beside others that use the file at the same time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from contextlib import aclosing
from pathlib import Path

import pytest

from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock
from tests.contracts.journal_contract import SCANT
from tests.contracts.journal_contract import JournalContract
from tests.contracts.journal_contract import draft


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    async def journal(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        async with aclosing(SqliteJournal(tmp_path / "state" / "journal.db", clock=clock)) as journal:
            yield journal

    @pytest.fixture
    async def scant(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        async with aclosing(SqliteJournal(tmp_path / "scant.db", clock=clock, quota=SCANT)) as journal:
            yield journal


class TestSqliteJournalBesideAnother(JournalContract):
    """Both have the file open; what the other wrote has ended before the test begins."""

    @pytest.fixture
    async def journal(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        async with AsyncExitStack() as stack:
            journal, other = (SqliteJournal(tmp_path / "journal.db", clock=clock) for _ in range(2))
            await stack.enter_async_context(aclosing(journal))
            await stack.enter_async_context(aclosing(other))
            await _wrote_before(other, clock)
            yield journal

    @pytest.fixture
    async def scant(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        async with AsyncExitStack() as stack:
            journal, other = (SqliteJournal(tmp_path / "scant.db", clock=clock, quota=SCANT) for _ in range(2))
            await stack.enter_async_context(aclosing(journal))
            await stack.enter_async_context(aclosing(other))
            await _wrote_before(other, clock)
            yield journal


async def _wrote_before(journal: SqliteJournal, clock: ManualClock) -> None:
    for session_id in ("s", "before"):
        head = await journal.append(session_id, expected=None, drafts=[draft(key="once")], expires_at=clock() + 1)
        await journal.append(session_id, expected=head, drafts=[draft()], expires_at=clock())

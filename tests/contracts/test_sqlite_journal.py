"""The journal in a SQLite file keeps the contract, alone and beside others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock
from tests.contracts.journal_contract import JournalContract


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    async def journal(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
        journal = SqliteJournal(tmp_path / "state" / "journal.db", clock=clock)
        yield journal
        await journal.aclose()

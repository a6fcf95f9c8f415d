"""The journal in memory keeps the contract, and gives memory back in bounded steps."""

import pytest

from state.errors import OverLimit
from state.journal import Journal
from state.memory import SWEEP_SESSIONS
from state.memory import MemoryJournal
from tests.conftest import ManualClock
from tests.contracts.journal_contract import LIFE_S
from tests.contracts.journal_contract import SCANT
from tests.contracts.journal_contract import JournalContract
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import written


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self, clock: ManualClock) -> Journal:
        return MemoryJournal(clock)

    @pytest.fixture
    def scant(self, clock: ManualClock) -> Journal:
        return MemoryJournal(clock, quota=SCANT)


@pytest.mark.anyio
async def test_expired_sessions_are_given_back_in_steps_of_bounded_size(clock: ManualClock) -> None:
    journal = MemoryJournal(clock)
    for number in range(1_000):
        await written(journal, clock, f"s{number}")
    assert journal.sweep(1_000) == 0
    clock.advance(LIFE_S + 1)
    assert journal.sweep(300) == 300
    assert journal.statistics().sessions == 700 - SWEEP_SESSIONS
    await written(journal, clock, "fresh")
    assert journal.statistics().sessions == 701 - 3 * SWEEP_SESSIONS
    while journal.sweep():
        pass
    left = journal.statistics()
    assert (left.sessions, left.events) == (1, 1)
    assert await journal.sessions("ann") == ("fresh",)


@pytest.mark.anyio
async def test_a_touched_session_is_not_swept_at_its_old_end(clock: ManualClock) -> None:
    journal = MemoryJournal(clock)
    await written(journal, clock, "s")
    clock.advance(LIFE_S / 2)
    await journal.touch("s", expires_at=clock() + LIFE_S)
    clock.advance(LIFE_S - 1)
    assert journal.sweep() == 0
    assert await journal.read("s") is not None
    clock.advance(2)
    assert journal.sweep() == 1


@pytest.mark.anyio
async def test_a_full_journal_refuses_writes_until_sessions_end(clock: ManualClock) -> None:
    journal = MemoryJournal(clock, max_bytes=10_000)
    head = await written(journal, clock, "s", {"text": "x" * 9_000})
    with pytest.raises(OverLimit, match="Close sessions"):
        await written(journal, clock, "t", {"text": "x" * 1_000})
    assert await journal.read("t") is None
    assert await journal.sessions("ann") == ("s",)
    await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
    await written(journal, clock, "t", {"text": "x" * 1_000})
    assert await journal.sessions("ann") == ("t",)

"""The tiers of results against their contract, and what each has of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from state.resultfile.results import SqliteResults
from tests.contracts.tier_contract import Pair
from tests.contracts.tier_contract import TierContract

pytestmark = pytest.mark.anyio


class TestSqliteResults(TierContract):
    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncIterator[Pair]:
        pair = SqliteResults(tmp_path / "results.db", patience_s=5.0), SqliteResults(tmp_path / "results.db")
        yield pair
        for tier in pair:
            await tier.aclose()

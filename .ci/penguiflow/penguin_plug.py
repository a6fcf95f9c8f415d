"""A pytest plugin for Penguiflow's own tests: every store they make is ours, over a SQLite file of its own."""

import time
from collections.abc import AsyncIterator
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import penguiflow.state
import penguiflow.state.in_memory
import pytest
import pytest_asyncio

from state.penguiflow import PenguiflowStore
from state.penguiflow_artifacts import PenguiflowArtifacts
from state.penguiflow_bounds import Bounds
from state.sqlite.journal import SqliteJournal

_FOLDER = TemporaryDirectory()
_PATHS: Iterator[Path] = (Path(_FOLDER.name, f"{number}.db") for number in range(1_000_000))
_OPEN: list[SqliteJournal] = []
_made = 0


def _store(**bounds: int) -> PenguiflowStore:
    global _made  # noqa: PLW0603 - the plugin is one module, loaded once
    _made += 1
    _OPEN.append(SqliteJournal(next(_PATHS), clock=time.time))
    return PenguiflowStore(_OPEN[-1], principal="ann", bounds=Bounds(**bounds))


class _Artifacts(PenguiflowArtifacts):
    """The same, for tests that make only the store of artifacts."""

    def __new__(cls) -> PenguiflowArtifacts:
        return _store().artifact_store


for _module in (penguiflow.state, penguiflow.state.in_memory):
    _module.InMemoryStateStore = _store
    _module.PlaygroundArtifactStore = _Artifacts


@pytest_asyncio.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    while _OPEN:
        await _OPEN.pop().aclose()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests that never made a store of ours prove nothing."""
    _FOLDER.cleanup()
    if not _made:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

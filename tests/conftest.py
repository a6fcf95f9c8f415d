"""What every test may use: the one async backend, and a clock that moves only when told."""

import pytest


class ManualClock:
    """A clock in seconds; calling it reads it."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio and nothing else."""
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()

"""What every test may use: the one async backend, and a clock that moves only when told."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck
from hypothesis import settings

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("patient", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_HOME = tempfile.TemporaryDirectory(prefix="uds-tests-home-")
os.environ["HOME"] = _HOME.name  # the state of whoever runs the tests is none of their business
for _name in ("XDG_STATE_HOME", "UDS_STATE_DIR", "CLAUDE_CODE_SESSION_ID", "GROK_SESSION_ID"):
    os.environ.pop(_name, None)


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

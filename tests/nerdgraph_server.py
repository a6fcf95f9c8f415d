"""A NerdGraph for tests: the product's own simulator on a free loopback port, on the loop of the test."""

import contextlib
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

from server.simulator.accounts import Account
from server.simulator.app import KEY
from server.simulator.app import Simulator
from server.simulator.app import instantly
from server.simulator.background import Pace
from server.simulator.faults import Script
from server.simulator.limits import Limits
from server.simulator.received import Received
from server.simulator.wire import listening


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    url: str
    """Of GraphQL; also what NEW_RELIC_REGION takes."""
    key: str
    simulator: Simulator

    @property
    def received(self) -> list[Received]:
        """Every request so far."""
        return list(self.simulator.received)

    @property
    def statements(self) -> list[str]:
        """Every NRQL statement so far, in the order of requests."""
        return [text for each in self.simulator.received for text in each.texts]


@contextlib.asynccontextmanager
async def simulated(
    accounts: Sequence[Account],
    *,
    key: str = KEY,
    region: str = "US",
    key_region: str | None = None,
    script: Script = (),
    latency_s: float = 0.0,
    clock: Callable[[], float] = time.time,
    limits: Limits | None = None,
    pace: Pace | None = None,
    takes_s: Callable[[str], float] = instantly,
) -> AsyncGenerator[Simulated]:
    """A simulator for the time of a block; the arguments are those of `Simulator`.

    The rows of the accounts belong to whoever made them, and are closed by them.
    """
    simulator = Simulator(
        accounts,
        key=key,
        region=region,
        key_region=key_region,
        script=script,
        latency_s=latency_s,
        clock=clock,
        limits=limits,
        pace=pace,
        takes_s=takes_s,
    )
    try:
        async with listening(simulator) as url:
            yield Simulated(url=url, key=key, simulator=simulator)
    finally:
        simulator.close()

"""NerdGraph at the edge of the network, in memory: answers by script, and remembers what was asked.

The real client, with its real HTTP library, talks to it through `httpx.MockTransport`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import httpx

from sources.newrelic.client import NerdGraph
from sources.newrelic.pace import LIMITS
from sources.newrelic.pace import Limits
from sources.newrelic.posting import ANSWER_BYTES
from sources.newrelic.regions import endpoint

KEY = "NRAK-THISMUSTNEVERBESEEN12"


class ManualTime:
    """A clock that only sleeping moves, and at once."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as NerdGraph gets it."""

    text: str
    variables: dict[str, Any]
    at_s: float

    @property
    def statements(self) -> list[str]:
        """The NRQL of each alias, in order."""
        return [self.variables[f"q{number}"] for number in range(len(self.variables)) if f"q{number}" in self.variables]


Reply = httpx.Response | Exception | None
"""None: every statement is answered with itself."""
Script = Callable[[Asked], Reply | Awaitable[Reply]]


@dataclass(slots=True, kw_only=True)
class Far:
    """What stands where New Relic would."""

    graph: NerdGraph
    time: ManualTime
    asked: list[Asked] = field(default_factory=list[Asked])
    at_once: int = 0
    at_once_most: int = 0

    @property
    def statements(self) -> list[str]:
        return [statement for request in self.asked for statement in request.statements]


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    """JSON as NerdGraph sends it."""
    return httpx.Response(status, content=json.dumps(body).encode(), headers=headers)


def echoed(asked: Asked, *, but: dict[int, object] | None = None, errors: Sequence[object] = ()) -> httpx.Response:
    """Each statement answered with its own text; `but` has other containers, by number of alias."""
    actor: dict[str, Any] = {}
    for number, statement in enumerate(asked.statements):
        container = {"results": [{"asked": statement}]}
        actor[f"a{number}"] = {"nrql": (but or {}).get(number, container)}
    body: dict[str, Any] = {"data": {"actor": actor}}
    return answer(body | ({"errors": list(errors)} if errors else {}))


def failing(*replies: Reply) -> Script:
    """These replies, one for each request; after them everything is answered."""
    waiting = list(replies)

    def reply(_asked: Asked) -> Reply:
        return waiting.pop(0) if waiting else None

    return reply


@asynccontextmanager
async def nerdgraph(
    script: Script = lambda _asked: None,
    *,
    region: str = "US",
    limits: Limits = LIMITS,
    answer_bytes: int = ANSWER_BYTES,
) -> AsyncGenerator[Far]:
    """A client whose New Relic answers as `script` says, in a time of its own, without chance in its pauses."""
    time = ManualTime()

    async def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["api-key"] == KEY
        read = json.loads(request.content)
        asked = Asked(text=read["query"], variables=read["variables"], at_s=time())
        far.asked.append(asked)
        far.at_once += 1
        far.at_once_most = max(far.at_once_most, far.at_once)
        try:
            reply = script(asked)
            found = await reply if isinstance(reply, Awaitable) else reply
        finally:
            far.at_once -= 1
        if isinstance(found, Exception):
            raise found
        return echoed(asked) if found is None else found

    graph = NerdGraph(
        endpoint=endpoint(region),
        key=KEY,
        transport=httpx.MockTransport(handle),
        clock=time,
        sleep=time.sleep,
        chance=lambda: 1.0,
        limits=limits,
        answer_bytes=answer_bytes,
    )
    far = Far(graph=graph, time=time)
    try:
        yield far
    finally:
        await graph.aclose()

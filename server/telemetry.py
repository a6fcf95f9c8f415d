"""What is told of this process to an agent that watches it: one transaction for each call, and counts by the minute.

It knows no agent: the one of New Relic is in `server.telemetry_agent`, which is read only where one is wanted.
Nobody is told handles, goals, values or the text of queries.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from contextlib import AbstractContextManager
from contextlib import asynccontextmanager
from contextlib import nullcontext
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import Protocol

from server.settings import Settings
from server.telemetry_counts import CacheCounts
from server.telemetry_counts import Meter
from server.telemetry_facts import ToolCall
from server.telemetry_facts import told_of

if TYPE_CHECKING:
    from mcp.server.context import CallNext
    from mcp.server.context import HandlerResult
    from mcp.server.context import ServerRequestContext

    from server.parts import Parts

_log = logging.getLogger(__name__)

Fact = str | int | float | bool
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

_CALL: Final = "tools/call"
_READ: Final = "resources/read"
_LISTEN: Final = "subscriptions/listen"
_NAMED: Final = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
    }
)
"""What a client may name is told by these names only: each name is a series of its own, for good."""
_UNKNOWN: Final = "unknown"
_EVENT: Final = "UdsToolCall"
_EACH_S: Final = 60.0
_PATH: Final = "/mcp"


class Agent(Protocol):
    """Whoever watches this process. Nothing here raises, and nothing waits but `end`."""

    def transaction(self, name: str) -> AbstractContextManager[None]:
        """What happens meanwhile in this task, as one transaction: that of the request if it has one, or a new one."""
        ...

    def named(self, name: str) -> None:
        """Give the transaction that is under way a better name. Without one nothing happens."""
        ...

    def left_out(self) -> None:
        """Report nothing of the transaction that is under way."""
        ...

    def told(self, facts: Mapping[str, Fact]) -> None:
        """Facts about the transaction that is under way."""
        ...

    def failed(self, fault: BaseException, code: str, *, expected: bool) -> None:
        """The class of a fault, where it was raised, and its code; never its text."""
        ...

    def segment(self, product: str, operation: str) -> AbstractContextManager[object]:
        """A part of a transaction that some store answers."""
        ...

    def happened(self, kind: str, facts: Mapping[str, Fact]) -> None:
        """An event of its own."""
        ...

    def counted(self, metrics: Iterable[tuple[str, Mapping[str, float]]]) -> None:
        """Counts and timings since they were last told."""
        ...

    def end(self) -> None:
        """Send what is left, within a second."""
        ...


def begin(settings: Settings) -> "Telemetry | None":
    """Start the agent, if it is wanted. To be called before the SDK is imported. None: nobody watches."""
    if not settings.apm:
        return None
    try:
        from server.telemetry_agent import start  # noqa: PLC0415 - takes a quarter of a second
    except ImportError:
        _log.warning("the APM agent is wanted and not installed: install the package with its extra, uds-mcp[newrelic]")
        return None
    except ValueError as fault:  # it reads its variables while it is imported
        _log.warning("the APM agent cannot be started, one of its NEW_RELIC_ variables is not allowed: %s", fault)
        return None
    agent = start()
    if agent is None:
        return None
    telemetry = Telemetry(agent)
    from server.telemetry_segments import instrument  # noqa: PLC0415 - as above

    using_newrelic = settings.newrelic_key is not None
    instrument(agent, telemetry.meter, redis=settings.store == "redis", newrelic=using_newrelic)
    return telemetry


class Telemetry:
    """Turns what this server does into what an agent is told. For one event loop."""

    def __init__(
        self, agent: Agent, *, clock: Callable[[], float] = time.perf_counter, each_s: float = _EACH_S
    ) -> None:
        """`clock`: monotonic seconds. `each_s`: how often counts are told."""
        self.meter = Meter()
        self._agent = agent
        self._clock = clock
        self._each_s = each_s
        self._tools: frozenset[str] = frozenset()

    def knows(self, tools: Iterable[str]) -> None:
        """The names that a call may have; all others are told as unknown."""
        self._tools = frozenset(tools)

    async def watching(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """A middleware of the SDK."""
        match ctx.method:
            case "tools/call":
                return await self._call(ctx, call_next)
            case "resources/read":
                with self._agent.transaction(_READ):
                    return await call_next(ctx)
            case "subscriptions/listen":
                self._agent.left_out()  # it lasts as long as the client likes, and would spoil every average
            case method if method in _NAMED:
                self._agent.named(method)
            case _:
                pass
        return await call_next(ctx)

    def noticed(self, fault: Exception, code: str) -> None:
        """A tool failed. What a caller can do something about is expected; defects are not."""
        self._agent.failed(fault, code, expected=code != "internal_error")

    def around(self, app: Asgi) -> Asgi:
        """The application, without transactions for what is no call: probes, streams, and carriers of a session.

        A client of before 2026-07-28 has a session, which answers its calls in tasks of its own: those are the
        transactions then, and the requests that carry them would only count every call twice.
        """

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and not _is_call(scope):
                self._agent.left_out()
            await app(scope, receive, send)

        return watched

    @asynccontextmanager
    async def counting(self, parts: "Parts") -> AsyncGenerator[None]:
        """Tell the counts of these parts by the minute, and at the end."""
        cache = CacheCounts()

        def tell() -> None:
            self._agent.counted([*cache.since(parts.cache.statistics()), *self.meter.taken()])

        async def by_the_minute() -> None:
            while True:
                await asyncio.sleep(self._each_s)
                tell()

        telling = asyncio.create_task(by_the_minute(), name="telemetry")
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait([telling])
            tell()

    def end(self) -> None:
        """Send what is left, within a second."""
        self._agent.counted(self.meter.taken())  # what was written while the parts were taken down
        self._agent.end()

    async def _call(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        name = (ctx.params or {}).get("name")
        tool = name if isinstance(name, str) and name in self._tools else _UNKNOWN
        with self._agent.transaction(f"{_CALL} {tool}"):
            began_s = self._clock()
            try:
                result = await call_next(ctx)
            except asyncio.CancelledError:
                self._tell(ToolCall(tool=tool, took_ms=self._took_ms(began_s), error="cancelled"))
                raise
            except Exception as fault:
                self._agent.failed(fault, "protocol_error", expected=True)
                self._tell(ToolCall(tool=tool, took_ms=self._took_ms(began_s), error="protocol_error"))
                raise
            self._tell(told_of(tool, result, self._took_ms(began_s)))
            return result

    def _took_ms(self, began_s: float) -> float:
        return (self._clock() - began_s) * 1e3

    def _tell(self, call: ToolCall) -> None:
        facts = call.facts()
        self._agent.told(facts)
        self._agent.happened(_EVENT, facts | {"duration_ms": round(call.took_ms, 3)})
        if call.degraded:
            self.meter.count("calls/degraded")


def counted(telemetry: Telemetry | None, parts: "Parts") -> AbstractAsyncContextManager[None]:
    """Tell the counts of these parts while the block lasts, if anybody watches."""
    return nullcontext() if telemetry is None else telemetry.counting(parts)


def _is_call(scope: Mapping[str, Any]) -> bool:
    """Whether a request of HTTP is answered by whoever takes it."""
    carried = any(name == b"mcp-session-id" for name, _ in scope["headers"])
    return scope["method"] == "POST" and scope["path"] == _PATH and not carried

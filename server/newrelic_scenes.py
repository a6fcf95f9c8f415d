"""What happens in the demo of New Relic: names, measures, NRQL, and what is said about slips and empty answers."""

from collections.abc import Callable

import anyio
from mcp_types import TextContent

from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_calls import Told
from server.demo_shown import Screen
from server.demo_shown import percent
from server.demo_shown import shown

Sent = Callable[[], tuple[int, int]]
"""Requests and NRQL statements that reached the simulator so far."""

_SCHEMA = "flights"
_DELAYS = "SELECT average(dep_delay), count(*) FROM flights FACET carrier LIMIT 5"
_SLIP = "SELECT count(*) FROM flights SINCE 7 days"
_NOTHING = "SELECT count(*) FROM flights WHERE carrier = 'UA' AND hour > '22'"


async def play(screen: Screen, call: Caller, sent: Sent) -> None:
    """From a first look to answers. Raises `DemoFailed`."""
    told = await _counted(screen, call, sent, "list_schemas", "what the account holds, in a handful of requests")
    screen.table(
        ("event type", "rows", "attributes", "bytes"),
        [
            (each["schema"], each.get("rows"), each.get("attributes"), each.get("bytes"))
            for each in told.answer["schemas"]
        ],
        right=(1, 2, 3),
    )
    screen.line(f"window: {told.answer['provenance'].get('window', 'none')}")
    await _described(screen, call, sent)
    await _asked(screen, call, sent, _DELAYS, "NRQL; the window that was added is in the provenance")
    await _refused(screen, call, _SLIP, "a slip that assistants make: answered here, with the remedy")
    await _asked(screen, call, sent, _NOTHING, "an empty answer is explained")


async def _counted(screen: Screen, call: Caller, sent: Sent, tool: str, why: str, **arguments: object) -> Told:
    screen.step(f"{tool}({', '.join(f'{name}={value}' for name, value in arguments.items())})", why)
    before = sent()
    told = await call(tool, **arguments)
    requests, statements = (now - then for now, then in zip(sent(), before, strict=True))
    screen.line(f"{requests} requests with {statements} statements, answered in {told.waited_ms:,.0f} ms", "dim")
    return told


async def _described(screen: Screen, call: Caller, sent: Sent) -> None:
    told = await _counted(screen, call, sent, "describe_schema", "what its attributes really hold", schema=_SCHEMA)
    screen.table(
        ("attribute", "type", "null", "distinct", "examples"),
        [
            (
                each["name"],
                each["type"],
                percent(each["null_share"]),
                f"{'' if each['distinct_is_exact'] else '~'}{each['distinct']:,}",
                ", ".join(shown(example) for example in each["examples"][:3]),
            )
            for each in told.answer["attributes"][:8]
        ],
        right=(2, 3),
    )
    screen.evidence(told)


async def _asked(screen: Screen, call: Caller, sent: Sent, query: str, why: str) -> None:
    told = await _counted(screen, call, sent, "run_query", why, query=query)
    screen.table([column["name"] for column in told.answer["columns"]], told.answer["rows"][:6])
    if "diagnosis" in told.answer:
        screen.line(f"diagnosis: {told.answer['diagnosis']}", "yellow")
    screen.evidence(told)


async def _refused(screen: Screen, call: Caller, query: str, why: str) -> None:
    screen.step(f"run_query({query})", why)
    with anyio.fail_after(30):
        result = await call.client.call_tool("run_query", {"query": query})
    if not result.is_error:
        raise DemoFailed("a query with a slip was not refused")
    for part in result.content:
        if isinstance(part, TextContent):
            for line in part.text.splitlines():
                screen.line(line, "yellow")

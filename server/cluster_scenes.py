"""What happens in the cluster demo: one exploration, answered by two servers, through what may befall them."""

import asyncio
import signal
import time
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

from mcp import Client

from server.balancer import Instance
from server.cluster_programs import Redis
from server.cluster_programs import Server
from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_calls import Told
from server.demo_shown import Screen

GOAL = "Which airlines' flights leave New York late, whoever of us looks?"
_SCHEMA = "flights"
_BY_ORIGIN = "SELECT origin, round(avg(dep_delay), 1) AS mean_delay_min FROM flights GROUP BY 1 ORDER BY 2 DESC"
_BACK_WITHIN_S = 30.0
_LOOK_AGAIN_S = 0.1
_SHOWN_LINES = 4


@dataclass(slots=True)
class Cluster:
    """The servers, how to call them, and what has been acknowledged so far."""

    servers: tuple[Server, Server]
    redis: Redis | None
    """None: they share a file."""
    call: Caller
    """Through the balancer."""
    screen: Screen
    answered: list[Instance]
    """By whom, newest last."""
    session: str = ""
    kept: dict[str, str] = field(default_factory=dict[str, str])
    """Every finding that was acknowledged."""

    async def __call__(self, tool: str, **arguments: object) -> Told:
        """Call a tool, and show who answered. Raises `DemoFailed`."""
        told = await self.call(tool, **arguments)
        degraded = ", degraded" if told.answer.get("degraded") else ""
        self.screen.line(f"{tool}: answered by {self.answered[-1].name} in {told.waited_ms:,.1f} ms{degraded}")
        return told

    async def remember(self, key: str, value: str) -> Told:
        told = await self(
            "remember", session=self.session, kind="finding", key=key, value=value, evidence="seen in the demo"
        )
        self.kept[key] = value
        return told


async def explore(cluster: Cluster) -> None:
    """An ordinary exploration. Each request goes to the other server."""
    cluster.screen.step("an exploration", "each call goes to another server, and none of them notices")
    opened = await cluster("open_session", goal=GOAL, label="cluster demo")
    cluster.session = str(opened.answer["session"])
    await cluster("list_schemas", session=cluster.session)
    await cluster("describe_schema", schema=_SCHEMA, attributes=["dep_delay", "origin"], session=cluster.session)
    rows = await cluster("run_query", query=_BY_ORIGIN, session=cluster.session)
    worst = rows.answer["rows"][0]
    await cluster.remember("worst_origin", f"{worst[0]} leaves {worst[1]} min late on average")
    await cluster.remember("asked", "the sample was asked by two servers")
    if len(set(cluster.answered)) < len(cluster.servers):
        raise DemoFailed("all calls were answered by one server")
    await everything_is_there(cluster)


async def a_server_is_killed(cluster: Cluster) -> None:
    """One of them is gone in the middle of work; the other goes on, and then it is back."""
    one = cluster.servers[0]
    cluster.screen.step(f"kill -9 server {one.name}", "the balancer finds the other one")
    await one.end(by=signal.SIGKILL)
    await cluster.remember("one_is_gone", "what is remembered while a server is dead")
    await cluster("recall", session=cluster.session)
    took_ms = await one.start()
    cluster.screen.line(f"server {one.name} is back after {took_ms:,.0f} ms")
    await asyncio.sleep(1.0)  # the balancer leaves it alone for that long
    await everything_is_there(cluster)


async def redis_is_away(cluster: Cluster, redis: Redis) -> None:
    """Redis stops: calls go on, say so, and are kept by each server; then it is back, and so is everything."""
    cluster.screen.step("Redis stops", "calls go on and say `degraded`; each server keeps what it is told")
    await redis.end()
    told = [await cluster("recall", session=cluster.session)]
    told += [
        await cluster.remember(f"while_away_{number}", f"remembered without Redis, {number} of 4")
        for number in range(1, 5)
    ]
    if not all(each.answer.get("degraded") for each in told):
        raise DemoFailed("an answer did not say that Redis is away")
    cluster.screen.line(str(told[-1].answer["degraded"]), "yellow")
    slowest_ms = max(each.waited_ms for each in told)
    cluster.screen.line(f"{len(told)} calls without Redis, the slowest took {slowest_ms:,.1f} ms", "cyan")
    cluster.screen.step("Redis starts", "what each server kept is brought together")
    took_ms = await redis.start()
    cluster.screen.line(f"Redis is back after {took_ms:,.0f} ms")
    began_s = time.perf_counter()
    await until(cluster, lambda told: not told.answer.get("degraded") and not missing(cluster.kept, told))
    cluster.screen.line(f"both servers have everything {(time.perf_counter() - began_s) * 1000:,.0f} ms later", "cyan")
    await everything_is_there(cluster)


async def until(cluster: Cluster, is_so: Callable[[Told], bool]) -> None:
    """Wait until both servers answer `recall` like that. Raises `DemoFailed` when they do not."""
    deadline_s = time.perf_counter() + _BACK_WITHIN_S
    so: set[Instance] = set()
    while len(so) < len(cluster.servers):
        told = await cluster.call("recall", session=cluster.session)
        if is_so(told):
            so.add(cluster.answered[-1])
        elif time.perf_counter() > deadline_s:
            lost = ", ".join(missing(cluster.kept, told)) or "nothing"
            raise DemoFailed(f"after {_BACK_WITHIN_S:.0f} s a server still says otherwise; missing: {lost}")
        else:
            so.clear()
            await asyncio.sleep(_LOOK_AGAIN_S)


def missing(kept: Mapping[str, str], told: Told) -> list[str]:
    """Findings that were acknowledged and are not in this answer of `recall`."""
    there = {each["key"]: each["value"] for each in told.answer["findings"]}
    return [key for key, value in kept.items() if there.get(key) != value]


async def everything_is_there(cluster: Cluster) -> None:
    """Ask each server itself, not the balancer, for everything that was acknowledged. Raises `DemoFailed`."""
    for server in cluster.servers:
        async with Client(f"http://127.0.0.1:{server.instance.port}/mcp") as client:
            told = await Caller(client, client.protocol_version, 0.0)("recall", session=cluster.session)
        lost = missing(cluster.kept, told)
        if lost:
            raise DemoFailed(f"server {server.name} has lost {', '.join(lost)}")
    cluster.screen.line(f"both servers know all {len(cluster.kept)} findings", "green")


async def history(cluster: Cluster) -> None:
    """How it came about, as one history."""
    cluster.screen.step("session_history", "one history, whoever wrote it, and nobody has touched it")
    told = await cluster("session_history", session=cluster.session, limit=20)
    for event in told.answer["events"]:
        cluster.screen.line(f"{event['version']:>3}  {event['at'][11:19]}  {event['summary']}")
    if not told.answer["verified"]:
        raise DemoFailed("the hash chain of the session's history does not hold")
    cluster.screen.line("hash chain verified", "dim")
    for command in (("timeline", cluster.session), ("verify", cluster.session)):
        cluster.screen.step(f"uds-mcp {command[0]}", "the same for an operator, beside the servers")
        said = await cluster.servers[0].beside(*command)
        for line in said.splitlines()[-_SHOWN_LINES:]:
            cluster.screen.line(line.rstrip(), "dim")
        if command[0] == "timeline" and (lost := [key for key in cluster.kept if key not in said]):
            raise DemoFailed(f"the timeline does not show {', '.join(lost)}")

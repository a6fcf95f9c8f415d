"""What happens in the demo: an assistant's way from a question to findings that are kept."""

import json
from typing import Any

from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_calls import Told
from server.demo_shown import Screen
from server.demo_shown import percent
from server.demo_shown import shown

GOAL = "Which airlines' flights leave New York with the worst delay, and at what hour?"
_SCHEMA = "flights"
_ATTRIBUTES = ("dep_delay", "carrier", "origin", "hour", "tailnum", "time_hour")

_BY_AIRLINE = """\
SELECT a.name AS airline, count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay_min,
       round(100.0 * count(*) FILTER (WHERE f.dep_delay > 15) / count(*), 1) AS late_pct
FROM flights f JOIN airlines a USING (carrier)
WHERE f.dep_delay IS NOT NULL GROUP BY a.name HAVING count(*) >= 100 ORDER BY mean_delay_min DESC"""

_BY_HOUR = """\
SELECT hour, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay_min
FROM flights WHERE dep_delay IS NOT NULL GROUP BY hour ORDER BY mean_delay_min DESC LIMIT 5"""


async def play(screen: Screen, call: Caller) -> None:
    """Play the first conversation. Raises `DemoFailed` when the server refuses a call."""
    session = await _open(screen, call)
    await _list(screen, call, session)
    await _describe(screen, call, session)
    first = await _profile(screen, call, session)
    await _query(screen, call, session)
    await _repeat(screen, call, session, first)


async def play_on(screen: Screen, call: Caller) -> None:
    """What another conversation, with a process of its own, finds. Raises `DemoFailed`."""
    screen.step("recall()", "which memories there are")
    told = await call("recall")
    if not told.answer["sessions"]:
        raise DemoFailed("the new process knows nothing of the session: state did not survive")
    for each in told.answer["sessions"]:
        screen.line(f"{each['session'][:8]}...: {each.get('label', '')}, {each['findings']} findings: {each['goal']}")
    session = str(told.answer["sessions"][0]["session"])
    await _recall(screen, call, session)
    await _history(screen, call, session)
    screen.step("close_session", "ends the memory; a handle that leaked is worth nothing now")
    closed = await call("close_session", session=session)
    screen.line(f"closed: {shown(closed.answer['closed'])}, {closed.waited_ms:,.1f} ms")


async def _history(screen: Screen, call: Caller, session: str) -> None:
    screen.step("session_history", "how it came about, and whether anybody has touched it")
    told = await call("session_history", session=session, limit=5)
    for event in told.answer["events"]:
        screen.line(f"{event['version']:>3}  {event['at'][11:19]}  {event['summary']}")
    if not told.answer["verified"]:
        raise DemoFailed("the hash chain of the session's history does not hold")
    screen.line(f"hash chain verified, {told.waited_ms:,.1f} ms", "dim")


async def _open(screen: Screen, call: Caller) -> str:
    screen.step("open_session(goal=...)", "a memory with an opaque handle")
    told = await call("open_session", goal=GOAL, label="demo")
    session = str(told.answer["session"])
    screen.line(f"handle {session[:8]}..., lives until {told.answer['expires_at']}, {told.waited_ms:,.1f} ms")
    for step in told.answer["next_steps"]:
        screen.line(f"next: {step['tool']}({_arguments(step['arguments'])}): {step['why']}", "dim")
    return session


async def _list(screen: Screen, call: Caller, session: str) -> None:
    screen.step("list_schemas", "what there is, ranked by the goal")
    told = await call("list_schemas", session=session)
    for source in told.answer["sources"]:
        screen.line(f"{source['name']} ({source['kind']}, {source['status']}): {source.get('origin', '')}")
    screen.table(
        ("schema", "rows", "attributes", "relevance"),
        [
            (each["schema"], each.get("rows"), each["attributes"], each.get("relevance"))
            for each in told.answer["schemas"]
        ],
        right=(1, 2, 3),
    )
    screen.evidence(told)


async def _describe(screen: Screen, call: Caller, session: str) -> None:
    screen.step(f"describe_schema({_SCHEMA})", "what its attributes hold")
    told = await call("describe_schema", schema=_SCHEMA, attributes=list(_ATTRIBUTES), session=session)
    screen.table(
        ("attribute", "type", "null", "distinct", "examples", "meaning"),
        [
            (
                each["name"],
                each["type"],
                percent(each["null_share"]),
                f"{'' if each['distinct_is_exact'] else '~'}{each['distinct']:,}",
                ", ".join(shown(example) for example in each["examples"][:3]),
                " ".join(filter(None, (each.get("semantic_type"), each.get("unit"), *each["flags"]))),
            )
            for each in told.answer["attributes"]
        ],
        right=(2, 3),
    )
    screen.line(f"{told.answer['rows']:,} rows; time attribute: {told.answer.get('time_attribute', 'none')}")
    screen.evidence(told)


async def _profile(screen: Screen, call: Caller, session: str) -> Told:
    screen.step(f"profile_attribute({_SCHEMA}, dep_delay)", "its distribution, in minutes")
    delays = await call("profile_attribute", schema=_SCHEMA, attribute="dep_delay", session=session)
    quantiles: dict[str, Any] = delays.answer.get("quantiles") or {}
    screen.table(tuple(quantiles), [tuple(quantiles.values())], right=range(len(quantiles)))
    screen.sparkline(delays.answer.get("histogram") or [])
    screen.line(
        f"mean {shown(delays.answer.get('mean'))}, from {shown(delays.answer.get('min'))} "
        f"to {shown(delays.answer.get('max'))}, {percent(delays.answer['null_share'])} null"
    )
    screen.evidence(delays)
    screen.step(f"profile_attribute({_SCHEMA}, carrier)", "its most frequent values")
    carriers = await call("profile_attribute", schema=_SCHEMA, attribute="carrier", top=5, session=session)
    screen.table(
        ("carrier", "rows", "share"),
        [(each["value"], each["rows"], percent(each["share"])) for each in carriers.answer["top_values"]],
        right=(1, 2),
    )
    screen.evidence(carriers)
    return delays


async def _query(screen: Screen, call: Caller, session: str) -> None:
    screen.step("run_query(SQL)", "the answer to the goal, joined across schemas")
    airlines = await call("run_query", query=_BY_AIRLINE, session=session)
    _rows(screen, airlines, most=6)
    screen.step("run_query(SQL)", "and at what hour")
    hours = await call("run_query", query=_BY_HOUR, session=session)
    _rows(screen, hours, most=5)
    screen.step("remember(kind=finding)", "what was learned, with the query behind it")
    worst, hour = _first_row(airlines), _first_row(hours)
    for key, value, evidence in (
        ("latest_airline", f"{worst[0]} leaves {shown(worst[2])} min late on average", _BY_AIRLINE),
        ("worst_hour", f"flights due at {shown(hour[0])}:00 leave {shown(hour[2])} min late on average", _BY_HOUR),
    ):
        kept = await call("remember", session=session, kind="finding", key=key, value=value, evidence=evidence)
        screen.line(f"version {kept.answer['version']}: {kept.answer['stored']['value']}  ({kept.waited_ms:,.1f} ms)")


async def _repeat(screen: Screen, call: Caller, session: str, first: Told) -> None:
    screen.step(f"profile_attribute({_SCHEMA}, dep_delay)", "the same question again")
    again = await call("profile_attribute", schema=_SCHEMA, attribute="dep_delay", session=session)
    screen.evidence(again)
    if not again.answer["provenance"]["cached"]:
        raise DemoFailed("the repeated call was measured again instead of being served from the cache")
    times = first.waited_ms / again.waited_ms
    screen.line(f"{first.waited_ms:,.1f} ms the first time, {again.waited_ms:,.1f} ms now: {times:,.1f} times faster")
    status = await call("cache", action="status")
    memory = status.answer["memory"]
    screen.line(
        f"cache: {memory['entries']} entries, {memory['bytes']:,} bytes, {memory['hits']} hits, {memory['loads']} loads"
    )


async def _recall(screen: Screen, call: Caller, session: str) -> None:
    screen.step("recall", "what the session knows, for whoever continues")
    told = await call("recall", session=session)
    for goal in told.answer["goals"]:
        screen.line(f"goal ({goal['status']}): {goal['text']}")
    for finding in told.answer["findings"]:
        screen.line(f"finding {finding.get('key') or ''}: {finding['value']}", "green")
    for each in told.answer["explored"]:
        screen.line(f"explored {each['schema']}: {', '.join(each['attributes']) or 'as a whole'}")
    screen.line(f"version {told.answer['version']}, {told.waited_ms:,.1f} ms", "dim")


def _rows(screen: Screen, told: Told, *, most: int) -> None:
    columns = [column["name"] for column in told.answer["columns"]]
    rows = told.answer["rows"]
    numbers = [place for place, value in enumerate(_first_row(told)) if isinstance(value, int | float)]
    screen.table(columns, rows[:most], right=numbers)
    screen.evidence(told)


def _first_row(told: Told) -> list[Any]:
    if not told.answer["rows"]:
        raise DemoFailed("the query on the bundled sample returned no rows")
    return list(told.answer["rows"][0])


def _arguments(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items() if name != "session")

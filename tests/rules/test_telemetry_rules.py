"""What is told to an agent: facts of a call, counts between two tellings, and nothing by names that clients choose."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult
from mcp_types import TextContent

from server.settings import read_settings
from server.settings import wants_apm
from server.telemetry import Telemetry
from server.telemetry import begin
from server.telemetry_counts import CacheCounts
from server.telemetry_counts import Meter
from server.telemetry_facts import code_of
from server.telemetry_facts import told_of
from server.telemetry_segments import instrument
from sources.duckdb.engine import Engine
from state.journal import Draft
from state.memory import MemoryJournal
from state.results import CacheStatistics
from state.sqlite.journal import SqliteJournal
from state.tier import TierStatistics
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio

_PROVENANCE = {"source": "files", "cached": True, "tier": "shared", "rows_inspected": 7, "queries": ["SELECT 'x'"]}


@dataclass(slots=True)
class Notebook:
    """An agent that writes down what it is told."""

    current: list[str] = field(default_factory=list[str])
    transactions: list[str] = field(default_factory=list[str])
    facts: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    faults: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list[tuple[str, Mapping[str, Any]]])
    metrics: list[tuple[str, Mapping[str, float]]] = field(default_factory=list[tuple[str, Mapping[str, float]]])
    names: list[str] = field(default_factory=list[str])
    segments: list[str] = field(default_factory=list[str])
    skipped: int = 0
    told_counts: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def transaction(self, name: str) -> Generator[None]:
        self.transactions.append(name)
        yield

    def named(self, name: str) -> None:
        self.names.append(name)

    def left_out(self) -> None:
        self.skipped += 1

    def told(self, facts: Mapping[str, Any]) -> None:
        self.facts.append(facts)

    def failed(self, fault: BaseException, code: str, *, expected: bool) -> None:
        self.faults.append((type(fault).__name__, code, expected))

    @contextmanager
    def segment(self, product: str, operation: str) -> Generator[None]:
        self.segments.append(f"{product} {operation}")
        yield

    def happened(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.events.append((kind, facts))

    def counted(self, metrics: Iterable[tuple[str, Mapping[str, float]]]) -> None:
        self.metrics.extend(metrics)
        self.told_counts.set()

    def end(self) -> None:
        pass


@asynccontextmanager
async def _watched(
    notebook: Notebook, meter: Meter, *, redis: bool = False, newrelic: bool = False
) -> AsyncGenerator[None]:
    undo = instrument(notebook, meter, redis=redis, newrelic=newrelic)
    try:
        yield
    finally:
        undo()


def _asked(method: str, **params: Any) -> Any:
    return SimpleNamespace(method=method, params=params)


def _statistics(**counters: Any) -> CacheStatistics:
    names = ("entries", "bytes", "hits", "misses", "stale_hits", "loads", "evictions")
    told: dict[str, Any] = {"hit_share": None, **dict.fromkeys(names, 0), **counters}
    return CacheStatistics(**told)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('unknown_schema: there is no schema "x".', "unknown_schema"),
        ("quota_spent: a: b", "quota_spent"),
        ("Unknown tool: my_secret: x", "tool_error"),
        ("secret", "tool_error"),
        ("", "tool_error"),
    ],
)
def test_a_code_is_what_our_own_errors_begin_with(text: str, code: str) -> None:
    assert code_of(text) == code


@given(st.text())
def test_a_code_never_holds_what_is_no_plain_word(text: str) -> None:
    assert code_of(text).replace("_", "").isalpha()


@pytest.mark.parametrize("as_sent", [False, True])
def test_an_answer_tells_where_it_is_from_and_nothing_of_itself(as_sent: bool) -> None:  # noqa: FBT001
    answer = {"rows": [["PLANTED"]], "degraded": "since noon", "provenance": _PROVENANCE}
    result = CallToolResult(content=[TextContent(type="text", text="{}")], structured_content=answer)
    told = told_of("run_query", result.model_dump(by_alias=True) if as_sent else result, 3.5)
    assert told.facts() == {
        "tool": "run_query",
        "degraded": True,
        "source": "files",
        "cached": True,
        "tier": "shared",
        "rows": 7,
    }


@pytest.mark.parametrize("as_sent", [False, True])
def test_an_error_tells_its_code(as_sent: bool) -> None:  # noqa: FBT001
    result = CallToolResult(content=[TextContent(type="text", text="too_large: PLANTED")], is_error=True)
    told = told_of("run_query", result.model_dump(by_alias=True) if as_sent else result, 3.5)
    assert told.facts() == {"tool": "run_query", "degraded": False, "error_code": "too_large"}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_counts_add_up_however_often_they_are_told(moves: list[tuple[int, int]]) -> None:
    counts, hits, shared, told = (
        CacheCounts(),
        0,
        0,
        {"Custom/uds/cache/hits": 0.0, "Custom/uds/cache/shared/hits": 0.0},
    )
    for more_hits, more_shared in moves:
        hits, shared = hits + more_hits, shared + more_shared
        for name, value in counts.since(_statistics(hits=hits, shared=TierStatistics(hits=shared))):
            assert value["count"] > 0
            told[name] += value["count"]
    assert told == {"Custom/uds/cache/hits": hits, "Custom/uds/cache/shared/hits": shared}


def test_what_is_taken_from_a_meter_is_told_once() -> None:
    meter = Meter()
    for took_s in (0.5, 1.5):
        meter.time("journal/commits", took_s)
    meter.count("sessions/opened")
    assert meter.taken() == [
        ("Custom/uds/sessions/opened", {"count": 1}),
        ("Custom/uds/journal/commits", {"count": 2, "total": 2.0, "min": 0.5, "max": 1.5, "sum_of_squares": 2.5}),
    ]
    assert meter.taken() == []


async def test_names_that_a_client_makes_up_become_no_series() -> None:
    notebook = Notebook()
    telemetry = Telemetry(notebook)
    telemetry.knows(["recall"])

    async def answered(_: Any) -> Any:
        return CallToolResult(content=[])

    for name in ("recall", "made_up", None, 7):
        await telemetry.watching(_asked("tools/call", name=name), answered)
    for method in ("tools/list", "made/up", "notifications/initialized", "subscriptions/listen"):
        await telemetry.watching(_asked(method), answered)
    assert notebook.transactions == ["tools/call recall", *["tools/call unknown"] * 3]
    assert notebook.names == ["tools/list"]
    assert notebook.skipped == 1


@pytest.mark.parametrize(("fault", "code"), [(asyncio.CancelledError, "cancelled"), (LookupError, "protocol_error")])
async def test_a_call_that_ends_without_an_answer_is_told_all_the_same(fault: type[BaseException], code: str) -> None:
    notebook = Notebook()
    clock = ManualClock()

    async def broken(_: Any) -> Any:
        clock.advance(0.25)
        raise fault("PLANTED")

    with pytest.raises(fault):
        await Telemetry(notebook, clock=clock).watching(_asked("tools/call", name="recall"), broken)
    assert notebook.events == [
        ("UdsToolCall", {"tool": "unknown", "degraded": False, "error_code": code, "duration_ms": 250.0})
    ]


def test_only_a_defect_is_unexpected() -> None:
    notebook = Notebook()
    for code in ("unknown_schema", "internal_error"):
        Telemetry(notebook).noticed(ValueError("PLANTED"), code)
    assert notebook.faults == [("ValueError", "unknown_schema", True), ("ValueError", "internal_error", False)]


async def test_counts_are_told_again_and_again_and_at_the_end() -> None:
    notebook = Notebook()
    hits = 0
    parts: Any = SimpleNamespace(cache=SimpleNamespace(statistics=lambda: _statistics(hits=hits)))
    async with asyncio.timeout(10), Telemetry(notebook, each_s=0.001).counting(parts):
        hits = 2
        while not notebook.metrics:
            await notebook.told_counts.wait()
            notebook.told_counts.clear()
        hits = 5
    told = [value["count"] for name, value in notebook.metrics if name == "Custom/uds/cache/hits"]
    assert told[0] == 2
    assert sum(told) == 5


def test_what_is_written_while_the_server_goes_down_is_counted_too() -> None:
    notebook = Notebook()
    telemetry = Telemetry(notebook)
    telemetry.meter.count("sessions/opened")
    telemetry.end()
    assert notebook.metrics == [("Custom/uds/sessions/opened", {"count": 1})]


@pytest.mark.parametrize(
    ("method", "path", "headers", "left_out"),
    [
        ("POST", "/mcp", [], False),
        ("POST", "/mcp", [(b"mcp-session-id", b"x")], True),
        ("GET", "/mcp", [], True),
        ("GET", "/health", [], True),
        ("POST", "/messages/", [], True),
    ],
)
async def test_of_http_only_what_is_answered_at_once_is_a_transaction(
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    left_out: bool,  # noqa: FBT001
) -> None:
    notebook = Notebook()
    served: list[Any] = []

    async def app(*asked: Any) -> None:
        served.append(asked)

    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await Telemetry(notebook).around(app)(scope, "receive", "send")
    assert served == [(scope, "receive", "send")]
    assert notebook.skipped == left_out


async def test_commits_and_openings_are_counted_where_they_are_made() -> None:
    notebook, meter = Notebook(), Meter()
    draft = Draft(at=1.0, kind="opened", actor="ann", body={})
    async with _watched(notebook, meter):
        journal = MemoryJournal(clock=lambda: 1.0)
        head = await journal.append("s", expected=None, drafts=[draft], expires_at=9.0)
        await journal.append("s", expected=head, drafts=[draft], expires_at=9.0)
    told = dict(meter.taken())
    assert told["Custom/uds/journal/commits"]["count"] == 2
    assert told["Custom/uds/sessions/opened"] == {"count": 1}


async def test_watching_leaves_no_trace_when_it_ends() -> None:
    before = (Engine.run, Engine.run_untrusted, SqliteJournal.append, SqliteJournal.read, MemoryJournal.append)
    async with _watched(Notebook(), Meter(), redis=True, newrelic=True):
        assert Engine.run is not before[0]
    assert (
        Engine.run,
        Engine.run_untrusted,
        SqliteJournal.append,
        SqliteJournal.read,
        MemoryJournal.append,
    ) == before


async def test_a_journal_beside_redis_counts_no_commits_of_its_own() -> None:
    meter = Meter()
    async with _watched(Notebook(), meter, redis=True):
        journal = MemoryJournal(clock=lambda: 1.0)
        await journal.append(
            "s", expected=None, drafts=[Draft(at=1.0, kind="opened", actor="a", body={})], expires_at=9
        )
    assert meter.taken() == []


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"NEW_RELIC_LICENSE_KEY": ""}, False),
        ({"NEW_RELIC_LICENSE_KEY": "k"}, True),
        ({"NEW_RELIC_CONFIG_FILE": "/etc/newrelic.ini"}, True),
        ({"NEW_RELIC_DEVELOPER_MODE": "false"}, False),
        ({"NEW_RELIC_DEVELOPER_MODE": "True"}, True),
        ({"NEW_RELIC_APP_NAME": "uds"}, False),
    ],
)
def test_the_agent_is_wanted_where_it_has_something_to_report_with(environ: dict[str, str], wanted: bool) -> None:  # noqa: FBT001
    assert wants_apm(environ) == wanted
    assert read_settings(environ).apm == wanted


def test_nobody_watches_unless_asked_to() -> None:
    assert begin(read_settings({})) is None

"""Whatever is sent to a tool over New Relic, it is answered or refused in words of the contract, and asks only NRQL."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from mcp.server.mcpserver import Context

from server.registration import Conversations
from server.registration import RegisteredTool
from server.simulator.accounts import Account
from sources.nrql.parse import parse
from tests.newrelic_scene import Scene
from tests.newrelic_scene import rows
from tests.newrelic_scene import serving

pytestmark = pytest.mark.anyio

CODES = {
    "unknown_schema",
    "unknown_attribute",
    "unknown_source",
    "unknown_session",
    "query_rejected",
    "query_timeout",
    "too_large",
    "quota_spent",
    "source_unreachable",
    "access_denied",
    "invalid_argument",
}
TABLE = """
    SELECT now()::TIMESTAMP - to_minutes(i::BIGINT) AS "time", i % 5 AS shard, 'w' || (i % 4) AS kind, i % 2 = 0 AS ok,
        i / 7.0 AS duration, CASE WHEN i % 3 > 0 THEN 't' || i END AS "trace.id"
    FROM range(200) numbers(i)"""
METRIC = """
    SELECT now()::TIMESTAMP - to_minutes(i::BIGINT) AS "time", 'cpu.util' AS metricName, i * 1.0 AS "cpu.util"
    FROM range(50) numbers(i)"""

_text = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["Work", "work", "Metric", "Metric/cpu.util", "Metric/", "kind", "duration", "trace.id", "1h"]),
    st.sampled_from(["\x00", "\ud800", "`; DROP", "../../etc/passwd", "%s%n", "a" * 3_000, "\u202e", "\\", "'", "`"]),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), _text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
_source = st.one_of(_text, st.just("newrelic"))
_detail = st.one_of(_text, st.sampled_from(["brief", "full"]))
_limit = st.one_of(_json, st.integers(1, 400))
_arguments: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "list_schemas": {"search": _text, "limit": _limit, "cursor": _text, "source": _source, "session": _text},
    "describe_schema": {"schema": _text, "attributes": _json, "detail": _detail, "cursor": _text, "source": _source},
    "profile_attribute": {"schema": _text, "attribute": _text, "top": _limit, "source": _source},
    "run_query": {"query": _text, "dialect": _text, "limit": _limit, "timeout_s": _json, "cursor": _text},
    "cache": {"action": _text, "source": _source, "schema": _text, "pattern": _text},
}
_VALUES = """shard; kind; ok; duration; `trace.id`; nope; 1; 'x'; NULL; count(*); average(duration); *; uniques(kind);
    percentile(duration, 50); eventType(); timestamp; histogram(duration, 9, 3); latest(kind); numeric(kind)"""
_REST = """TIMESERIES; TIMESERIES 1 hour; TIMESERIES MAX; FACET kind; FACET kind, shard; FACET duration LIMIT 3; ;
    SINCE 2 days ago; SINCE 7 days; SINCE 1 hour ago UNTIL 2 hours ago; SINCE 100; COMPARE WITH 1 day ago; LIMIT MAX;
    LIMIT 0; LIMIT -1; LIMIT 99999; WITH TIMEZONE 'Mars'; ORDER BY kind; OFFSET 3; SLIDE BY 1 minute; EXTRAPOLATE;
    SINCE 400 days ago UNTIL now TIMESERIES 1 second"""


def _one_of(texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from([" ".join(each.split()) for each in texts.split(";")])


_values, _rest = _one_of(_VALUES), _one_of(_REST)
_conditions = st.builds("{} {} {}".format, _values, _one_of("=; !=; >; <=; LIKE; IS; IN; IS NOT"), _values)
_statements = st.one_of(
    st.builds(
        "SELECT {}, {} FROM {} WHERE {} {} {}".format,
        _values,
        _values,
        st.sampled_from(["Work", "Metric", "No", "Work, Metric", "(SELECT count(*) FROM Work FACET kind)"]),
        _conditions,
        _rest,
        _rest,
    ),
    st.builds("FROM Work SELECT {} {}".format, _values, _rest),
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Scene]:
    assert anyio_backend
    with rows({"Work": TABLE, "Metric": METRIC}) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path_factory.mktemp("state")) as made:
            yield made


def _call(tool: str, known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    nothing: dict[str, st.SearchStrategy[Any]] = {}
    return st.tuples(st.just(tool), st.fixed_dictionaries(nothing, optional={**known, "surprise": _json}))


@given(call=st.one_of([_call(tool, known) for tool, known in _arguments.items()]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_arguments_are_answered_or_refused_in_words_of_the_contract(
    scene: Scene, call: tuple[str, dict[str, Any]]
) -> None:
    before = len(scene.far.received)
    refusal = await _asked(scene, *call)
    assert refusal is None or refusal.split(":")[0] in CODES, refusal
    if call[0] != "run_query":
        scene.asked_since(before)


@given(query=_statements, limit=st.integers(1, 50))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_statement_is_answered_or_refused_and_explained_by_nrql(scene: Scene, query: str, limit: int) -> None:
    before = len(scene.far.received)
    refusal = await _asked(scene, "run_query", {"query": query, "limit": limit})
    assert refusal is None or refusal.split(":")[0] in CODES, refusal
    asked = [text for each in scene.far.received[before:] for text in each.texts]
    assert len(asked) <= 6, "an explanation is bounded"
    for text in asked:
        assert text == query or parse(text), "what cannot be read here goes as it stands"


async def _asked(scene: Scene, tool: str, arguments: dict[str, Any]) -> str | None:
    """The text of the refusal; None when the call was answered.

    The tool is called below the protocol, which would not let lone surrogates and infinities through.
    """
    found = next(each for each in scene.parts.tools if each.name == tool)
    registered = RegisteredTool.of(found, Conversations(keys=(), own=None))
    request: Any = SimpleNamespace(meta={})
    with anyio.fail_after(20):
        answered = await registered.run(arguments, Context(request_context=request))
    return answered.content[0].text if answered.is_error else None

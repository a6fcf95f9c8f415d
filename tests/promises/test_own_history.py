"""One's own history is data like any other, and nobody else's is ever seen, by whatever way it is asked for."""

import json
from collections.abc import AsyncIterator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ResourceTemplateReference

from server.mcp_server import build_server
from server.parts import Parts
from server.parts import open_parts
from server.settings import read_settings
from sources.errors import QueryRejected
from sources.errors import UnknownSchema
from state.errors import UnknownSession
from tools.call import Call

pytestmark = pytest.mark.anyio

ANN = Call(principal="ann")
BEN = Call(principal="ben")
SCHEMAS = ("events", "findings", "sessions")
SAID = "the merger is off"
TOPIC = "merger"


class Tools:
    """The tools as registered, called by whoever the call names."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._methods: dict[str, Callable[..., Any]] = {tool.name: tool.method for tool in parts.tools}

    async def __call__(self, call: Call, tool: str, /, **arguments: Any) -> dict[str, Any]:
        rendered = await self._methods[tool](call, **arguments)
        return json.loads(rendered.text)

    async def remembering(self, call: Call, value: object, *, key: str, goal: str) -> str:
        """A session of the caller that knows something."""
        session = (await self(call, "open_session", goal=goal))["session"]
        await self(call, "remember", session=session, kind="finding", key=key, value=value, evidence="a query")
        return session


@pytest.fixture
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    state = tmp_path_factory.mktemp("state")
    async with open_parts(read_settings({"UDS_STATE_DIR": str(state)})) as parts:
        yield Tools(parts)


def own(answer: dict[str, Any]) -> dict[str, Any]:
    return {entry["schema"]: entry for entry in answer["schemas"] if entry["source"] == "uds"}


async def test_what_was_remembered_can_be_counted_grouped_and_profiled(serve: Any) -> None:
    async with serve({}) as server, Client(server) as client:

        async def ask(tool: str, /, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            assert result.structured_content is not None
            return result.structured_content

        before = await ask("list_schemas")
        assert before["sources"][-1] == {
            "name": "uds",
            "kind": "journal",
            "status": "ok",
            "origin": "what your sessions remember",
        }
        assert {name: entry["rows"] for name, entry in own(before).items()} == dict.fromkeys(SCHEMAS, 0)
        session = (await ask("open_session", goal="Which carrier is late?"))["session"]
        for number in range(3):
            await ask("remember", session=session, kind="finding", value=f"finding {number}", evidence="counted")
        await ask("describe_schema", schema="airlines", session=session)
        await ask("recall", session=session)
        assert {name: entry["rows"] for name, entry in own(await ask("list_schemas")).items()} == {
            "events": 5,
            "findings": 3,
            "sessions": 1,
        }
        by_kind = await ask(
            "run_query",
            source="uds",
            query="select kind, count(*) as n, max(happened_at) - min(happened_at) < interval 1 minute as soon"
            " from events group by kind order by n desc, kind",
        )
        assert by_kind["rows"] == [["finding", 3, True], ["explored", 1, True], ["opened", 1, True]]
        assert by_kind["provenance"]["source"] == "uds"
        described = await ask("describe_schema", schema="findings")
        assert (described["rows"], described["provenance"]["source"]) == (3, "uds")
        profile = await ask("profile_attribute", schema="events", attribute="kind", source="uds")
        assert profile["top_values"][0] == {"value": "finding", "rows": 3, "share": 0.6}
        joined = await ask(
            "run_query",
            source="uds",
            dialect="sql",
            query="select s.goal, count(*) from findings f join sessions s using (session) group by 1",
        )
        assert joined["rows"] == [["Which carrier is late?", 3]]


async def test_a_query_is_for_the_shared_data_unless_it_names_the_history(tools: Tools) -> None:
    with pytest.raises(QueryRejected) as rejected:
        await tools(ANN, "run_query", query="select count(*) from events")
    assert 'pass source="uds"' in rejected.value.remedy
    with pytest.raises(QueryRejected) as other:
        await tools(ANN, "run_query", query="select events from flights")
    assert "uds" not in other.value.remedy
    assert (await tools(ANN, "run_query", query="select count(*) from airlines"))["rows"] == [[16]]
    with pytest.raises(UnknownSchema) as unknown:
        await tools(ANN, "describe_schema", schema="flihgts")
    assert unknown.value.suggestions == ("flights",)


async def test_data_of_the_same_name_goes_before_the_history(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("mine\n1\n")
    settings = read_settings({"UDS_DATA": str(tmp_path), "UDS_STATE_DIR": str(tmp_path / "state")})
    async with open_parts(settings) as parts:
        tools = Tools(parts)
        described = await tools(ANN, "describe_schema", schema="events")
        assert [each["name"] for each in described["attributes"]] == ["mine"]
        assert (await tools(ANN, "run_query", query="select mine from events"))["rows"] == [[1]]
        mine = await tools(ANN, "describe_schema", schema="events", source="uds")
        assert mine["provenance"]["source"] == "uds"


async def test_nobody_sees_anothers_history_by_any_tool(tools: Tools) -> None:
    session = await tools.remembering(ANN, SAID, key=TOPIC, goal="Is the merger off?")
    asked: list[tuple[str, dict[str, Any]]] = [
        ("list_schemas", {}),
        ("list_schemas", {"search": "merger"}),
        *(("describe_schema", {"schema": each, "source": "uds", "detail": "full"}) for each in SCHEMAS),
        *(("run_query", {"query": f"select * from {each}", "source": "uds"}) for each in SCHEMAS),
        ("profile_attribute", {"schema": "findings", "attribute": "value", "source": "uds"}),
        ("profile_attribute", {"schema": "sessions", "attribute": "goal", "source": "uds"}),
    ]
    seen = [json.dumps(await tools(ANN, tool, **arguments)) for tool, arguments in asked]
    assert sum(SAID in answer for answer in seen) >= 4
    for tool, arguments in asked * 2:
        answer = await tools(BEN, tool, **arguments)
        text = json.dumps(answer)
        assert SAID not in text
        assert session not in text
        assert TOPIC not in text.replace('matches \\"merger\\"', "")
    again = await tools(ANN, *asked[6][:1], **asked[6][1])
    assert again["provenance"]["cached"]
    assert again["row_count"] == 1
    assert {entry["rows"] for entry in own(await tools(BEN, "list_schemas")).values()} == {0}


async def test_the_same_question_is_answered_to_each_from_the_own_cache(tools: Tools) -> None:
    await tools.remembering(ANN, "ann's", key="k", goal="a")
    await tools.remembering(BEN, "ben's", key="k", goal="b")
    question: dict[str, Any] = {"query": "select value from findings", "source": "uds"}
    for expected in (False, True):
        for call in (ANN, BEN):
            answer = await tools(call, "run_query", **question)
            assert answer["rows"] == [[f"{call.principal}'s"]]
            assert answer["provenance"]["cached"] is expected


async def test_a_cursor_of_another_one_leads_nowhere_but_into_ones_own_rows(tools: Tools) -> None:
    ann, ben = [await tools.remembering(call, "x", key="k", goal="g") for call in (ANN, BEN)]
    for call, session in ((ANN, ann), (BEN, ben)):
        for number in range(8):
            await tools(call, "remember", session=session, kind="finding", value=f"{call.principal} {number}")
    question: dict[str, Any] = {"query": "select session, value from findings", "source": "uds", "limit": 3}
    first = await tools(ANN, "run_query", **question)
    taken = await tools(BEN, "run_query", **question, cursor=first["next_cursor"])
    assert {row[0] for row in first["rows"]} == {ann}
    assert {row[0] for row in taken["rows"]} == {ben}
    assert any("changed since the cursor" in hint for hint in taken["hints"])
    second = await tools(ANN, "run_query", **question, cursor=first["next_cursor"])
    assert not any("changed since the cursor" in hint for hint in second["hints"])
    assert not {row[1] for row in first["rows"]} & {row[1] for row in second["rows"]}


async def test_a_resource_holds_ones_own_and_watchers_hear_of_nobodys(tools: Tools) -> None:
    heard: list[str] = []
    tools.parts.watch(heard.append)
    await tools.remembering(ANN, SAID, key=TOPIC, goal="g")
    for name in SCHEMAS:
        await tools(ANN, "describe_schema", schema=name, source="uds")
    whole = json.loads(await tools.parts.resources.schema(ANN, "uds", "findings"))
    assert (whole["rows"], whole["described"]["rows"]) == (1, 1)
    theirs = json.loads(await tools.parts.resources.schema(BEN, "uds", "findings"))
    assert (theirs["rows"], "described" in theirs) == (0, False)
    assert [uri for uri in heard if "schemas/uds" in uri] == []


async def test_another_ones_session_cannot_be_named_while_asking(tools: Tools) -> None:
    session = await tools.remembering(ANN, SAID, key=TOPIC, goal="g")
    with pytest.raises(UnknownSession):
        await tools(BEN, "run_query", query="select 1", source="uds", session=session)


async def test_completions_name_nothing_of_a_history_but_what_everybody_has(tools: Tools) -> None:
    await tools.remembering(ANN, SAID, key=TOPIC, goal="g")
    server = build_server(tools.parts, read_settings({}))
    async with Client(server) as client:
        for argument in ("source", "schema"):
            found = await client.complete(
                ResourceTemplateReference(uri="uds://schemas/{source}/{schema}"), {"name": argument, "value": ""}
            )
            assert set(found.completion.values) <= {"duckdb", "uds", *SCHEMAS} | {
                "airlines",
                "airports",
                "flights",
                "planes",
                "weather",
            }


async def test_looking_at_the_history_is_noted_once_and_does_not_go_on_by_itself(tools: Tools) -> None:
    session = await tools.remembering(ANN, "x", key="k", goal="g")

    async def version() -> int:
        return (await tools(ANN, "recall", session=session))["version"]

    async def look() -> int:
        for name in SCHEMAS:
            await tools(ANN, "describe_schema", schema=name, source="uds", session=session)
        await tools(ANN, "run_query", query="select count(*) from events", source="uds", session=session)
        return await version()

    first = await look()
    assert first == 2 + len(SCHEMAS)
    assert [await look() for _ in range(3)] == [first] * 3
    explored = (await tools(ANN, "recall", session=session))["explored"]
    assert {(each["source"], each["schema"]) for each in explored} == {("uds", name) for name in SCHEMAS}


async def test_the_history_is_never_proposed_as_a_next_step_and_never_asked_whether_it_is_ready(tools: Tools) -> None:
    goal = "events, findings and sessions by kind and label"
    session = (await tools(ANN, "open_session", goal=goal))["session"]
    steps: list[Any] = (await tools(ANN, "open_session", goal=goal))["next_steps"]
    for name in SCHEMAS:
        await tools(ANN, "describe_schema", schema=name, source="uds", session=session)
    steps += (await tools(ANN, "recall", session=session))["next_steps"]
    assert steps
    named = [(step["arguments"].get("source"), step["arguments"].get("schema")) for step in steps]
    assert not any(source == "uds" or schema in SCHEMAS for source, schema in named), steps
    assert [source.name for source in tools.parts.sources] == ["duckdb"]

"""What an assistant is promised about New Relic, and the traps of real estates, through a client on a simulator."""

import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from server.simulator.accounts import Account
from tests.newrelic_scene import Answer
from tests.newrelic_scene import Scene
from tests.newrelic_scene import only
from tests.newrelic_scene import rows
from tests.newrelic_scene import serving
from tools.tokens import tokens_about

pytestmark = pytest.mark.anyio

_AT = 'now()::TIMESTAMP - to_minutes(i::BIGINT) AS "time"'
TABLES = {
    "Transaction": f"""
        SELECT {_AT}, CASE i % 3 WHEN 0 THEN 'checkout' WHEN 1 THEN 'search' ELSE 'cart' END AS appName,
            (i % 40) / 10.0 AS duration, CASE WHEN i % 20 = 0 THEN '503' ELSE '200' END AS "response.status",
            CASE WHEN i % 100 < 46 THEN 200 END AS httpResponseCode, 't' || i AS traceId,
            (epoch_ms(now()::TIMESTAMP) - i * 60000)::BIGINT AS startedAt
        FROM range(1200) numbers(i)""",
    "TransactionError": f"""
        SELECT {_AT}, 't' || i AS traceId, i % 7 > 0 AS "error.expected", 'boom ' || (i % 4) AS "error.message"
        FROM range(140) numbers(i)""",
    "Log": f"""
        SELECT {_AT}, 't' || i AS "trace.id", CASE i % 3 WHEN 0 THEN 'error' WHEN 1 THEN 'ERROR' ELSE 'Error' END
            AS level, 'line ' || i AS message
        FROM range(300) numbers(i)""",
    "Span": f"""
        SELECT {_AT}, 'G' || (i % 5) AS entityGuid, CASE WHEN i % 1000 < 195 THEN 'G' || (i % 5) END AS "entity.guid"
        FROM range(1000) numbers(i)""",
    "NrAiIncident": f"SELECT {_AT}, 'critical' AS priority FROM range(9) numbers(i)",
    "NrAiIssue": f"SELECT {_AT}, 'CRITICAL' AS priority FROM range(4) numbers(i)",
    "Misnamed": f"""
        SELECT {_AT}, i % 5 AS error, i % 2 = 0 AS id, 'at ' || (i % 6) AS timeOfDay, 'x' || i AS duration,
            i * 1.5 AS name, 'yes' AS is_ok, i % 3 AS message
        FROM range(60) numbers(i)""",
    "Metric": f"""
        SELECT {_AT}, CASE WHEN i % 4 = 0 THEN 'cpu.util' ELSE 'mem.used' END AS metricName, 'h' || (i % 3) AS host,
            CASE WHEN i % 4 = 0 THEN i % 100 END AS "cpu.util", CASE WHEN i % 4 > 0 THEN i * 10 END AS "mem.used"
        FROM range(400) numbers(i)""",
    "Wide": f"SELECT {_AT}, " + ", ".join(f"{n} + i AS a{n:03}" for n in range(300)) + " FROM range(10) numbers(i)",
}
GHOSTS: dict[str, dict[str, Any]] = {"TransactionError": {"trace.id": "string"}, "Log": {"traceId": "string"}}


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    with rows(TABLES) as nrdb:
        account = Account(id=1, nrdb=nrdb, ghost_attributes=GHOSTS)
        async with serving([account], tmp_path_factory.mktemp("state")) as made:
            yield made


async def _described(scene: Scene, schema: str, *names: str, detail: str = "full") -> dict[str, Answer]:
    told: Answer = {"attributes": list(names)} if names else {}
    answer = await scene.ask("describe_schema", schema=schema, detail=detail, **told)
    return {each["name"]: each for each in answer["attributes"]}


async def _minimal(scene: Scene) -> dict[str, list[str]]:
    return {tool.name: tool.input_schema.get("required", []) for tool in (await scene.client.list_tools()).tools}


async def test_every_event_type_and_metric_is_listed_with_its_rows_in_few_requests(tmp_path: Path) -> None:
    with rows(TABLES) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path) as scene:
            listed = await scene.ask("list_schemas", limit=100)
            asked = scene.asked_since(0)
            requests = len(scene.far.received)
    found = {each["schema"]: each["rows"] for each in listed["schemas"] if each["source"] == "newrelic"}
    counted = {"Transaction": 1200, "TransactionError": 140, "Log": 300, "Span": 1000, "NrAiIncident": 9}
    more = {"NrAiIssue": 4, "Misnamed": 60, "Wide": 10, "Metric": 400, "Metric/cpu.util": 100, "Metric/mem.used": 300}
    assert found == {**counted, **more}
    assert requests <= 5, "however many event types there are"
    assert sum("count(*)" in each for each in asked) <= 2, "one statement counts many event types"


async def test_every_parameter_of_listing_has_an_effect(scene: Scene) -> None:
    whole = await scene.ask("list_schemas", limit=100)
    page = await scene.ask("list_schemas", limit=3)
    assert [each["schema"] for each in page["schemas"]] == [each["schema"] for each in whole["schemas"][:3]]
    behind = await scene.ask("list_schemas", limit=3, cursor=page["next_cursor"])
    assert [each["schema"] for each in behind["schemas"]] == [each["schema"] for each in whole["schemas"][3:6]]
    searched = await scene.ask("list_schemas", search="priority")
    assert {"NrAiIncident", "NrAiIssue"} <= {each["schema"] for each in searched["schemas"][:3]}
    assert {each["source"] for each in (await scene.ask("list_schemas", source="newrelic"))["schemas"]} == {"newrelic"}


async def test_answers_follow_the_rows(tmp_path: Path) -> None:
    told: list[Answer] = []
    for number in (30, 70):
        table = f"SELECT {_AT}, i % {number // 10} AS shard, {number} + i AS size FROM range({number}) numbers(i)"
        with rows({"Work": table}) as nrdb:
            async with serving([Account(id=1, nrdb=nrdb)], tmp_path / str(number)) as scene:
                listed = await scene.ask("list_schemas", source="newrelic")
                shard = (await _described(scene, "Work"))["shard"]
                size = await scene.ask("profile_attribute", schema="Work", attribute="size")
        kept = {name: size[name] for name in ("rows", "min", "max", "mean", "stddev", "quantiles", "histogram")}
        told.append({"rows": listed["schemas"][0]["rows"], "distinct": shard["distinct"], **kept})
    assert all(told[0][name] != told[1][name] for name in told[0]), told
    assert told[1]["rows"] == 70
    assert (told[1]["distinct"], told[1]["min"], told[1]["max"]) == (7, 70, 139)
    assert told[1]["mean"] == pytest.approx(104.5)


async def test_types_are_those_of_the_values_whatever_the_names_say(scene: Scene) -> None:
    found = await _described(scene, "Misnamed")
    kinds = {name: each["type"] for name, each in found.items()}
    assert kinds == {
        "timestamp": "numeric",
        "time": "numeric",
        "error": "numeric",
        "id": "boolean",
        "timeOfDay": "string",
        "duration": "string",
        "name": "numeric",
        "is_ok": "string",
        "message": "numeric",
    }
    assert {found[name].get("semantic_type") for name in ("timeOfDay", "duration")}.isdisjoint(
        {"timestamp", "duration"}
    )
    assert found["id"].get("semantic_type") != "identifier"


async def test_what_a_profile_counts_is_what_a_query_counts(scene: Scene) -> None:
    profile = await scene.ask("profile_attribute", schema="Transaction", attribute="appName", top=2)
    assert [(each["value"], each["rows"]) for each in profile["top_values"]] == [("cart", 400), ("checkout", 400)]
    counted = await scene.ask("run_query", query="SELECT count(*) FROM Transaction FACET appName")
    assert sorted(counted["rows"]) == [["cart", 400], ["checkout", 400], ["search", 400]]
    wide = await scene.ask("profile_attribute", schema="Transaction", attribute="appName", top=3)
    assert len(wide["top_values"]) == 3


async def test_rows_that_are_looked_at_are_spread_over_the_window(tmp_path: Path) -> None:
    early = "CASE WHEN i > 900 THEN 'early' ELSE 'late' END"
    with rows({"Work": f"SELECT {_AT}, {early} AS half FROM range(1000) numbers(i)"}) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path) as scene:
            half = (await _described(scene, "Work", "half"))["half"]
            looks = [each for each in scene.asked_since(0) if each.startswith("SELECT half")]
    assert set(half["examples"]) == {"early", "late"}, "the newest rows alone are all late"
    windows = [each.partition(" SINCE ")[2].partition(" LIMIT")[0] for each in looks]
    assert len(set(windows)) == len(windows) >= 8
    bounds = [tuple(int(part) for part in each.split(" UNTIL ")) for each in windows]
    assert all(begin < end for begin, end in bounds), "SINCE comes before UNTIL"


async def test_a_time_in_milliseconds_is_a_time(scene: Scene) -> None:
    at = (await _described(scene, "Transaction", "startedAt"))["startedAt"]
    assert at["semantic_type"] == "timestamp"
    shown = await scene.ask("run_query", query="SELECT latest(timestamp) AS seen FROM Transaction")
    age_s = time.time() - datetime.fromisoformat(only(shown)["seen"]).timestamp()
    assert 60 < age_s < 600


async def test_every_tool_can_be_called_with_what_its_schema_requires(scene: Scene) -> None:
    session = (await scene.ask("open_session"))["session"]
    given = {
        "schema": "Transaction",
        "attribute": "duration",
        "query": "SELECT count(*) FROM Transaction",
        "session": session,
        "kind": "finding",
        "value": "x",
        "action": "status",
    }
    required = await _minimal(scene)
    for tool, names in sorted(required.items(), key=lambda each: each[0] == "close_session"):
        told = {"goal": "x"} if tool == "set_goal" else {}  # what it requires beside a session is one of two
        await scene.ask(tool, **{name: given[name] for name in names}, **told)


async def test_a_near_twin_that_is_filled_is_named_where_the_listed_one_is_empty(scene: Scene) -> None:
    answer = await scene.ask("run_query", query="SELECT count(*) FROM TransactionError WHERE trace.id = 't1'")
    assert only(answer)["count"] == 0
    assert "`traceId` has 140" in answer["diagnosis"]
    answer = await scene.ask("run_query", query="SELECT count(*) FROM Log WHERE traceId = 't1'")
    assert "`trace.id` has 300" in answer["diagnosis"]
    ghost = (await _described(scene, "TransactionError"))["trace.id"]
    assert ghost["null_share"] == 1.0
    assert ghost["distinct"] == 0
    described = await scene.ask("describe_schema", schema="TransactionError", attributes=["trace.id"])
    assert "traceId" in " ".join(described["hints"])


async def test_the_share_of_rows_with_a_value_is_told_of_both_twins(scene: Scene) -> None:
    found = await _described(scene, "Span", "entityGuid", "entity.guid")
    assert found["entityGuid"]["null_share"] == 0.0
    assert found["entity.guid"]["null_share"] == pytest.approx(0.805)


async def test_a_status_that_is_text_says_how_to_compare_it(scene: Scene) -> None:
    answer = await scene.ask("run_query", query="SELECT count(*) FROM Transaction WHERE response.status >= 500")
    assert only(answer)["count"] == 0
    assert "numeric(response.status) >= 500" in answer["diagnosis"]
    right = await scene.ask("run_query", query="SELECT count(*) FROM Transaction WHERE numeric(response.status) >= 500")
    assert only(right)["count"] == 60
    assert (await _described(scene, "Transaction"))["response.status"]["type"] == "string"


async def test_durations_in_seconds_are_not_taken_for_milliseconds(scene: Scene) -> None:
    answer = await scene.ask("run_query", query="SELECT count(*) FROM Transaction WHERE duration > 2000")
    assert only(answer)["count"] == 0
    assert "`duration` lies between 0 and 3.9 here" in answer["diagnosis"]
    said = await scene.ask("run_query", query="SELECT count(*) FROM Transaction WHERE numeric(response.status) > 599")
    assert "`numeric(response.status)` lies between 200 and 503 here" in said["diagnosis"]
    assert (await _described(scene, "Transaction"))["duration"]["max"] == 3.9


async def test_words_in_another_case_are_told_as_they_are(scene: Scene) -> None:
    answer = await scene.ask("run_query", query="SELECT count(*) FROM NrAiIssue WHERE priority = 'critical'")
    assert "'CRITICAL'" in answer["diagnosis"]
    level = (await _described(scene, "Log"))["level"]
    assert "mixed_case" in level["flags"] or {"error", "ERROR", "Error"} == set(level["examples"])


async def test_an_attribute_that_is_half_empty_says_so(scene: Scene) -> None:
    code = (await _described(scene, "Transaction"))["httpResponseCode"]
    assert code["null_share"] == pytest.approx(0.54)


async def test_what_few_rows_have_is_shown_all_the_same(tmp_path: Path) -> None:
    """Of 20,000 rows 5 have it; none of those that a description looks at."""
    seldom = "CASE WHEN i IN (3331, 7777, 9001, 13579, 17001) THEN 'code-' || i END"
    spread = 'now()::TIMESTAMP - to_seconds(4 * i::BIGINT) AS "time"'
    table = f"SELECT {spread}, {seldom} AS reason, i % 2 = 0 AS even FROM range(20000) numbers(i)"
    with rows({"Work": table}) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path) as scene:
            reason = (await _described(scene, "Work", detail="brief"))["reason"]
            asked = len(scene.asked_since(0))
            profile = await scene.ask("profile_attribute", schema="Work", attribute="reason")
            assert scene.asked_since(0)
    assert reason["examples"] == ["code-3331"], "the newest"
    assert reason["distinct"] == 5
    assert asked < 30
    assert [each["pattern"] for each in profile["formats"]] == ["a+-9+"]


async def test_an_event_type_without_rows_in_the_window_is_not_said_to_be_nowhere(tmp_path: Path) -> None:
    days = "now()::TIMESTAMP - to_days(5) - to_minutes(i::BIGINT)"
    tables = {
        "Old": f'SELECT {days} AS "time", 1 AS x FROM range(30) numbers(i)',
        "New": f"SELECT {_AT}, 1 AS x FROM range(5) numbers(i)",
    }
    with rows(tables) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path) as scene:
            for tool, told in (("describe_schema", {}), ("profile_attribute", {"attribute": "x"})):
                refusal = await scene.refused(tool, schema="Old", **told)
                assert refusal.startswith('unknown_schema: there is no schema "Old" with rows in 20')
                assert "run_query can look further back, with SINCE" in refusal
            found = await scene.ask("run_query", query="SELECT count(*) FROM Old SINCE 1 week ago")
    assert only(found)["count"] == 30


async def test_a_name_with_signs_is_told_to_stand_in_backticks(tmp_path: Path) -> None:
    table = f'SELECT {_AT}, i * 1.0 AS "Usage(%)" FROM range(20) numbers(i)'
    with rows({"Work": table}) as nrdb:
        async with serving([Account(id=1, nrdb=nrdb)], tmp_path) as scene:
            refusal = await scene.refused("run_query", query="SELECT max(Usage(%)) FROM Work")
            right = await scene.ask("run_query", query="SELECT max(`Usage(%)`) FROM Work")
    assert "^" in refusal
    assert "`backticks`" in refusal
    assert right["rows"] == [[19.0]]


async def test_all_facets_come_back_and_not_ten_of_them(scene: Scene) -> None:
    answer = await scene.ask("run_query", query="SELECT count(*) FROM TransactionError FACET traceId", limit=30)
    assert answer["row_count"] == 30
    assert answer["next_cursor"]
    pages = [answer]
    while "next_cursor" in pages[-1]:
        query = "SELECT count(*) FROM TransactionError FACET traceId"
        pages.append(await scene.ask("run_query", query=query, limit=30, cursor=pages[-1]["next_cursor"]))
    assert {row[0] for page in pages for row in page["rows"]} == {f"t{number}" for number in range(140)}


async def test_three_hundred_attributes_come_in_pages_that_fit(scene: Scene) -> None:
    seen: list[str] = []
    cursor: Answer = {}
    while True:
        page = await scene.ask("describe_schema", schema="Wide", **cursor)
        assert tokens_about(json.dumps(page)) < 2_000
        seen += [each["name"] for each in page["attributes"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 302


async def test_a_metric_is_a_schema_from_the_list_to_the_query(scene: Scene) -> None:
    described = await scene.ask("describe_schema", schema="Metric/cpu.util")
    assert described["rows"] == 100
    assert {"cpu.util", "host"} <= {each["name"] for each in described["attributes"]}
    assert "mem.used" not in {each["name"] for each in described["attributes"]}
    assert "average(cpu.util)" in " ".join(described["hints"])
    profile = await scene.ask("profile_attribute", schema="Metric/cpu.util", attribute="cpu.util")
    assert (profile["min"], profile["max"]) == (0, 96)
    answer = await scene.ask("run_query", query="SELECT average(cpu.util), count(*) FROM Metric FACET host")
    assert sum(row[2] for row in answer["rows"]) == 400
    refusal = await scene.refused("run_query", query="SELECT count(*) FROM `Metric/cpu.util`")
    assert "WHERE metricName = 'cpu.util'" in refusal
    again = await scene.ask("run_query", query="SELECT count(*) FROM Metric WHERE metricName = 'cpu.util'")
    assert only(again)["count"] == 100


async def test_steps_towards_a_goal_are_nrql_that_works(scene: Scene) -> None:
    goal = "why is checkout slow, and which transactions fail?"
    opened = await scene.ask("open_session", goal=goal)
    await scene.ask("list_schemas", session=opened["session"])
    taken: list[str] = []
    for _ in range(6):
        steps = (await scene.ask("next_steps", session=opened["session"]))["steps"]
        for step in steps:
            taken.append(step["tool"])
            await scene.ask(step["tool"], **step["arguments"])
    assert "run_query" in taken, taken
    assert "describe_schema" in taken


async def test_what_a_session_explored_is_noted(scene: Scene) -> None:
    session = (await scene.ask("open_session", goal="logs"))["session"]
    await scene.ask("describe_schema", schema="Log", session=session)
    await scene.ask("profile_attribute", schema="Log", attribute="level", session=session)
    await scene.ask("run_query", query="SELECT count(*) FROM Span", session=session)
    await scene.parts.ports.notes.settled()
    explored = (await scene.ask("recall", session=session))["explored"]
    assert {(each["source"], each["schema"]) for each in explored} >= {("newrelic", "Log"), ("newrelic", "Span")}
    listed = await scene.ask("list_schemas", session=session, limit=100)
    assert {each["schema"] for each in listed["schemas"] if each["explored"]} >= {"Log", "Span"}


async def test_what_is_asked_is_always_nrql(scene: Scene) -> None:
    session = (await scene.ask("open_session", goal="errors"))["session"]
    for schema in ("Transaction", "Misnamed", "Metric/mem.used", "Wide"):
        for name in list(await _described(scene, schema))[:6]:
            await scene.ask("profile_attribute", schema=schema, attribute=name, session=session)
    assert len(scene.asked_since(0)) > 50


async def test_equal_questions_of_two_sessions_are_asked_once(scene: Scene) -> None:
    first, second = [(await scene.ask("open_session"))["session"] for _ in range(2)]
    told = {"schema": "NrAiIncident", "attribute": "priority"}
    await scene.ask("profile_attribute", **told, session=first)
    before = len(scene.far.received)
    again = await scene.ask("profile_attribute", **told, session=second)
    assert len(scene.far.received) == before
    assert again["provenance"]["cached"] is True

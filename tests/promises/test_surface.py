"""The surface a host sees: small, complete, typed, refused where unknown."""

import json
import math
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server.instructions import INSTRUCTIONS

pytestmark = pytest.mark.anyio

TOOLS = {
    "list_schemas": {"search", "limit", "cursor", "source", "session"},
    "describe_schema": {"schema", "attributes", "detail", "cursor", "source", "session"},
    "profile_attribute": {"schema", "attribute", "top", "source", "session"},
    "run_query": {"query", "dialect", "limit", "timeout_s", "cursor", "source", "session"},
    "open_session": {"goal", "label", "parent", "branch_of", "at", "ttl", "idempotency_key"},
    "recall": {"session", "about", "limit", "read"},
    "remember": {"session", "kind", "key", "value", "evidence", "expect", "idempotency_key"},
    "set_goal": {"session", "goal", "status", "expect"},
    "session_history": {"session", "since", "at", "diff", "restore_to", "limit", "cursor"},
    "next_steps": {"session", "limit"},
    "close_session": {"session", "merge"},
    "cache": {"action", "source", "schema", "pattern"},
}
TOKENS_MOST = 2_500

_PIECE = re.compile(r" ?[A-Za-z]+|\d{1,3}| ?[^\sA-Za-z\d]+|\s+")


def tokens_at_most(text: str) -> int:
    """Estimate o200k tokens from above.

    A word of up to eight letters is one token, of up to sixteen two, and so on; every three digits and every two marks
    are one.

    Source: compared with the real encoder over all tool definitions, where it came out above the real count.
    """
    return sum(
        math.ceil(len(piece) / 8) if piece.strip().isalpha() else math.ceil(len(piece) / 2)
        for piece in _PIECE.findall(text)
    )


async def test_both_eras_list_the_same_tools_with_the_arguments_of_the_contract(client: Any) -> None:
    listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {name: set(tool.input_schema["properties"]) for name, tool in listed.items()} == TOOLS


async def test_all_definitions_together_are_small(modern: Any) -> None:
    listed = (await modern.list_tools()).tools
    text = "".join(
        tool.name + (tool.description or "") + json.dumps(tool.input_schema, separators=(",", ":")) for tool in listed
    )
    assert tokens_at_most(text) <= TOKENS_MOST
    assert '"title"' not in text


async def test_every_argument_that_is_not_plain_is_explained(modern: Any) -> None:
    for tool in (await modern.list_tools()).tools:
        assert tool.description
        assert len(tool.description) < 300
        for name, schema in tool.input_schema["properties"].items():
            explained = "description" in schema or "enum" in schema or name in {"limit", "timeout_s"}
            assert explained, f"{tool.name}.{name}"


async def test_unknown_arguments_are_refused_by_the_schema_too(modern: Any) -> None:
    for tool in (await modern.list_tools()).tools:
        assert tool.input_schema["additionalProperties"] is False


async def test_hints_tell_which_tools_only_read(modern: Any) -> None:
    read_only = {tool.name for tool in (await modern.list_tools()).tools if tool.annotations.read_only_hint}
    assert read_only == {"list_schemas", "describe_schema", "profile_attribute", "run_query", "recall", "next_steps"}


async def test_answers_fit_the_schemas_that_are_published(modern: Any) -> None:
    listed = {tool.name: tool for tool in (await modern.list_tools()).tools}
    for name, arguments in (
        ("list_schemas", {}),
        ("describe_schema", {"schema": "flights"}),
        ("profile_attribute", {"schema": "flights", "attribute": "carrier"}),
        ("run_query", {"query": "select 1"}),
        ("open_session", {"goal": "look"}),
        ("recall", {}),
        ("cache", {"action": "status"}),
    ):
        schema = listed[name].output_schema
        Draft202012Validator.check_schema(schema)
        result = await modern.call_tool(name, arguments)
        assert set(result.structured_content) <= set(schema["properties"])
        assert set(schema["required"]) <= set(result.structured_content)


async def test_concise_answers_are_short(ask: Any) -> None:
    for tool, arguments, most in (
        ("list_schemas", {}, 500),
        ("open_session", {"goal": "late flights"}, 350),
        ("describe_schema", {"schema": "airlines"}, 400),
        ("describe_schema", {"schema": "flights"}, 2_000),
        ("profile_attribute", {"schema": "flights", "attribute": "dep_delay"}, 1_400),
        ("run_query", {"query": "select * from flights"}, 3_300),
    ):
        text = json.dumps(await ask(tool, **arguments), separators=(",", ":"))
        assert tokens_at_most(text) <= most, (tool, tokens_at_most(text))


def test_the_instructions_teach_the_ladder_in_few_words() -> None:
    assert len(INSTRUCTIONS.split()) <= 150
    assert all(tool in INSTRUCTIONS for tool in ("open_session", "list_schemas", "describe_schema", "run_query"))


async def test_resources_and_prompts_are_offered(client: Any) -> None:
    templates = {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
    assert templates == {"uds://sessions/{session}", "uds://schemas/{source}/{schema}"}
    assert {each.name for each in (await client.list_prompts()).prompts} == {"explore", "investigate"}
    prompt = await client.get_prompt("investigate", {"question": "why late?", "schema": "flights"})
    assert "why late?" in prompt.messages[0].content.text


async def test_a_schema_resource_has_what_is_known_with_its_age(ask: Any, modern: Any) -> None:
    await ask("describe_schema", schema="airports")
    known = json.loads((await modern.read_resource("uds://schemas/duckdb/airports")).contents[0].text)
    assert known["rows"] == known["described"]["rows"]
    assert known["described"]["provenance"]["cached"]
    assert known["attributes"][0] == {"name": "faa", "type": "VARCHAR"}


async def test_names_are_completed(client: Any) -> None:
    from mcp_types import PromptReference  # noqa: PLC0415 - kept beside its only use
    from mcp_types import ResourceTemplateReference  # noqa: PLC0415

    template = ResourceTemplateReference(type="ref/resource", uri="uds://schemas/{source}/{schema}")
    schemas = await client.complete(template, {"name": "schema", "value": "fl"})
    assert schemas.completion.values == ["flights"]
    prompt = PromptReference(type="ref/prompt", name="investigate")
    attributes = await client.complete(
        prompt, {"name": "attribute", "value": "dep"}, context_arguments={"schema": "flights"}
    )
    assert attributes.completion.values[:2] == ["dep_delay", "dep_time"]

"""Whatever is sent to a tool, it answers or refuses in words of the contract; it never fails on a defect."""

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

CODES = {
    "unknown_schema",
    "unknown_attribute",
    "unknown_source",
    "unknown_session",
    "conflict",
    "query_rejected",
    "query_timeout",
    "too_large",
    "quota_spent",
    "source_unreachable",
    "access_denied",
    "invalid_argument",
}

_text = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["flights", "FLIGHTS", "carrier", "select 1", "select * from flights limit 1", "1h", "full", '["a"]']
    ),
    st.sampled_from(["\x00", "\ud800", "'; drop table flights; --", "../../etc/passwd", "%s%n", "a" * 3_000, "\u202e"]),
)


def _nested(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), floats, _text),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    )


_json = _nested(st.floats())
_sendable = _nested(st.floats(allow_nan=False, allow_infinity=False))
"""JSON has no infinity: a client sends null in its place."""
_arguments: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "list_schemas": {"search": _text, "limit": _json, "cursor": _text, "source": _text, "session": _text},
    "describe_schema": {"schema": _text, "attributes": _json, "detail": _text, "cursor": _text, "source": _text},
    "profile_attribute": {"schema": _text, "attribute": _text, "top": _json},
    "run_query": {"query": _text, "dialect": _text, "limit": _json, "timeout_s": _json, "cursor": _text},
    "open_session": {
        "goal": _text,
        "label": _text,
        "parent": _text,
        "ttl": _text,
        "idempotency_key": _text,
        "branch_of": _text,
        "at": _json,
    },
    "recall": {"session": _text, "about": _text, "limit": _json},
    "remember": {"session": _text, "kind": _text, "key": _text, "value": _json, "evidence": _text, "expect": _text},
    "set_goal": {"session": _text, "goal": _text, "status": _text, "expect": _text},
    "session_history": {"session": _text, "since": _json, "at": _json, "diff": _json, "restore_to": _json},
    "close_session": {"session": _text, "merge": _text},
    "cache": {"action": _text, "source": _text, "schema": _text, "pattern": _text},
}


def _call(tool: str, known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    nothing: dict[str, st.SearchStrategy[Any]] = {}
    return st.tuples(st.just(tool), st.fixed_dictionaries(nothing, optional={**known, "surprise": _json}))


_calls = st.one_of([_call(tool, known) for tool, known in _arguments.items()])


@given(call=_calls)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_arguments_are_answered_or_refused_in_words_of_the_contract(
    parts: Any, call: tuple[str, dict[str, Any]]
) -> None:
    tool, arguments = call
    with anyio.fail_after(10):
        text = await _asked(parts, tool, arguments)
    assert text is None or text.split(":")[0] in CODES, text


@given(value=_sendable, key=_text, evidence=_text)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_remembered_comes_back_as_it_was_or_is_refused(
    ask: Any, modern: Any, value: Any, key: str, evidence: str
) -> None:
    handle = (await ask("open_session"))["session"]
    arguments = {"session": handle, "kind": "context", "key": key, "value": value, "evidence": evidence}
    stored = await modern.call_tool("remember", arguments)
    if stored.is_error:
        assert stored.content[0].text.split(":")[0] in CODES
    elif len(repr(value)) < 500:
        kept = stored.structured_content["stored"]["key"]
        assert kept == key.strip()
        assert (await ask("recall", session=handle))["context"] == {kept: value}
    await ask("close_session", session=handle)


async def _asked(parts: Any, tool: str, arguments: dict[str, Any]) -> str | None:
    """The text of the refusal; None when the call was answered.

    The tool is called below the protocol, which would not let lone surrogates and infinities through.
    """
    from types import SimpleNamespace  # noqa: PLC0415 - kept beside its only use

    from mcp.server.mcpserver import Context  # noqa: PLC0415

    from server.registration import Conversations  # noqa: PLC0415
    from server.registration import RegisteredTool  # noqa: PLC0415

    conversations = Conversations(keys=(), own=None)
    found = next(each for each in parts.tools if each.name == tool)
    registered = RegisteredTool.of(found, conversations)
    request: Any = SimpleNamespace(meta={})
    answered = await registered.run(arguments, Context(request_context=request))
    return answered.content[0].text if answered.is_error else None

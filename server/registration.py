"""How a tool method becomes an MCP tool: arguments checked, the caller named, faults translated, answers sent whole."""

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool as SdkTool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult
from mcp_types import TextContent
from mcp_types import ToolAnnotations
from pydantic import PrivateAttr
from pydantic import ValidationError

from server.faults import ANTICIPATED
from server.faults import argument_fault_text
from server.faults import fault_text
from server.schemas import Arguments
from server.schemas import arguments_of
from server.schemas import output_schema_of
from tools.call import Call
from tools.toolbox import Tool

Noticed = Callable[[Exception, str], None]
"""Told each fault of a tool and the stable code it was answered with. Never blocks, never raises."""


def noticed_by_nobody(_fault: Exception, _code: str) -> None:
    """Where nobody watches."""


_log = logging.getLogger(__name__)

LOCAL_PRINCIPAL = "local"
"""Everyone who reaches a server without authentication: the user of this machine."""

_CALL_KEYS = ("claudecode/toolUseId", "callId")
"""`_meta` keys under which hosts name one call, the same one when they send it again.

Source: the `_meta` that Claude Code and Codex were seen to send with tools/call.
"""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a registered tool needs to answer a call, bound once."""

    tool: Tool
    arguments: Arguments
    allowed: tuple[str, ...]
    conversations: "Conversations"
    noticed: Noticed

    async def answer(self, arguments: dict[str, Any], context: Context[Any, Any]) -> CallToolResult:
        """Answer one call; every anticipated fault is an answer too."""
        progress = _ProgressRelay(context)
        try:
            checked = self.arguments.validate_python(arguments)
            rendered = await self.tool.method(self._call(context, progress), **checked)
        except ValidationError as fault:
            return self._failed(fault, argument_fault_text(fault, self.allowed))
        except ANTICIPATED as fault:
            return self._failed(fault, fault_text(fault))
        except Exception as fault:  # noqa: BLE001 - the outermost loop: logged here with its traceback, never shown
            _log.exception("%s failed on a defect", self.tool.name)
            return self._failed(fault, "internal_error: the server failed on a defect of its own, which it has logged.")
        finally:
            await progress.close()
        return CallToolResult(
            content=[TextContent(type="text", text=rendered.text)], structured_content=rendered.structured
        )

    def _failed(self, fault: Exception, text: str) -> CallToolResult:
        self.noticed(fault, text.partition(":")[0])
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

    def _call(self, context: Context[Any, Any], progress: "_ProgressRelay") -> Call:
        if not self.tool.changes_session:
            return Call(principal=principal(), progress=progress)
        meta: Mapping[str, Any] = context.request_context.meta or {}
        return Call(
            principal=principal(),
            progress=progress,
            idempotency_key=_text(meta, _CALL_KEYS),
            conversation=self.conversations.of(meta),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """Where hosts name the conversation that a call belongs to. What they say is a hint and grants nothing."""

    keys: tuple[str, ...]
    """Keys of `_meta`, the first that is there counts."""
    own: str | None = None
    """Of the one conversation this process was started for. None: it serves many, or the host does not say."""

    def of(self, meta: Mapping[str, Any]) -> str | None:
        """The host's name for the conversation. What a call says goes before what the process was started with."""
        for key in self.keys:
            value = _text(meta, (key,))
            if value is not None:
                return f"{key}:{value}"
        return self.own


class RegisteredTool(SdkTool):
    """A tool of ours inside the SDK, which would drop unknown arguments and put its own words before our errors."""

    _binding: Binding = PrivateAttr()

    @classmethod
    def of(cls, tool: Tool, conversations: Conversations, noticed: Noticed = noticed_by_nobody) -> "RegisteredTool":
        """Wrap a tool for the SDK."""
        adapter, parameters = arguments_of(tool.method)
        made = cls(
            fn=tool.method,
            name=tool.name,
            title=tool.title,
            description=" ".join((tool.method.__doc__ or "").split()),
            parameters=parameters,
            fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=output_schema_of(tool.answer)),
            is_async=True,
            context_kwarg=None,
            annotations=ToolAnnotations(
                read_only_hint=tool.reads_only,
                destructive_hint=tool.destroys,
                idempotent_hint=tool.idempotent,
                open_world_hint=False,
            ),
        )
        made._binding = Binding(tool, adapter, tuple(parameters["properties"]), conversations, noticed)
        return made

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: FBT001, FBT002 - the SDK's signature
        """Answer one call."""
        _ = convert_result
        return await self._binding.answer(arguments, context)


def principal() -> str:
    """Who calls, as the transport authenticated them."""
    token = get_access_token()
    return LOCAL_PRINCIPAL if token is None else f"{token.client_id}/{token.subject or ''}"


def _text(meta: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of the named entries that is a short text."""
    for name in names:
        value = meta.get(name)
        if isinstance(value, str) and 0 < len(value) <= 200:  # noqa: PLR2004 - as the argument of the same name
            return value
    return None


class _ProgressRelay:
    """Sends progress from synchronous reports, in order, never backwards, and never after the answer."""

    __slots__ = ("_context", "_reached", "_sending")

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context: Context[Any, Any] | None = context
        self._reached = 0.0
        self._sending: asyncio.Task[None] | None = None

    def __call__(self, share: float, message: str) -> None:
        if self._context is None or share <= self._reached or (self._sending and not self._sending.done()):
            return
        self._reached = share
        report = self._context.report_progress(share, 1.0, message)
        self._sending = asyncio.get_running_loop().create_task(report)
        self._sending.add_done_callback(_seen)

    async def close(self) -> None:
        self._context = None
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=1.0)


def _seen(sending: asyncio.Task[None]) -> None:
    """A client that went away misses its progress; its call ends by being cancelled, not by this."""
    if not sending.cancelled():
        sending.exception()

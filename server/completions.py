"""Completions for the names a person types into prompts and resource addresses."""

from collections.abc import Iterable

from mcp.server import MCPServer
from mcp_types import Completion
from mcp_types import CompletionArgument
from mcp_types import CompletionContext
from mcp_types import PromptReference
from mcp_types import ResourceTemplateReference

from sources.errors import SourceError
from sources.protocol import Source
from tools.ports import Ports

_VALUES_MOST = 100
"""Source: MCP specification 2025-11-25, completion/complete: at most 100 values."""


def add_completions(server: MCPServer, ports: Ports) -> None:
    """Complete `source`, `schema` and `attribute` arguments."""

    @server.completion()
    async def complete(  # pyright: ignore[reportUnusedFunction] - registered by the decorator
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        _ = ref
        chosen = (context.arguments or {}) if context else {}
        names = await _names(ports, argument.name, chosen)
        return None if names is None else _completion(names, argument.value)


async def _names(ports: Ports, argument: str, chosen: dict[str, str]) -> set[str] | None:
    sources = [each for each in ports.sources if chosen.get("source") in (None, "", each.name)]
    if argument == "source":
        return {each.name for each in ports.sources}
    if argument == "schema":
        return {schema.name for source in sources for schema in await ports.schemas_of(source)}
    if argument == "attribute":
        return await _attributes(sources, chosen.get("schema", ""))
    return None


async def _attributes(sources: Iterable[Source], schema: str) -> set[str]:
    names: set[str] = set()
    for source in sources:
        try:
            names |= {each.name for each in await source.attributes(schema)}
        except SourceError:
            continue
    return names


def _completion(names: set[str], typed: str) -> Completion:
    folded = typed.casefold()
    starting = sorted(name for name in names if name.casefold().startswith(folded))
    inside = sorted(name for name in names if folded in name.casefold() and name not in starting)
    found = starting + inside
    return Completion(values=found[:_VALUES_MOST], total=len(found), has_more=len(found) > _VALUES_MOST)

"""What may be told of a tool call: which tool, how it went and what it cost, never what was asked or answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

_CODE: Final = re.compile(r"([a-z]+(?:_[a-z]+)+): ")
_OTHER: Final = "tool_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call. None: it has no such thing, or the answer does not say."""

    tool: str
    took_ms: float
    source: str | None = None
    cached: bool | None = None
    tier: str | None = None
    rows: int | None = None
    """Rows that were inspected for the answer, when it was made."""
    degraded: bool = False
    error: str | None = None
    """The stable code that the text of the error begins with."""

    def facts(self) -> dict[str, str | int | float | bool]:
        """All but its duration, by the names under which an operator finds them."""
        known: dict[str, str | int | float | bool | None] = {
            "source": self.source,
            "cached": self.cached,
            "tier": self.tier,
            "rows": self.rows,
            "error_code": self.error,
        }
        told: dict[str, str | int | float | bool] = {"tool": self.tool, "degraded": self.degraded}
        return told | {name: fact for name, fact in known.items() if fact is not None}


def told_of(tool: str, result: Any, took_ms: float) -> ToolCall:
    """What a result of the SDK says, as a model or as the mapping it becomes."""
    answer, is_error, content = _parts(result)
    if is_error:
        return ToolCall(tool=tool, took_ms=took_ms, error=code_of(_text(content)))
    told: Mapping[str, Any] = answer.get("provenance") or {}
    return ToolCall(
        tool=tool,
        took_ms=took_ms,
        source=told.get("source"),
        cached=told.get("cached"),
        tier=told.get("tier"),
        rows=told.get("rows_inspected"),
        degraded="degraded" in answer,
    )


def code_of(text: str) -> str:
    """The code an error of ours begins with. Errors of the SDK have none, and may repeat what the client sent."""
    coded = _CODE.match(text)
    return coded[1] if coded else _OTHER


def _parts(result: Any) -> tuple[Mapping[str, Any], bool, list[Any]]:
    if isinstance(result, dict):
        sent = cast("dict[str, Any]", result)
        return sent.get("structuredContent") or {}, bool(sent.get("isError")), sent.get("content") or []
    return (
        getattr(result, "structured_content", None) or {},
        bool(getattr(result, "is_error", False)),
        getattr(result, "content", None) or [],
    )


def _text(content: list[Any]) -> str:
    first = content[0] if content else None
    text = cast("dict[str, Any]", first).get("text") if isinstance(first, dict) else getattr(first, "text", "")
    return text if isinstance(text, str) else ""

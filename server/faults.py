"""Every anticipated fault as the text a model reads: a stable code, what happened, and what to do next.

This is the only place where errors are translated; anything not listed here is a defect and is logged, not shown.
"""

from collections.abc import Callable

from pydantic import ValidationError

from sources import errors as source_errors
from sources.names import nearest
from state import errors as state_errors
from tools import errors as tool_errors
from tools.names import did_you_mean

_TEXT_CHARS = 2_000
_LINE_END = "\n"


ANTICIPATED = (source_errors.SourceError, state_errors.StateError, tool_errors.ToolError)
"""Faults that somebody can act on; every other exception is a defect."""


def fault_text(fault: Exception) -> str:
    """The text for one of the `ANTICIPATED` faults."""
    write = next(write for kind, write in _WRITERS if isinstance(fault, kind))
    return write(fault)[:_TEXT_CHARS]


def argument_fault_text(fault: ValidationError, allowed: tuple[str, ...]) -> str:
    """The text for arguments that do not fit the tool's schema."""
    found = [
        _argument(error["type"], ".".join(map(str, error["loc"])), error["msg"], allowed)
        for error in fault.errors(include_url=False)
    ]
    return f"invalid_argument: {'; '.join(found)}. Arguments are: {', '.join(allowed)}."[:_TEXT_CHARS]


def _argument(kind: str, name: str, message: str, allowed: tuple[str, ...]) -> str:
    if kind == "extra_forbidden":
        near = did_you_mean(nearest(name[:100], allowed, most=1)).removesuffix("?")
        return f'there is no argument "{name[:100]}".{near}'.removesuffix(".")
    if kind == "missing":
        return f"{name} is required"
    return f"{name}: {message[0].lower()}{message[1:]}"


def _unknown_schema(fault: source_errors.UnknownSchema) -> str:
    near = did_you_mean(fault.suggestions)
    named = f'"{fault.schema[:200]}"'
    if fault.within is None:
        return f"unknown_schema: there is no schema {named}.{near} Call list_schemas to see all."
    return (
        f"unknown_schema: there is no schema {named} with rows in {fault.within}.{near} Call list_schemas to see all; "
        "run_query can look further back, with SINCE."
    )


def _unknown_attribute(fault: source_errors.UnknownAttribute) -> str:
    near = did_you_mean(fault.suggestions)
    return (
        f'unknown_attribute: schema "{fault.schema[:200]}" has no attribute "{fault.attribute[:200]}".{near} '
        "Call describe_schema to see its attributes."
    )


def _unknown_source(fault: tool_errors.UnknownSource) -> str:
    known = ", ".join(f'"{name}"' for name in fault.known)
    return f'unknown_source: there is no source "{fault.source[:200]}". Sources are: {known}. Omit it for the default.'


def _query_rejected(fault: source_errors.QueryRejected) -> str:
    sentence = _sentence(fault)
    remedy = f"{fault.remedy[:1].upper()}{fault.remedy[1:]}"
    return f"query_rejected: {sentence}{'' if sentence.endswith(_LINE_END) else ' '}{remedy}".rstrip()


def _query_timeout(fault: source_errors.QueryTimeout) -> str:
    remedy = fault.remedy or "Filter or aggregate more, or pass a larger timeout_s (the operator may limit it)."
    return f"query_timeout: {fault}. {remedy}"


def _quota_spent(fault: source_errors.QuotaSpent | state_errors.StateBusy) -> str:
    return f"quota_spent: {fault}; retry_after_s={fault.retry_after_s:g}."


def _unreachable(fault: source_errors.SourceUnreachable) -> str:
    return f"source_unreachable: {_sentence(fault)} Try again; list_schemas shows the status of every source."


def _sentence(fault: Exception) -> str:
    reason = str(fault).rstrip()
    if reason.endswith("^"):
        return f"{reason}\n"  # a mark under a place in the query ends its own line
    return reason if reason.endswith((".", "!", "?", ":")) else f"{reason}."


def _coded(code: str) -> Callable[[Exception], str]:
    return lambda fault: f"{code}: {fault}"


_WRITERS: tuple[tuple[type[Exception], Callable[..., str]], ...] = (
    (source_errors.UnknownSchema, _unknown_schema),
    (source_errors.UnknownAttribute, _unknown_attribute),
    (source_errors.QueryRejected, _query_rejected),
    (source_errors.QueryTimeout, _query_timeout),
    (source_errors.TooLarge, _coded("too_large")),
    (source_errors.QuotaSpent, _quota_spent),
    (source_errors.SourceUnreachable, _unreachable),
    (source_errors.AccessDenied, _coded("access_denied")),
    (state_errors.UnknownSession, _coded("unknown_session")),
    (state_errors.Conflict, _coded("conflict")),
    (state_errors.OverLimit, _coded("too_large")),
    (state_errors.StateBusy, _quota_spent),
    (state_errors.StateUnavailable, _coded("access_denied")),
    (state_errors.StateError, _coded("invalid_argument")),
    (tool_errors.UnknownSource, _unknown_source),
    (tool_errors.ToolError, _coded("invalid_argument")),
    (source_errors.SourceError, _coded("source_unreachable")),
)

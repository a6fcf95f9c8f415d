"""How what the doctor found is shown, to a person or to a program."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from server.doctor import Examined
from server.doctor import ExaminedSource
from server.doctor_redis import ExaminedRedis
from server.doctor_state import ExaminedState

_SCHEMAS_SHOWN = 12


def report(examined: Examined, *, as_json: bool) -> str:
    """All of it as text; marks are plain words where the terminal has no signs for them."""
    if as_json:
        return json.dumps(_as_object(examined), indent=2, ensure_ascii=False)
    text = "\n".join(_lines(examined))
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = text.replace("✓", "ok").replace("✗", "FAILED").encode("ascii", "replace").decode("ascii")
    return text


def _lines(examined: Examined) -> Iterator[str]:
    yield "Versions"
    for name, value in examined.versions:
        yield f"    {name:<12} {value}"
    yield "Settings"
    for row in examined.settings:
        told = "" if row.value == row.default else f"   (default: {row.default})"
        yield f"    {row.name:<20} {row.value}{told}"
    for name in examined.unknown:
        yield f"  ! {name} is not a setting: misspelt? `uds-mcp --help` lists them"
    yield "Sources"
    for source in examined.sources:
        yield from _source_lines(source)
    if examined.limits:
        yield "Limits of the engine"
    for limit in examined.limits:
        why = "" if limit.in_force else f": not in force here: {limit.why}"
        yield f"  {'✓' if limit.in_force else '!'} {limit.name:<20} {limit.value}{why}"
    yield "State"
    yield from _state_lines(examined.state)
    if examined.redis is not None:
        yield "Redis"
        yield from _redis_lines(examined.redis)
    yield ""
    yield f"{_mark(ok=examined.ok)} {'ready to serve' if examined.ok else 'not ready to serve: see above'}"


def _state_lines(state: ExaminedState) -> Iterator[str]:
    kept = "can be written"
    if state.kind == "redis":
        kept = _kept_apart(state)
    elif state.kind == "memory":
        kept = "not used: sessions live in memory, as STATE_STORE_TYPE says"
    elif state.size_bytes:
        checked = f"every one of {state.sessions:,} histories ({state.events:,} events) verified"
        kept = f"{state.size_bytes / 2**20:,.1f} MiB, {checked} in {state.took_ms:,.0f} ms"
    yield f"  {_mark(ok=state.fault is None)} {state.path}: {state.fault or kept}"
    for path in state.aside:
        yield f"  ! {path}: a damaged file that was put aside; delete it when you need nothing of it any more"
    for path in state.elsewhere:
        yield f"  ! {path}: sessions wait here for another REDIS_URL; start a server with that one to join them"


def _kept_apart(state: ExaminedState) -> str:
    if not state.sessions:
        return "nothing waits here to be joined with Redis"
    return f"{state.sessions:,} sessions ({state.events:,} events, verified) wait here to be joined with Redis"


def _redis_lines(redis: ExaminedRedis) -> Iterator[str]:
    told = f"{redis.version}, {redis.role}, {redis.replicas} replicas, {redis.latency_ms:.2f} ms"
    yield f"  {_mark(ok=redis.fault is None)} {redis.address}: {redis.fault or told}"
    for warning in redis.warnings:
        yield f"  ! {warning}"


def _source_lines(source: ExaminedSource) -> Iterator[str]:
    rows = sum(schema.rows or 0 for schema in source.schemas)
    found = source.fault or f"{len(source.schemas)} schemas, {rows:,} rows known, {source.took_ms:.0f} ms"
    yield f"  {_mark(ok=source.ok)} {source.name} ({source.kind}): {source.origin}: {found}"
    for schema in source.schemas[:_SCHEMAS_SHOWN]:
        size = "" if schema.rows is None else f"{schema.rows:,} rows, "
        told = (
            f"cannot be read: {schema.fault}"
            if schema.fault
            else f"{size}{'?' if schema.attributes is None else schema.attributes} attributes"
        )
        yield f"      {_mark(ok=schema.fault is None)} {schema.name}: {told}"
    if len(source.schemas) > _SCHEMAS_SHOWN:
        yield f"        and {len(source.schemas) - _SCHEMAS_SHOWN} more"


def _mark(*, ok: bool) -> str:
    return "✓" if ok else "✗"


def _as_object(examined: Examined) -> dict[str, object]:
    return {
        "ok": examined.ok,
        "versions": dict(examined.versions),
        "settings": {row.name: row.value for row in examined.settings},
        "unknown_settings": list(examined.unknown),
        "sources": [_source_object(source) for source in examined.sources],
        "limits": [
            {"name": limit.name, "value": limit.value, "in_force": limit.in_force, "why": limit.why}
            for limit in examined.limits
        ],
        "state": _state_object(examined.state),
        "redis": None if examined.redis is None else asdict(examined.redis),
    }


def _state_object(state: ExaminedState) -> dict[str, object]:
    return {
        "kind": state.kind,
        "path": str(state.path),
        "fault": state.fault,
        "sessions": state.sessions,
        "events": state.events,
        "size_bytes": state.size_bytes,
        "aside": [str(path) for path in state.aside],
        "elsewhere": [str(path) for path in state.elsewhere],
    }


def _source_object(source: ExaminedSource) -> dict[str, object]:
    return {
        "name": source.name,
        "kind": source.kind,
        "origin": source.origin,
        "ok": source.ok,
        "fault": source.fault,
        "took_ms": round(source.took_ms, 1),
        "schemas": [
            {"schema": schema.name, "rows": schema.rows, "attributes": schema.attributes, "fault": schema.fault}
            for schema in source.schemas
        ],
    }

"""What resources hold: the whole of a session, and what is known of a schema."""

import json
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sources.errors import UnknownSchema
from sources.names import nearest
from state.session import Explored
from state.session import Finding
from state.session import Kept
from state.session import OpenConflict
from state.session import Session
from tools.call import Call
from tools.landscape import goal_needs
from tools.needs import Need
from tools.ports import Ports
from tools.session_answers import DEGRADED
from tools.session_answers import goal_shown
from tools.times import rfc3339


@dataclass(frozen=True, slots=True)
class Resources:
    """Reading a resource measures nothing and changes nothing but a session's idle time."""

    ports: Ports

    async def session(self, call: Call, handle: str) -> str:
        """The whole session as JSON text. Raises `UnknownSession`."""
        await self.ports.notes.settled()
        found = await self.ports.sessions.get(handle, principal=call.principal)
        return json.dumps(_whole(found, await goal_needs(self.ports, found)), ensure_ascii=False, separators=(",", ":"))

    async def schema(self, call: Call, source: str, schema: str) -> str:
        """What is known of a schema as JSON text; measured answers come with their age, query texts in full.

        Raises `UnknownSource`, `UnknownSchema`.
        """
        found = self.ports.source(call, source)
        known = {each.name: each for each in await found.schemas()}
        listed = known.get(schema)
        if listed is None:
            raise UnknownSchema(schema, nearest(schema, known))
        whole: dict[str, Any] = {
            "source": source,
            "schema": schema,
            "origin": listed.origin,
            "rows": listed.rows,
            "first_at": listed.first_at,
            "last_at": listed.last_at,
            "fault": listed.fault,
            "attributes": [{"name": each.name, "type": each.type} for each in await found.attributes(schema)],
        }
        for detail in ("full", "brief"):
            hit = self.ports.cache.peek(
                (source, found.scope, ("describe", schema, None, detail, None)), await found.fingerprint(schema)
            )
            if hit is not None:
                whole["described"] = hit.value.in_full(hit)
                break
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _whole(found: Session, needs: Mapping[str, Sequence[Need]]) -> dict[str, Any]:
    return {
        "session": found.handle,
        "version": found.version,
        "etag": found.etag,
        **({"degraded": DEGRADED} if found.local else {}),
        "owner": found.owner,
        "label": found.label,
        "goals": [
            goal_shown(each, needs.get(each.id)).model_dump(mode="json", exclude_none=True) for each in found.goals
        ],
        "context": _values(found.context),
        "preferences": _values(found.preferences),
        "explored": [_explored(each) for each in found.explored],
        "findings": [_finding(each) for each in found.findings],
        "conflicts": [_conflict(each) for each in found.conflicts],
        "parent": found.parent,
        "level": found.level,
        "children": list(found.children),
        "branch_of": found.branch_of,
        "branch_version": found.branch_version or None,
        "created_at": rfc3339(found.created_at),
        "last_access_at": rfc3339(found.last_access_at),
        "expires_at": rfc3339(found.expires_at),
    }


def _values(kept: Any) -> dict[str, Any]:
    entries: dict[str, Kept] = dict(kept)
    return {key: each.value for key, each in entries.items()}


def _explored(each: Explored) -> dict[str, Any]:
    return {
        "source": each.source,
        "schema": each.schema,
        "attributes": list(each.attributes),
        "last_at": rfc3339(each.last_at),
    }


def _finding(each: Finding) -> dict[str, Any]:
    return {
        "id": each.id,
        "key": each.key,
        "value": each.value,
        "evidence": each.evidence,
        "at": rfc3339(each.at),
        "version": each.version,
    }


def _conflict(each: OpenConflict) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "key": each.key,
        "parent": each.parent,
        "child": each.child,
        "child_session": each.child_session,
        "at": rfc3339(each.at),
    }

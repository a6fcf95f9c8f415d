"""Entities by their name: what people call a service, found as the GUID that telemetry carries."""

import base64
import binascii
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.newrelic.asking import Asking
from sources.newrelic.texts import ENTITY_SEARCH
from sources.nrql.answers_cells import Cells
from sources.nrql.answers_rows import Row
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence
from sources.nrql.text import literal

ENTITIES_MOST: Final = 200
_PAGE: Final = 200
"""Entities of a page. Source: docs.newrelic.com, NerdGraph tutorial on entities."""
_PAGES_MOST: Final = 5
_GUID_CHARS: Final = 500
_GUID_FIELDS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Guid:
    """What an entity's GUID says."""

    account: int
    domain: str
    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Something that reports: a service, a host, a browser application."""

    guid: str
    name: str
    domain: str
    type: str
    reporting: bool | None
    """None: New Relic does not say."""


def decoded(guid: str) -> Guid | None:
    """The parts of a GUID, which is `account|DOMAIN|TYPE|id` in base64 without padding. None: it is none."""
    if not guid.isascii() or len(guid) > _GUID_CHARS:
        return None
    try:
        text = base64.b64decode(guid + "=" * (-len(guid) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    fields = text.split("|", _GUID_FIELDS - 1)
    if len(fields) != _GUID_FIELDS or not (fields[0].isascii() and fields[0].isdigit()) or not all(fields):
        return None
    return Guid(account=int(fields[0]), domain=fields[1], type=fields[2], id=fields[3])


async def guids_named(asking: Asking, name: str, *, within_s: float = 10.0) -> tuple[Entity, ...]:
    """The account's entities of exactly this name, those that report first; at most `ENTITIES_MOST`.

    Raises as every question to New Relic.
    """
    found: dict[str, Entity] = {}
    cursor: str | None = None
    for _page in range(_PAGES_MOST):
        variables = {"query": f"name = {literal(name)}", "limit": _PAGE, "cursor": cursor}
        answer = await asking.graph.graphql(ENTITY_SEARCH, variables, within_s=within_s)
        results = _results(answer)
        found.update((each.guid, each) for each in _entities(results, asking.account, name))
        following = results.get("nextCursor")
        if not isinstance(following, str) or following in {"", cursor} or len(found) >= ENTITIES_MOST:
            break
        cursor = following
    return tuple(sorted(found.values(), key=lambda each: (each.reporting is not True, each.guid)))[:ENTITIES_MOST]


def _results(answer: Mapping[str, object]) -> Row:
    searched = mapping(mapping(mapping(answer).get("actor")).get("entitySearch"))
    return mapping(searched.get("results"))


def _entities(results: Row, account: int, name: str) -> Sequence[Entity]:
    """Those of the account: a search sees every account of the user, and matches names loosely."""
    rows = [mapping(each) for each in sequence(results.get("entities"))]
    read = [_entity(row) for row in rows if row.get("accountId") in {account, str(account)} or _is_of(row, account)]
    return [each for each in read if each is not None and each.name.casefold() == name.casefold()]


def _is_of(row: Row, account: int) -> bool:
    if row.get("accountId") is not None:
        return False
    guid = decoded(str(row.get("guid")))
    return guid is not None and guid.account == account


def _entity(row: Row) -> Entity | None:
    guid, name = row.get("guid"), row.get("name")
    if not isinstance(guid, str) or not isinstance(name, str) or not 0 < len(guid) <= _GUID_CHARS:
        return None
    cells = Cells()
    reporting = row.get("reporting")
    return Entity(
        guid=guid,
        name=cells.name(name),
        domain=cells.name(str(row.get("domain") or "")),
        type=cells.name(str(row.get("type") or "")),
        reporting=reporting if isinstance(reporting, bool) else None,
    )

"""Names of entities in a filter, where the events carry only GUIDs: found by a search, and written in their place."""

import asyncio
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sources.errors import SourceError
from sources.newrelic.asking import Asking
from sources.newrelic.entities import Entity
from sources.newrelic.entities import guids_named
from sources.nrql.tree import Binary
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Name
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.nrql.tree import Text
from sources.nrql.tree import Unary

NAMES: Final = ("entityName", "entity.name", "appName")
"""Attributes that hold the name of an entity, where an event type has them."""
GUIDS: Final = ("entityGuid", "entity.guid")
"""Attributes that hold its GUID, the likelier filled first."""
_NAMES_MOST: Final = 5
_WITHIN_S: Final = 10.0
_GUIDS_MOST: Final = 50
"""More would not fit into a statement, which has at most 4,096 characters."""


async def by_guid(asking: Asking, statement: Statement, *, left_s: float) -> tuple[Statement, tuple[str, ...]]:
    """The statement with `entityGuid IN (...)` for `entityName = 'x'`, and what was done. Unchanged where not needed.

    Only for statements about one event type that has GUIDs and lacks the name.
    """
    if not isinstance(statement, Query) or statement.where is None or len(statement.sources) != 1:
        return statement, ()
    source = statement.sources[0]
    named = dict.fromkeys(_named(statement.where))
    if not isinstance(source, Name) or not 0 < len(named) <= _NAMES_MOST:
        return statement, ()
    try:
        async with asyncio.timeout(min(left_s, _WITHIN_S)):
            guid, found = await _looked_up(asking, source.name, tuple(named), left_s)
    except (SourceError, TimeoutError):
        return statement, ()
    if not found:
        return statement, ()
    usable = {each: entities for each, entities in found.items() if 0 < len(entities) <= _GUIDS_MOST}
    written = replace(statement, where=_written(statement.where, usable, guid))
    return written, tuple(_told(each, entities, guid, source.name) for each, entities in found.items())


async def _looked_up(
    asking: Asking, schema: str, named: Sequence[tuple[str, str]], left_s: float
) -> tuple[str, Mapping[tuple[str, str], Collection[Entity]]]:
    """The attribute that holds GUIDs, and the entities of each name that events of the schema do not carry."""
    keyset = {attribute.name for attribute in await asking.catalogue.keyset(schema)}
    guid = next((name for name in GUIDS if name in keyset), None)
    if guid is None:
        return "", {}
    wanted = [each for each in named if each[0] not in keyset]
    return guid, {each: await guids_named(asking, each[1], within_s=left_s) for each in wanted}


def _told(named: tuple[str, str], entities: Collection[Entity], guid: str, schema: str) -> str:
    attribute, name = named
    lacks = f"{schema} has no {attribute}"
    if not entities:
        return f"{lacks}, and no entity of this account is called '{name[:100]}'."
    if len(entities) > _GUIDS_MOST:
        return f"{lacks}; {len(entities)} entities are called '{name[:100]}': filter by {guid} instead."
    kinds = sorted({f"{each.domain} {each.type}".strip() for each in entities})
    count = "1 entity" if len(entities) == 1 else f"{len(entities)} entities"
    return f"{lacks}: '{name[:100]}' was looked up ({count}: {', '.join(kinds)[:100]}) and filtered by {guid}."


def _named(where: Expression) -> Iterator[tuple[str, str]]:
    """Attribute and name of every `entityName = 'x'`."""
    match where:
        case Binary(operator="=", left=Name(name=attribute), right=Text(value=value)) if attribute in NAMES:
            yield attribute, value
        case Binary(operator="and" | "or"):
            yield from _named(where.left)
            yield from _named(where.right)
        case Unary(operator="not"):
            yield from _named(where.operand)
        case _:
            return


def _written(where: Expression, found: Mapping[tuple[str, str], Collection[Entity]], guid: str) -> Expression:
    match where:
        case Binary(operator="=", left=Name(name=attribute), right=Text(value=value)) if (attribute, value) in found:
            options = tuple(Text(value=entity.guid) for entity in found[attribute, value])
            return In(needle=Name(name=guid), options=options)
        case Binary(operator="and" | "or"):
            left, right = (_written(side, found, guid) for side in (where.left, where.right))
            return replace(where, left=left, right=right)
        case Unary(operator="not"):
            return replace(where, operand=_written(where.operand, found, guid))
        case _:
            return where

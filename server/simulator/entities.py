"""Entities: found in the rows of an account where none are given, and searched by NerdGraph's own little language.

Source: docs.newrelic.com, "NerdGraph tutorial: View entity data". Of the language: `=`, `!=`, `LIKE`, `IN`, `AND`.
"""

import base64
import re
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import TypeAlias

from server.simulator.accounts import Account
from server.simulator.accounts import Entity

PAGE_ROWS_MOST: Final = 200
_GUIDS: Final = ("entityGuid", "entity.guid")
_NAMES: Final = ("entityName", "entity.name", "appName", "hostname", "host")
_PARTS = 4
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"[^\"]*\")|(?P<name>`[^`]*`|[\w.:-]+(?:`[^`]*`)?)|(?P<sign>!=|[=(),]))"
)

Found: TypeAlias = tuple[Account, Entity]
Test: TypeAlias = Callable[[Account, Entity], bool]


class NotSearched(ValueError):
    """The text of a search is wrong, or beyond what is run here."""


def entities_of(account: Account) -> tuple[Entity, ...]:
    """Those that were given, or else those that rows of the last 30 days name. Asks the rows: call it on a thread."""
    if account.entities is not None:
        return account.entities
    found: dict[str, Entity] = {}
    for event_type in account.nrdb.event_types():
        for entity in _named_in(account, event_type):
            found.setdefault(entity.guid, entity)
    return tuple(found.values())


def _named_in(account: Account, event_type: str) -> Iterator[Entity]:
    listed = account.nrdb.run(f"SELECT keyset() FROM `{event_type}` SINCE 30 days ago")["results"]  # noqa: S608 - NRQL
    keys = {row["key"] for row in listed if row["type"] == "string"}
    guid = next((each for each in _GUIDS if each in keys), None)
    name = next((each for each in _NAMES if each in keys), None)
    if name is None or (guid is None and name != "appName"):
        return
    facets = ", ".join(f"`{each}`" for each in (guid, name) if each)
    text = f"SELECT count(*) FROM `{event_type}` FACET {facets} LIMIT MAX SINCE 30 days ago"  # noqa: S608 - NRQL
    counted = account.nrdb.run(text)
    for row in counted["results"]:
        yield from _entity(account, row["facet"])


def _entity(account: Account, facet: object) -> Iterator[Entity]:
    match facet:
        case [str(guid), str(name)] if guid and name:
            pass
        case str(name) if name:
            guid = made_guid(account.id, "APM", "APPLICATION", str(zlib.crc32(name.encode())))
        case _:
            return
    parts = _parts_of(guid)
    if parts is not None:
        yield Entity(guid=guid, name=name, domain=parts[1], type=parts[2])


def made_guid(account: int, domain: str, kind: str, identity: str) -> str:
    """Unpadded base64, as New Relic writes it."""
    return base64.b64encode(f"{account}|{domain}|{kind}|{identity}".encode()).decode().rstrip("=")


def _parts_of(guid: str) -> list[str] | None:
    try:
        parts = base64.b64decode(guid + "=" * (-len(guid) % 4), validate=True).decode().split("|")
    except (ValueError, UnicodeDecodeError):
        return None
    return parts if len(parts) == _PARTS else None


def matching(found: Sequence[Found], query: str) -> list[Found]:
    """Those that the search means, by name.

    Raises `NotSearched`.
    """
    tests = tuple(_tests(_tokens(query)))
    chosen = [(account, entity) for account, entity in found if all(test(account, entity) for test in tests)]
    return sorted(chosen, key=lambda each: (each[1].name.lower(), each[1].guid))


def _tokens(query: str) -> list[str]:
    found: list[str] = []
    place, text = 0, query.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise NotSearched(f"unexpected {text[place : place + 10]!r} in the search of entities")
        found.append(match[0].strip())
        place = match.end()
    return found


def _tests(tokens: list[str]) -> Iterator[Test]:
    rest = list(reversed(tokens))
    while rest:
        name = _attribute(_next(rest))
        operator = _next(rest).upper()
        match operator:
            case "=" | "!=":
                yield _compared(name, {_value(_next(rest)).lower()}, wanted=operator == "=")
            case "LIKE":
                yield _like(name, _value(_next(rest)))
            case "IN":
                yield _compared(name, set(_values(rest)), wanted=True)
            case _:
                raise NotSearched(f"the simulator does not know {operator[:20]!r} in a search of entities")
        if rest and (joined := _next(rest).upper()) != "AND":
            raise NotSearched(f"the simulator knows only AND between conditions, not {joined[:20]!r}")


def _next(rest: list[str]) -> str:
    if not rest:
        raise NotSearched("the search of entities ends too early")
    return rest.pop()


def _values(rest: list[str]) -> Iterator[str]:
    if _next(rest) != "(":
        raise NotSearched("IN needs values in parentheses")
    while True:
        yield _value(_next(rest)).lower()
        if (sign := _next(rest)) == ")":
            return
        if sign != ",":
            raise NotSearched(f"unexpected {sign[:20]!r} among the values of IN")


def _value(token: str) -> str:
    if token[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if not token.isdigit():
        raise NotSearched(f"values of a search of entities stand in quotes, unlike {token[:20]}")
    return token


def _attribute(token: str) -> str:
    return token.replace("`", "")


def _compared(name: str, wanted_values: set[str], *, wanted: bool) -> Test:
    return lambda account, entity: bool(wanted_values & set(_held(account, entity, name))) is wanted


def _like(name: str, pattern: str) -> Test:
    """`%` stands for anything; without one, the text may be anywhere."""
    whole = pattern if "%" in pattern else f"%{pattern}%"
    shape = re.compile(".*".join(re.escape(part) for part in whole.lower().split("%")), re.DOTALL)
    return lambda account, entity: any(shape.fullmatch(value) for value in _held(account, entity, name))


def _held(account: Account, entity: Entity, name: str) -> list[str]:
    """What an entity has under a name, lower case: search does not mind the case."""
    if name.startswith("tags."):
        values: Sequence[str] = entity.tags.get(name.removeprefix("tags."), ())
        return [value.lower() for value in values]
    held: Mapping[str, str] = {
        "name": entity.name,
        "type": entity.type,
        "domain": entity.domain,
        "domainType": f"{entity.domain}-{entity.type}",
        "id": entity.guid,
        "accountId": str(account.id),
        "reporting": str(entity.reporting),
    }
    if name not in held:
        raise NotSearched(f"the simulator does not know {name[:40]!r} of an entity")
    return [held[name].lower()]


def shown(account: Account, entity: Entity) -> dict[str, Any]:
    """As the schema's `EntityOutline` has it."""
    return {
        "__typename": "GenericEntityOutline",
        "account": {"id": account.id, "name": account.name},
        "accountId": account.id,
        "domain": entity.domain,
        "guid": entity.guid,
        "name": entity.name,
        "reporting": entity.reporting,
        "tags": [{"key": key, "values": list(values)} for key, values in entity.tags.items()],
        "type": entity.type,
    }

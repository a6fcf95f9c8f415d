"""Which names a statement reads, and which of them are not there."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sources.names import nearest
from sources.nrql.errors import excerpt
from sources.nrql.remark import Remark
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Statement
from sources.nrql.walk import children
from sources.nrql.walk import queries
from sources.nrql.walk import values

Kinds = Mapping[str, str]
"""Attributes of an event type: their names, and whether they are `string`, `numeric` or `boolean`."""

_EVERYWHERE: Final = frozenset(("timestamp", "accountId", "eventType"))
_METRIC: Final = "Metric"
_SUGGESTED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What names mean in one statement.

    `defined`: made by the statement itself, or by those nested in it. `kinds`: what is known of the attributes of its
    event types. `is_whole`: whether every name that is in neither of them is unknown.
    """

    defined: frozenset[str]
    kinds: Kinds
    is_whole: bool
    is_metric: bool
    aliases: tuple[str, ...] = ()

    def attribute(self, name: str) -> str:
        """The name without the alias of its source before it."""
        return next((name[len(each) + 1 :] for each in self.aliases if name.startswith(f"{each}.")), name)

    def kind(self, node: Expression) -> str | None:
        """The kind of an attribute. None: it is none, or its kind is not known."""
        if not isinstance(node, Name) or node.name in self.defined:
            return None
        return self.kinds.get(self.attribute(node.name))


def scope_of(query: Query, attributes: Mapping[str, Kinds]) -> Scope:
    """What the names of one statement mean, as far as `attributes`, by event type, tell."""
    types = [each.name for each in query.sources if isinstance(each, Name)]
    inner = [each.query for each in query.sources if isinstance(each, Nested)]
    inner += [query.join.query.query] if query.join else []
    made = [_made(each) for each in inner]
    known = [attributes[each] for each in types if each in attributes]
    is_all = len(types) + len(inner) >= len(query.sources) and len(known) == len(types)
    own = (*query.variables, *query.select, *(query.facet.items if query.facet else ()))
    return Scope(
        defined=frozenset((*_named(own), *(name for names, _ in made for name in names))),
        kinds=_merged(known),
        is_whole=is_all and all(whole for _, whole in made),
        is_metric=_METRIC in types,
        aliases=tuple(each for each in (query.source_alias, query.join.alias if query.join else None) if each),
    )


def schemas_of(statement: Statement) -> tuple[str, ...]:
    """The event types that are read, nested statements included, each once."""
    found = (each.name for query in queries(statement) for each in query.sources if isinstance(each, Name))
    return tuple(dict.fromkeys(found))


def attributes_of(statement: Statement) -> tuple[Name, ...]:
    """The attributes that are read, nested statements included, each once, in the order they stand in the text.

    Names that the statement itself makes are not among them.
    """
    found: dict[str, Name] = {}
    for query in queries(statement):
        made = _made_there(query)
        for each in names(query):
            if made is not None and each.name not in made:
                found.setdefault(each.name, each)
    return tuple(sorted(found.values(), key=lambda each: each.span.start))


def names(query: Query) -> Iterator[Name]:
    """Every name in the expressions of one statement, fields of `getField(metric, field)` aside."""
    waiting = list(reversed(values(query)))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            yield node
        below = children(node)
        is_field = isinstance(node, Call) and node.function == "getfield"
        waiting.extend(reversed(below[:1] if is_field else below))


def unknown_types(statement: Statement, event_types: Collection[str]) -> Iterator[Remark]:
    """Event types that are not there; none when no event types are known at all."""
    for query in queries(statement) if event_types else ():
        for each in query.sources:
            if isinstance(each, Name) and each.name not in event_types:
                near = suggested(each.name, event_types)
                said = f'There is no event type "{excerpt(each.name, 100)}".{_did_you_mean(near)}'
                yield Remark(
                    kind="unknown_event_type", text=said, position=each.span.start, suggestions=near, fatal=True
                )


def unknown_attributes(query: Query, scope: Scope) -> Iterator[Remark]:
    """Attributes that none of the event types has. Metrics may be called anything, so there only twins are told."""
    types = _types(query)
    for each in names(query) if scope.is_whole else ():
        name = scope.attribute(each.name)
        if name in scope.kinds or each.name in scope.defined or name in _EVERYWHERE or "%" in name:
            continue
        near = twins(name, scope.kinds) if scope.is_metric else suggested(name, {*scope.kinds, *scope.defined})
        if near or not scope.is_metric:
            said = f'{types} attribute "{excerpt(name, 100)}".{_did_you_mean(near)}'
            yield Remark(kind="unknown_attribute", text=said, position=each.span.start, suggestions=near)


def _types(query: Query) -> str:
    types = [excerpt(each.name) for each in query.sources if isinstance(each, Name)]
    if len(types) > 1:
        return f"None of {', '.join(types)} has the"
    return f"{types[0] if types else 'The nested statement'} has no"


def suggested(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Known names that may have been meant: those spelled alike but for dots and case, then near ones."""
    return tuple(dict.fromkeys((*twins(name, known), *nearest(name[:100], known))))[:_SUGGESTED]


def twins(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Other names of the same letters and digits: `traceId` and `trace.id`."""
    letters = _letters(name)
    return tuple(sorted(each for each in known if each != name and _letters(each) == letters))


def _letters(name: str) -> str:
    return "".join(each for each in name.casefold() if each.isalnum())


def _did_you_mean(near: tuple[str, ...]) -> str:
    return f" Did you mean {' or '.join(excerpt(each, 100) for each in near)}?" if near else ""


def _made_there(query: Query) -> frozenset[str] | None:
    """Names in a statement that stand for no attribute. None: none of them does, as it reads a nested statement."""
    if any(isinstance(each, Nested) for each in query.sources):
        return None
    joined = query.join.query.query if query.join else None
    own = (*query.select, *(query.facet.items if query.facet else ()))
    theirs = (*joined.select, *(joined.facet.items if joined.facet else ())) if joined else ()
    plain = {each.value.name for each in own if isinstance(each.value, Name) and each.alias == each.value.name}
    return frozenset((*_named(query.variables), *(set(_named((*own, *theirs))) - plain)))


def _named(items: tuple[Selected, ...]) -> Iterator[str]:
    for each in items:
        if each.alias is not None:
            yield each.alias
            yield from each.alias.split(",")


def _made(query: Query) -> tuple[frozenset[str], bool]:
    """The names of a nested statement's columns, and whether they are all of them."""
    items = (*query.select, *(query.facet.items if query.facet else ()))
    plain = [each.value.name for each in items if isinstance(each.value, Name) and each.alias is None]
    is_whole = all(each.alias is not None or isinstance(each.value, Name) for each in items)
    times = ("beginTimeSeconds", "endTimeSeconds", "timestamp") if query.timeseries else ()
    return frozenset((*_named(items), *plain, *times)), is_whole


def _merged(known: list[Kinds]) -> Kinds:
    """The attributes of several event types; where they differ in kind, the name is known and its kind is not."""
    merged: dict[str, str] = {}
    for kinds in known:
        for name, kind in kinds.items():
            merged[name] = kind if merged.get(name, kind) == kind else "mixed"
    return merged

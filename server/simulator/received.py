"""What was asked, request by request, so that tests can count and compare. The key is never kept."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal
from typing import cast

from graphql import DocumentNode
from graphql import FieldNode
from graphql import FragmentSpreadNode
from graphql import InlineFragmentNode
from graphql import OperationDefinitionNode
from graphql import SelectionSetNode
from graphql import ValueNode
from graphql import value_from_ast_untyped

_ACROSS = ("account", "actor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One NRQL statement of a request."""

    alias: str
    """Of the outermost field below `actor`: its alias, or else its name."""
    accounts: tuple[int, ...]
    text: str
    in_background: bool
    """Whether it was asked with `async: true`."""
    timeout_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    number: int
    """1 for the first request."""
    at: float
    """Seconds since 1970, by the clock of the simulator."""
    key: Literal["right", "wrong", "missing", "elsewhere"] = "missing"
    document: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    asked: tuple[Asked, ...] = ()
    fields: tuple[str, ...] = ()
    """Fields of `actor`, `actor.account` and `docs` that were selected, sorted: `account.nrql`, `entitySearch`..."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Lower-case names; without `api-key`."""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.asked)

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(each.alias for each in self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document holds a field of interest: its path, its alias on top, and the arguments on the way."""

    path: tuple[str, ...]
    alias: str
    arguments: Mapping[str, ValueNode]


def places(document: DocumentNode) -> tuple[Place, ...]:
    """All fields within `actor`, `actor.account` and `docs`. Fragments are followed where they stand."""
    return tuple(
        place
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for place in _within(definition.selection_set, (), "", {})
    )


def _within(
    selected: SelectionSetNode, path: tuple[str, ...], alias: str, outer: Mapping[str, ValueNode]
) -> Sequence[Place]:
    found: list[Place] = []
    for node in selected.selections:
        match node:
            case FieldNode():
                found += _field(node, path, alias, outer)
            case InlineFragmentNode():
                found += _within(node.selection_set, path, alias, outer)
            case FragmentSpreadNode() | _:
                pass
    return found


def _field(node: FieldNode, path: tuple[str, ...], alias: str, outer: Mapping[str, ValueNode]) -> Sequence[Place]:
    name = node.name.value
    here = (*path, name)
    if path:
        alias = alias or (node.alias.value if node.alias else name)
    arguments = {**outer, **{each.name.value: each.value for each in node.arguments or ()}}
    if node.selection_set is not None and (not path or name in (*_ACROSS, "dataDictionary", "queryHistory")):
        return _within(node.selection_set, here, alias, arguments)
    return [Place(path=here, alias=alias, arguments=arguments)]


def asked_at(found: Sequence[Place], variables: Mapping[str, Any]) -> tuple[Asked, ...]:
    """The NRQL statements among these fields, with the values of their arguments."""
    return tuple(_asked(place, variables) for place in found if place.path[-1] == "nrql" and "query" in place.arguments)


def _asked(place: Place, variables: Mapping[str, Any]) -> Asked:
    told = {name: value_from_ast_untyped(node, dict(variables)) for name, node in place.arguments.items()}
    accounts: object = told.get("accounts", told.get("id"))
    timeout = told.get("timeout")
    return Asked(
        alias=place.alias,
        accounts=_whole_numbers(accounts),
        text=str(told["query"]),
        in_background=told.get("async") is True,
        timeout_s=timeout if isinstance(timeout, int) else None,
    )


def _whole_numbers(value: object) -> tuple[int, ...]:
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    return tuple(each for each in found if isinstance(each, int))

"""GraphQL texts, read and checked once each, and carried out over a root of values."""

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from graphql import DocumentNode
from graphql import ExecutionResult
from graphql import FieldNode
from graphql import GraphQLError
from graphql import GraphQLSyntaxError
from graphql import Visitor
from graphql import execute  # pyright: ignore[reportUnknownVariableType] - of any context
from graphql import parse
from graphql import validate
from graphql import visit

from server.simulator.received import Place
from server.simulator.received import places
from server.simulator.sdl import schema

_KEPT: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A text that was read: `wrong` is empty if it may be carried out."""

    document: DocumentNode | None
    places: tuple[Place, ...]
    fields: int
    wrong: tuple[GraphQLError, ...]


class Documents:
    """The texts that were read last."""

    def __init__(self) -> None:
        self._read: OrderedDict[str, Read] = OrderedDict()

    def read(self, text: str) -> Read:
        known = self._read.get(text)
        if known is None:
            known = self._read[text] = _read(text)
            if len(self._read) > _KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(text)
        return known


def _read(text: str) -> Read:
    try:
        document = parse(text)
    except GraphQLSyntaxError as wrong:
        return Read(document=None, places=(), fields=0, wrong=(wrong,))
    counted = _Fields()
    visit(document, counted)
    wrong = tuple(validate(schema(), document))
    return Read(document=document, places=places(document), fields=counted.seen, wrong=wrong)


class _Fields(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def enter_field(self, _node: FieldNode, *_where: object) -> None:
        self.seen += 1


async def carried_out(
    document: DocumentNode, root: Mapping[str, Any], variables: Mapping[str, Any], operation: str | None
) -> ExecutionResult:
    """The result of the operation, with the errors of single fields beside it."""
    result = execute(
        schema(),
        document,
        root,
        variable_values=dict(variables),
        operation_name=operation,
    )
    return await result if inspect.isawaitable(result) else result


def formatted(result: ExecutionResult, more: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The body of an answer, as NerdGraph has it. `more`: errors beside those of the result."""
    body: dict[str, Any] = {"data": result.data}
    errors: list[Mapping[str, Any]] = [error.formatted for error in result.errors or ()]
    return {**body, "errors": [*errors, *more]} if errors or more else body

"""Ways through a tree: what a node is made of, everything in it, and how high it is. No recursion."""

from collections.abc import Iterator
from itertools import chain

from sources.nrql.errors import NrqlError
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import In
from sources.nrql.tree import Is
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.nrql.tree import Unary
from sources.nrql.tree import Where

HIGHEST = 150
"""Nodes on one way from the top of a tree to its bottom: so many that whoever recurses into one need not fear."""


def children(node: Expression) -> tuple[Expression, ...]:
    """What an expression is made of; a nested statement is left closed."""
    match node:
        case Call():
            return tuple(each.value for each in node.arguments)
        case Binary():
            return (node.left, node.right)
        case Where():
            return (node.condition,)
        case Unary() | Is():
            return (node.operand,)
        case In():
            return (node.needle, *(node.options if isinstance(node.options, tuple) else (node.options,)))
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """The node and everything below it, from left to right; nested statements come along closed."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(reversed(children(each)))


def values(query: Query) -> tuple[Expression, ...]:
    """All expressions of one statement that read its rows: nested statements in FROM and JOIN are not among them."""
    selected = chain(query.variables, query.select, query.facet.items if query.facet else ())
    orders = chain((query.facet.order_by,) if query.facet and query.facet.order_by else (), query.order_by)
    return (
        *((query.join.left,) if query.join else ()),
        *(each.value for each in selected),
        *((query.where,) if query.where is not None else ()),
        *(each.value for each in orders),
    )


def nested(query: Query) -> Iterator[Nested]:
    """The statements right inside one: in FROM, in JOIN, and as values."""
    for source in query.sources:
        if isinstance(source, Nested):
            yield source
    if query.join:
        yield query.join.query
    for value in values(query):
        yield from (each for each in walk(value) if isinstance(each, Nested))


def queries(statement: Statement) -> Iterator[Query]:
    """The statement and all that are nested in it: the outermost first, each before those inside it."""
    waiting = [statement] if isinstance(statement, Query) else []
    while waiting:
        query = waiting.pop()
        yield query
        waiting.extend(reversed([each.query for each in nested(query)]))


def checked_height(query: Query) -> None:
    """Refuse a tree that is too high to be recursed into. Raises: NrqlError."""
    waiting: list[tuple[Expression, int]] = [(Nested(query=query), 1)]
    while waiting:
        node, height = waiting.pop()
        if height > HIGHEST:
            reason = f"more than {HIGHEST} operators in one chain"
            raise NrqlError(reason, node.span.start, "put values into IN (...), or split the statement")
        below = _inside(node.query) if isinstance(node, Nested) else children(node)
        waiting.extend((each, height + 1) for each in below)


def _inside(query: Query) -> Iterator[Expression]:
    yield from values(query)
    yield from (each for each in query.sources if not isinstance(each, Name))
    if query.join:
        yield query.join.query

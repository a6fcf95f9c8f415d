"""Looks a statement over before it is sent: NRDB says nothing of unknown names, wrong kinds and small defaults."""

from collections.abc import Collection
from collections.abc import Mapping
from itertools import chain

from sources.nrql.check_kinds import mismatched
from sources.nrql.check_limits import limits
from sources.nrql.check_names import Kinds
from sources.nrql.check_names import attributes_of
from sources.nrql.check_names import schemas_of
from sources.nrql.check_names import scope_of
from sources.nrql.check_names import unknown_attributes
from sources.nrql.check_names import unknown_types
from sources.nrql.remark import Remark
from sources.nrql.tree import Statement
from sources.nrql.walk import queries

__all__ = ["Remark", "attributes_of", "checked", "schemas_of"]


def checked(
    statement: Statement, *, event_types: Collection[str], attributes: Mapping[str, Kinds]
) -> tuple[Remark, ...]:
    """What is suspicious about the statement, in the order of the text.

    `event_types`: all there are; empty when they are not known. `attributes`: names and kinds of the attributes of
    event types; a type that is missing is not known, and nothing is said about its attributes.
    """
    found = chain(unknown_types(statement, event_types), limits(statement))
    for query in queries(statement):
        scope = scope_of(query, attributes)
        found = chain(found, unknown_attributes(query, scope), mismatched(query, scope))
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.position))

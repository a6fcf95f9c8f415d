"""The schemas of files as event types: those that a statement reads, in event form."""

from collections.abc import Mapping

from sources.duckdb.mount_quoting import quoted
from sources.duckdb.semantics_time import time_attribute
from sources.duckdb.source_catalogue import Known
from sources.errors import SourceUnreachable
from sources.nrdb.events import Events
from sources.nrdb.events import event_form
from sources.nrql.check import schemas_of
from sources.nrql.tree import Show
from sources.nrql.tree import Statement


def events_of(statement: Statement, known: Mapping[str, Known]) -> dict[str, Events]:
    """The event types a statement names, by name. Raises `SourceUnreachable` for one whose files cannot be read."""
    if isinstance(statement, Show):
        names = tuple(name for name, each in known.items() if each.schema.fault is None)
    else:
        names = tuple(name for name in schemas_of(statement) if name in known)
    return {name: _events(known[name]) for name in names}


def _events(known: Known) -> Events:
    schema = known.schema
    if schema.fault is not None:
        raise SourceUnreachable(f"{schema.name} ({schema.origin}) cannot be read: {schema.fault}")
    columns = [(each.name, each.type) for each in known.attributes]
    time = time_attribute(columns)
    return event_form(schema.name, quoted(schema.name), columns, time=None if time is None else time[0])

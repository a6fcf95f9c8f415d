"""Tool `list_schemas`: what there is to look at, best match first."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from typing import Literal

from pydantic import Field

from sources import protocol
from sources.errors import SourceError
from sources.names import nearest
from state.session import Session
from tools import limits
from tools.answer import Answer
from tools.answer import Discovery
from tools.answer import Rendered
from tools.answer import provenance
from tools.answer import render
from tools.arguments import Cursor
from tools.arguments import SessionHandle
from tools.arguments import SourceName
from tools.arguments import Text
from tools.call import Call
from tools.cursor import make_cursor
from tools.cursor import read_cursor
from tools.names import did_you_mean
from tools.ports import Ports
from tools.relevance import rank


class ListedSource(Answer):
    """A source and whether it answers now."""

    name: str
    kind: str
    status: Literal["ok", "unreachable"]
    origin: str
    fault: str | None = None


class ListedSchema(Answer):
    """A schema as far as it is known without reading rows; `rows` is left out when counting needs a scan."""

    source: str
    schema_name: str = Field(serialization_alias="schema")
    rows: int | None = None
    attributes: int
    first_at: str | None = None
    last_at: str | None = None
    relevance: float | None = None
    explored: bool
    fault: str | None = None


class SchemasListed(Discovery):
    """Ranked by `search`, else by the session's goal, else by name."""

    sources: list[ListedSource]
    schemas: list[ListedSchema]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    source: ListedSource
    schemas: tuple[protocol.Schema, ...]
    attributes: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ListSchemas:
    """Reads catalogues only: no rows are scanned."""

    ports: Ports

    async def list_schemas(
        self,
        call: Call,
        search: Annotated[Text | None, Field(description="words to find in names; best match first")] = None,
        limit: Annotated[int, Field(ge=1, le=limits.SCHEMAS_PER_PAGE_MOST)] = 20,
        cursor: Cursor = None,
        source: SourceName = None,
        session: SessionHandle = None,
    ) -> Rendered:
        """List the schemas (tables, files, event types) of every source with their sizes. Start here."""
        started_s = time.perf_counter()
        remembered = await self.ports.session(call, session)
        wanted = self.ports.seen_by(call) if source is None else (self.ports.source(call, source),)
        found = [await _look(self.ports, each) for each in wanted]
        ranked = _ranked(found, search, remembered)
        question = ("list", search, source, session)
        fingerprint = repr([(schema.source, schema.name) for schema, _ in ranked])
        place = read_cursor(cursor, question=question, fingerprint=fingerprint)
        page = ranked[place.offset : place.offset + limit]
        end = place.offset + len(page)
        more = make_cursor(end, question=question, fingerprint=fingerprint) if end < len(ranked) else None
        explored = _explored(remembered)
        answer = SchemasListed(
            sources=[each.source for each in found],
            schemas=[_listed(schema, score, explored) for schema, score in page],
            total=len(ranked),
            next_cursor=more,
            hints=_hints(found, search, len(ranked), moved=place.moved),
            provenance=provenance(_provenance(found, started_s), truncated=more is not None),
        )
        return render(answer)


async def _look(ports: Ports, source: protocol.Source) -> _Found:
    try:
        schemas = await source.schemas()
        attributes = {each.name: await ports.attributes_of(source, each.name) for each in schemas}
    except SourceError as fault:
        listed = ListedSource(
            name=source.name, kind=source.kind, status="unreachable", origin=source.origin, fault=str(fault)
        )
        return _Found(listed, (), {})
    return _Found(
        ListedSource(name=source.name, kind=source.kind, status="ok", origin=source.origin), schemas, attributes
    )


def _ranked(
    found: Sequence[_Found], search: str | None, session: Session | None
) -> list[tuple[protocol.Schema, float | None]]:
    every = sorted(
        ((schema, each.attributes.get(schema.name, ())) for each in found for schema in each.schemas),
        key=lambda pair: (pair[0].name.casefold(), pair[0].source),
    )
    goals = () if session is None else session.goals
    question = search or " ".join(goal.text for goal in goals if goal.status == "active")
    if not question:
        return [(schema, None) for schema, _ in every]
    scores = rank(question, {f"{schema.source}/{schema.name}": (schema.name, *inside) for schema, inside in every})
    scored = [(schema, scores[f"{schema.source}/{schema.name}"]) for schema, _ in every]
    scored.sort(key=lambda pair: -pair[1])
    return [(schema, score) for schema, score in scored if score > 0 or not search]


def _explored(session: Session | None) -> frozenset[tuple[str, str]]:
    if session is None:
        return frozenset()
    return frozenset((each.source, each.schema) for each in session.explored)


def _listed(schema: protocol.Schema, score: float | None, explored: frozenset[tuple[str, str]]) -> ListedSchema:
    return ListedSchema(
        source=schema.source,
        schema_name=schema.name,
        rows=schema.rows,
        attributes=schema.attributes,
        first_at=schema.first_at,
        last_at=schema.last_at,
        relevance=score,
        explored=(schema.source, schema.name) in explored,
        fault=schema.fault,
    )


def _hints(found: Sequence[_Found], search: str | None, total: int, *, moved: bool) -> list[str]:
    names = [schema.name for each in found for schema in each.schemas]
    hints: list[str] = []
    if search and not total and names:
        near = did_you_mean(nearest(search, names))
        hints.append(f'No schema or attribute name matches "{search}".{near} Omit search to see all {len(names)}.')
    if not names and all(each.source.status == "ok" for each in found):
        hints.append("The configured places hold no readable schema; UDS_DATA names files or folders to offer.")
    if moved:
        hints.append("The list changed since the cursor was made; start again without it.")
    if any(schema.fault for each in found for schema in each.schemas):
        hints.append("Schemas with a fault cannot be read; the fault says why.")
    return hints


def _provenance(found: Sequence[_Found], started_s: float) -> protocol.Provenance:
    return protocol.Provenance(
        source=",".join(each.source.name for each in found),
        queries=(),
        rows_inspected=0,
        method="metadata",
        as_of_at=time.time(),
        took_ms=(time.perf_counter() - started_s) * 1_000,
    )

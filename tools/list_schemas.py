"""Tool `list_schemas`: what there is to look at, best match first."""

import asyncio
import time
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from typing import Literal

from pydantic import Field

from sources import abilities
from sources import protocol
from sources.errors import SourceError
from sources.names import nearest
from state.session import Session
from tools import limits
from tools.answer import Answer
from tools.answer import Discovery
from tools.answer import Provenance
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
from tools.landscape import hold
from tools.names import did_you_mean
from tools.ports import Ports
from tools.relevance import normalised
from tools.vocabulary import Held

_MEANING_CHARS = 120
_QUERIES = 6
_KEPT_S = 0.1
"""What was counted so long before this call was counted for another one."""


class ListedSource(Answer):
    """A source and whether it answers now."""

    name: str
    kind: str
    status: Literal["ok", "unreachable"]
    origin: str
    fault: str | None = None


class ListedSchema(Answer):
    """A schema as far as it is known without reading rows; what is not known is left out."""

    source: str
    schema_name: str = Field(serialization_alias="schema")
    rows: int | None = None
    attributes: int | None = None
    bytes: int | None = None
    first_at: str | None = None
    last_at: str | None = None
    relevance: float | None = None
    meaning: str | None = None
    asked: int | None = None
    """How many of the caller's own past queries read it, where the source may tell."""
    explored: bool
    fault: str | None = None


class SchemasListed(Discovery):
    """Ranked by `search`, else by the session's goals, else by name.

    Sources with the caller's own history come last, unless `search` finds something in them.
    """

    sources: list[ListedSource]
    schemas: list[ListedSchema]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    source: ListedSource
    held: tuple[Held, ...]
    asked: Mapping[tuple[str, str], int]
    """How often the caller's past queries read a schema, by source and schema."""
    look: abilities.Look | None = None


@dataclass(frozen=True, slots=True)
class ListSchemas:
    """Reads catalogues only: no rows are scanned."""

    ports: Ports

    async def list_schemas(
        self,
        call: Call,
        search: Annotated[Text | None, Field(description="words to find in names and values; best match first")] = None,
        limit: Annotated[int, Field(ge=1, le=limits.SCHEMAS_PER_PAGE_MOST)] = 20,
        cursor: Cursor = None,
        source: SourceName = None,
        session: SessionHandle = None,
    ) -> Rendered:
        """List the schemas (tables, files, event types) of every source with their sizes. Start here."""
        started_s = time.perf_counter()
        if session is not None:
            await self.ports.notes.settled()  # what is shown as explored includes the call before this one
        remembered = await self.ports.session(call, session)
        wanted = self.ports.seen_by(call) if source is None else (self.ports.source(call, source),)
        found = await asyncio.gather(*(_look(self.ports, each) for each in wanted))
        ranked = await _ranked(self.ports, found, search, remembered)
        question = ("list", search, source, session)
        fingerprint = repr([(schema.source, schema.name) for schema, _ in ranked])
        place = read_cursor(cursor, question=question, fingerprint=fingerprint)
        page = ranked[place.offset : place.offset + limit]
        end = place.offset + len(page)
        more = make_cursor(end, question=question, fingerprint=fingerprint) if end < len(ranked) else None
        explored = _explored(remembered)
        asked = _asked(found)
        answer = SchemasListed(
            sources=[each.source for each in found],
            schemas=[_listed(schema, score, explored, asked.get(_key(schema))) for schema, score in page],
            total=len(ranked),
            next_cursor=more,
            hints=_hints(found, search, len(ranked), moved=place.moved),
            provenance=_provenance(found, started_s, truncated=more is not None),
        )
        return render(answer)


async def _look(ports: Ports, source: protocol.Source) -> _Found:
    listed = ListedSource(name=source.name, kind=source.kind, status="ok", origin=source.origin)
    try:
        schemas = await source.schemas()
    except SourceError as fault:
        return _Found(listed.model_copy(update={"status": "unreachable", "fault": str(fault)}), (), {})
    own = source not in ports.sources
    held = await asyncio.gather(*(hold(ports, source, each, own=own) for each in schemas))
    familiar: Mapping[str, int] = await source.familiar() if isinstance(source, abilities.Familiar) else {}
    asked = {(source.name, schema): count for schema, count in familiar.items()}
    return _Found(listed, tuple(held), asked, source.last_look if isinstance(source, abilities.Windowed) else None)


async def _ranked(
    ports: Ports, found: Sequence[_Found], search: str | None, session: Session | None
) -> list[tuple[protocol.Schema, float | None]]:
    every = sorted(
        (held for each in found for held in each.held),
        key=lambda held: (held.own, held.schema.name.casefold(), held.schema.source),
    )
    goals = () if session is None else session.goals
    goal = " ".join(each.text for each in goals if each.status == "active")
    asked = _asked(found)
    if search:
        scores = normalised((await ports.vocabulary.index(every, ports.cache)).scores(search))
        return [pair for pair in _by_score(every, scores, asked) if pair[1]]
    if not goal:
        familiar = sorted(every, key=lambda held: (held.own, -asked.get(_key(held.schema), 0)))
        return [(held.schema, None) for held in familiar]
    public = [held for held in every if not held.own]
    scores = normalised((await ports.vocabulary.index(public, ports.cache)).steered(goal))
    return [*_by_score(public, scores, asked), *((held.schema, None) for held in every if held.own)]


def _asked(found: Sequence[_Found]) -> dict[tuple[str, str], int]:
    return {key: count for each in found for key, count in each.asked.items()}


def _by_score(
    held: Sequence[Held], scores: Sequence[float], asked: Mapping[tuple[str, str], int]
) -> list[tuple[protocol.Schema, float | None]]:
    """Best first; what the caller asks about most counts up to a quarter more, so that it decides between near ones."""
    most = max(asked.values(), default=0)
    boosts = [1 + 0.25 * asked.get(_key(each.schema), 0) / most if most else 1.0 for each in held]
    boosted = normalised([score * boost for score, boost in zip(scores, boosts, strict=True)]) if most else scores
    scored: list[tuple[protocol.Schema, float | None]] = [
        (each.schema, score) for each, score in zip(held, boosted, strict=True)
    ]
    return sorted(scored, key=lambda pair: -(pair[1] or 0.0))


def _key(schema: protocol.Schema) -> tuple[str, str]:
    return schema.source, schema.name


def _explored(session: Session | None) -> frozenset[tuple[str, str]]:
    if session is None:
        return frozenset()
    return frozenset((each.source, each.schema) for each in session.explored)


def _listed(
    schema: protocol.Schema, score: float | None, explored: frozenset[tuple[str, str]], asked: int | None
) -> ListedSchema:
    return ListedSchema(
        source=schema.source,
        schema_name=schema.name,
        rows=schema.rows,
        attributes=schema.attributes,
        bytes=schema.bytes,
        first_at=schema.first_at,
        last_at=schema.last_at,
        relevance=score,
        meaning=None if schema.meaning is None else schema.meaning[:_MEANING_CHARS],
        asked=asked,
        explored=_key(schema) in explored,
        fault=schema.fault,
    )


def _hints(found: Sequence[_Found], search: str | None, total: int, *, moved: bool) -> list[str]:
    names = [held.schema.name for each in found for held in each.held]
    hints: list[str] = []
    if search and not total and names:
        public = [held.schema.name for each in found for held in each.held if not held.own]
        near = did_you_mean(nearest(search, public) or nearest(search, names))
        hints.append(f'No name or sampled value matches "{search}".{near} Omit search to see all {len(names)}.')
    if not names and all(each.source.status == "ok" for each in found):
        hints.append(
            "The configured places hold no readable schema; UDS_DATA names files or folders to offer, "
            "NEW_RELIC_WINDOW how far back New Relic is looked at."
        )
    if moved:
        hints.append("The list changed since the cursor was made; start again without it.")
    if any(held.schema.fault for each in found for held in each.held):
        hints.append("Schemas with a fault cannot be read; the fault says why.")
    return hints


def _provenance(found: Sequence[_Found], started_s: float, *, truncated: bool) -> Provenance:
    """What was counted a while ago says so: how long, over which window, and by which queries."""
    looks = [each.look for each in found if each.look is not None]
    now_at = time.time()
    as_of_at = min([now_at, *(each.looked_at for each in looks)])
    age_s = max(0.0, now_at - as_of_at - (time.perf_counter() - started_s))
    told = protocol.Provenance(
        source=",".join(each.source.name for each in found),
        queries=tuple(query for each in looks for query in each.queries)[:_QUERIES],
        rows_inspected=0,
        method="metadata",
        window=next((each.window for each in looks), None),
        as_of_at=as_of_at,
        took_ms=(time.perf_counter() - started_s) * 1_000,
    )
    is_kept = age_s >= _KEPT_S
    return provenance(told, truncated=truncated).model_copy(
        update={"cached": is_kept, "age_s": round(age_s, 3) if is_kept else 0.0}
    )

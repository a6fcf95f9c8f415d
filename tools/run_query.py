"""Tool `run_query`: one read-only statement in the source's own language."""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from sources import abilities
from sources import protocol
from sources.errors import QueryRejected
from state.cache import Loaded
from tools import limits
from tools.answer import Answer
from tools.answer import Discovery
from tools.answer import Prepared
from tools.answer import Rendered
from tools.answer import prepared
from tools.answer import provenance
from tools.arguments import Cursor
from tools.arguments import SessionHandle
from tools.arguments import SourceName
from tools.call import Call
from tools.cursor import make_cursor
from tools.cursor import read_cursor
from tools.errors import InvalidArgument
from tools.ports import Ports
from tools.ports import schema_tag
from tools.ports import source_tag
from tools.rows import fitted

Dialect = Literal["sql", "nrql"]

_DEFAULT_LIMIT = 100
_DIALECT_OF_KIND: Mapping[str, Dialect] = {"duckdb": "sql", "journal": "sql", "newrelic": "nrql"}


class Column(Answer):
    """A column of the result."""

    name: str
    type: str


class QueryAnswered(Discovery):
    """Rows as arrays in the order of `columns`."""

    columns: list[Column]
    rows: list[list[Any]]
    row_count: int
    next_cursor: str | None = None
    diagnosis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    source: protocol.Source
    dialect: Dialect
    query: str
    limit: int
    within_s: float
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """The source guards and bounds what it runs; this tool bounds what is sent."""

    ports: Ports
    timeout_most_s: float
    """The operator's limit on `timeout_s`."""

    async def run_query(
        self,
        call: Call,
        query: Annotated[str, Field(max_length=limits.QUERY_CHARS_MOST, description="one statement; quote odd names")],
        dialect: Annotated[Dialect | None, Field(description="default: the source's own")] = None,
        limit: Annotated[int, Field(ge=1, le=limits.ROWS_MOST, description="rows per answer")] = _DEFAULT_LIMIT,
        timeout_s: Annotated[float, Field(gt=0, le=600)] = 30,
        cursor: Cursor = None,
        source: SourceName = None,
        session: SessionHandle = None,
    ) -> Rendered:
        """Run one read-only query and get its rows: DuckDB SQL on files, NRQL on New Relic (and on files).

        An empty result says which predicate removed the rows.
        """
        await self.ports.session(call, session)
        found = self._source(call, source, dialect)
        spoken = dialect or _own(found)
        question = _Question(
            source=found,
            dialect=spoken,
            query=query,
            limit=limit,
            within_s=min(timeout_s, self.timeout_most_s),
            cursor=cursor,
        )
        said = query if spoken == "sql" else _canonical(query)
        key = ("query", said, limit, cursor) if spoken == _own(found) else ("query", spoken, said, limit, cursor)

        async def load() -> Loaded[Prepared]:
            return await _load(question, call)

        try:
            hit = await self.ports.measured(found, None, key, load)
        except QueryRejected as fault:
            other = await self._elsewhere(call, fault) if source is None else None
            if other is None:
                raise
            remedy = f'{fault.remedy} To ask your own history, pass source="{other}".'.strip()
            raise QueryRejected(str(fault), remedy) from fault
        for schema in hit.value.schemas:
            self.ports.notes.explored(call, session, source=found.name, schema=schema)
        self.ports.answered.note(session, "query", found.name, query)
        return hit.value.rendered(hit)

    async def _elsewhere(self, call: Call, fault: QueryRejected) -> str | None:
        """The caller's own source that has the schema which was not found. None: there is none, or that was not it."""
        reason = str(fault).casefold()
        for each in self.ports.own(call.principal):
            names = [known.name.casefold() for known in await self.ports.schemas_of(each)]
            if any(f"schema named '{name}'" in reason or f'of type "{name}"' in reason for name in names):
                return each.name
        return None

    def _source(self, call: Call, name: str | None, dialect: Dialect | None) -> protocol.Source:
        """The source a query is for. Raises `UnknownSource`, `InvalidArgument`."""
        if name is not None:
            found = self.ports.source(call, name)
            if not _speaks(found, dialect):
                raise InvalidArgument(f'source "{name}" speaks {_own(found)}, not {dialect}')
            return found
        speaking = [each for each in self.ports.sources if _speaks(each, dialect)]
        natives = [each for each in speaking if dialect is not None and _own(each) == dialect]
        found = natives or speaking
        if not found:
            raise InvalidArgument(f"no configured source speaks {dialect}; omit dialect")
        if len(found) > 1:
            raise InvalidArgument(f"name the source: one of {', '.join(each.name for each in found)}")
        return found[0]


def _own(source: protocol.Source) -> Dialect:
    return _DIALECT_OF_KIND.get(source.kind, "sql")


def _canonical(nrql: str) -> str:
    """One text for all ways to write a statement, so that it is asked once; as it is where it cannot be read."""
    from sources.nrql.errors import NrqlError  # noqa: PLC0415 - a language that most servers are never asked in
    from sources.nrql.parse import parse  # noqa: PLC0415
    from sources.nrql.text import printed  # noqa: PLC0415

    try:
        return printed(parse(nrql))
    except NrqlError:
        return nrql


def _speaks(source: protocol.Source, dialect: Dialect | None) -> bool:
    return dialect in (None, _own(source)) or (dialect == "nrql" and isinstance(source, abilities.SpeaksNrql))


async def _load(question: _Question, call: Call) -> Loaded[Prepared]:
    source = question.source
    asked = ("query", source.name, question.dialect, question.query)
    fingerprint = await source.fingerprint()
    place = read_cursor(question.cursor, question=asked, fingerprint=fingerprint)
    table = await _asker(question)(
        question.query, limit=question.limit, offset=place.offset, within_s=question.within_s, progress=call.progress
    )
    fit = fitted(table, times=question.limit // _DEFAULT_LIMIT)
    rows, cut = fit.rows, fit.cut or table.cut
    more = None
    if table.more or len(rows) < len(table.rows):
        more = make_cursor(place.offset + len(rows), question=asked, fingerprint=fingerprint)
    answer = QueryAnswered(
        columns=[Column(name=column.name, type=column.type) for column in table.columns],
        rows=rows,
        row_count=len(rows),
        next_cursor=more,
        diagnosis=table.diagnosis,
        hints=_hints(table, shown=len(rows), more=more is not None, moved=place.moved, cut=cut),
        provenance=provenance(table.provenance, truncated=more is not None or cut),
    )
    kept = prepared(answer, table.provenance, table.schemas)
    tags = (source_tag(source.name), *(schema_tag(source.name, schema) for schema in table.schemas))
    return Loaded(value=kept, size_bytes=kept.size_bytes, tags=tags, cacheable=table.repeatable)


def _asker(question: _Question) -> Callable[..., Awaitable[protocol.Table]]:
    source = question.source
    if question.dialect != _own(source) and isinstance(source, abilities.SpeaksNrql):
        return source.query_nrql
    return source.query


def _hints(table: protocol.Table, *, shown: int, more: bool, moved: bool, cut: bool) -> list[str]:
    hints: list[str] = []
    if more and shown < len(table.rows):
        hints.append(
            f"Only {shown} rows fit one answer: pass next_cursor for the next ones, select fewer columns, or aggregate."
        )
    elif more:
        hints.append("More rows follow: pass next_cursor, or aggregate instead of paging.")
    if moved:
        hints.append("The source changed since the cursor was made: rows may repeat or be missing across pages.")
    if cut:
        hints.append("Long values were cut and end in an ellipsis.")
    if not table.rows and table.diagnosis is None:
        hints.append("The query is valid and returned no row.")
    hints.extend(table.remarks)
    return hints

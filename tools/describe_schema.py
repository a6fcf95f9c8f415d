"""Tool `describe_schema`: what the attributes of a schema hold, measured."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from sources import protocol
from state.cache import Loaded
from state.session import Session
from tools import limits
from tools.answer import Answer
from tools.answer import Discovery
from tools.answer import Prepared
from tools.answer import Rendered
from tools.answer import interval
from tools.answer import prepared
from tools.answer import provenance
from tools.arguments import Cursor
from tools.arguments import Names
from tools.arguments import SchemaName
from tools.arguments import SessionHandle
from tools.arguments import SourceName
from tools.call import Call
from tools.cursor import make_cursor
from tools.cursor import read_cursor
from tools.errors import InvalidArgument
from tools.ports import Ports
from tools.ports import schema_tag
from tools.ports import source_tag
from tools.tokens import json_tokens

Detail = Literal["brief", "full"]


class DescribedAttribute(Answer):
    """What was measured about an attribute."""

    name: str
    type: str
    null_share: float
    null_interval: tuple[float, float] | None = None
    distinct: int
    distinct_is_exact: bool
    distinct_error: float | None = None
    examples: list[Any]
    min: Any = None
    max: Any = None
    semantic_type: str | None = None
    unit: str | None = None
    meaning: str | None = None
    flags: list[str]


class SchemaDescribed(Discovery):
    """Attributes in the order of the schema."""

    schema_name: str = Field(serialization_alias="schema")
    rows: int
    time_attribute: str | None = None
    attributes: list[DescribedAttribute]
    next_cursor: str | None = None
    relevant: list[str] | None = None
    """Attributes the session's goals are about, most relevant first, on whatever page they are; 8 at most."""


@dataclass(frozen=True, slots=True)
class DescribeSchema:
    """Measures are pushed down to the source and kept until its fingerprint changes."""

    ports: Ports

    async def describe_schema(
        self,
        call: Call,
        schema: SchemaName,
        attributes: Annotated[Names | None, Field(description="only these; default all, in pages")] = None,
        detail: Annotated[Detail, Field(description="full reads every row and adds min and max")] = "brief",
        cursor: Cursor = None,
        source: SourceName = None,
        session: SessionHandle = None,
    ) -> Rendered:
        """Describe a schema: type, nulls, distinct counts, examples and flags of its attributes, measured.

        Large schemas are answered from a sample with its error bound; detail="full" is exact.
        """
        remembered = await self.ports.session(call, session)
        found = await self.ports.source_of(call, schema, source)
        named = None if attributes is None else tuple(dict.fromkeys(attributes))
        key = ("describe", schema, named, detail, cursor)

        async def load() -> Loaded[Prepared]:
            answer = await self._describe(call, found, schema, named, detail, cursor)
            tags = (source_tag(found.name), schema_tag(found.name, schema))
            return Loaded(value=answer, size_bytes=answer.size_bytes, tags=tags)

        hit = await self.ports.measured(found, schema, key, load)
        if session is not None:
            seen = tuple(attribute["name"] for attribute in hit.value.body["attributes"])
            self.ports.notes.explored(call, session, source=found.name, schema=schema, attributes=seen)
        relevant = [] if remembered is None else await self._relevant(remembered, found, schema)
        return with_relevant(hit.value.rendered(hit), relevant)

    async def _relevant(self, session: Session, source: protocol.Source, schema: str) -> list[str]:
        """Computed beside the cached answer, which is the same for every session."""
        goals = [goal.text for goal in session.goals if goal.status == "active"]
        if not goals:
            return []
        known = await self.ports.typed_attributes_of(source, schema)
        return self.ports.vocabulary.relevant(source, schema, [each.name for each in known], " ".join(goals))

    async def _describe(
        self,
        call: Call,
        source: protocol.Source,
        schema: str,
        named: tuple[str, ...] | None,
        detail: Detail,
        cursor: str | None,
    ) -> Prepared:
        known = tuple(attribute.name for attribute in await source.attributes(schema))
        wanted = known if named is None else named
        if not wanted:
            raise InvalidArgument("attributes is empty: name at least one attribute, or omit it to describe all")
        question = ("describe", source.name, schema, named, detail)
        fingerprint = repr(known)
        place = read_cursor(cursor, question=question, fingerprint=fingerprint)
        page = wanted[place.offset : place.offset + _page_attributes(detail)]
        if not page:
            raise InvalidArgument("cursor is past the last attribute: omit it to start again")
        found = await source.describe(
            schema, page, exact=detail == "full", within_s=limits.DESCRIBE_WITHIN_S, progress=call.progress
        )
        shown = _fitting(found.attributes, detail)
        end = place.offset + len(shown)
        more = make_cursor(end, question=question, fingerprint=fingerprint) if end < len(wanted) else None
        answer = _answer(found, shown, len(wanted), more, moved=place.moved)
        return prepared(answer, found.provenance, (schema,))


def _page_attributes(detail: Detail) -> int:
    return limits.ATTRIBUTES_FULL if detail == "full" else limits.ATTRIBUTES_BRIEF


def _answer(
    found: protocol.Description, shown: list[DescribedAttribute], total: int, more: str | None, *, moved: bool
) -> SchemaDescribed:
    hints = list(found.hints)
    if moved:
        hints.append("The attributes of this schema changed since the cursor was made; start again without it.")
    if more is not None:
        hints.append(f"{len(shown)} of {total} attributes shown: pass next_cursor for more, or name attributes.")
    return SchemaDescribed(
        schema_name=found.schema,
        rows=found.rows,
        time_attribute=found.time_attribute,
        attributes=shown,
        next_cursor=more,
        hints=hints,
        provenance=provenance(found.provenance, truncated=more is not None),
    )


def with_relevant(answer: Rendered, relevant: list[str]) -> Rendered:
    """The answer with one more field behind the cached ones, in both of its forms."""
    if not relevant:
        return answer
    shown = json.dumps(relevant, ensure_ascii=False, separators=(",", ":"))
    return Rendered({**answer.structured, "relevant": relevant}, f'{answer.text[:-1]},"relevant":{shown}}}')


def _fitting(found: Sequence[protocol.AttributeDescription], detail: Detail) -> list[DescribedAttribute]:
    """Every attribute of the page; where texts are long, with fewer and shorter examples, and then fewer attributes."""
    most = 5 if detail == "full" else 3
    for count, chars in ((most, 80), (2, 40), (1, 24)):
        shown = [
            _attribute(attribute, detail, [_cut(text, chars) for text in attribute.examples[:count]])
            for attribute in found
        ]
        sizes = [json_tokens(each.model_dump(mode="json", exclude_none=True)) for each in shown]
        if sum(sizes) <= limits.DESCRIBED_TOKENS:
            return shown
    within = sum(total <= limits.DESCRIBED_TOKENS for total in itertools.accumulate(sizes))
    return shown[: max(1, within)]


def _cut(example: protocol.Json, chars: int) -> protocol.Json:
    if isinstance(example, str) and len(example) > chars:
        return example[: chars - 1] + "…"
    return example


def _attribute(
    found: protocol.AttributeDescription, detail: Detail, examples: list[protocol.Json]
) -> DescribedAttribute:
    full = detail == "full"
    return DescribedAttribute(
        name=found.name,
        type=found.type,
        null_share=round(found.null_share, 6),
        null_interval=interval(found.null_interval),
        distinct=found.distinct,
        distinct_is_exact=found.distinct_is_exact,
        distinct_error=found.distinct_error,
        examples=examples,
        min=found.min if full else None,
        max=found.max if full else None,
        semantic_type=found.semantic_type,
        unit=found.unit,
        meaning=None if found.meaning is None else str(_cut(found.meaning, 160 if full else 80)),
        flags=list(found.flags),
    )

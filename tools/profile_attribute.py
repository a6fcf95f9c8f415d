"""Tool `profile_attribute`: one attribute in full, measured."""

from dataclasses import dataclass
from typing import Annotated
from typing import Any

from pydantic import Field

from sources import protocol
from state.cache import Loaded
from tools import limits
from tools.answer import Answer
from tools.answer import Discovery
from tools.answer import Prepared
from tools.answer import Rendered
from tools.answer import interval
from tools.answer import prepared
from tools.answer import provenance
from tools.arguments import Name
from tools.arguments import SchemaName
from tools.arguments import SessionHandle
from tools.arguments import SourceName
from tools.call import Call
from tools.ports import Ports
from tools.ports import schema_tag
from tools.ports import source_tag


class TopValue(Answer):
    """A frequent value; `share` is of the rows inspected, nulls included."""

    value: Any
    rows: int
    share: float
    interval: tuple[float, float] | None = None


class Bucket(Answer):
    """`from` <= value < `to`; the last bucket includes its end."""

    low: Any = Field(serialization_alias="from")
    high: Any = Field(serialization_alias="to")
    rows: int


class TextFormat(Answer):
    """A shape of text: 9 is a digit, A an upper-case and a a lower-case letter."""

    pattern: str
    share: float
    example: str


class AttributeProfiled(Discovery):
    """Fields that make no sense for the type are left out."""

    schema_name: str = Field(serialization_alias="schema")
    attribute: str
    type: str
    rows: int
    null_share: float
    null_interval: tuple[float, float] | None = None
    distinct: int
    distinct_is_exact: bool
    distinct_error: float | None = None
    min: Any = None
    max: Any = None
    mean: Any = None
    stddev: float | None = None
    quantiles: dict[str, Any] | None = None
    top_values: list[TopValue]
    histogram: list[Bucket] | None = None
    formats: list[TextFormat] | None = None
    semantic_type: str | None = None
    unit: str | None = None
    flags: list[str]


@dataclass(frozen=True, slots=True)
class ProfileAttribute:
    """Measures are pushed down to the source and kept until its fingerprint changes."""

    ports: Ports

    async def profile_attribute(
        self,
        call: Call,
        schema: SchemaName,
        attribute: Annotated[Name, Field(description="name from describe_schema")],
        top: Annotated[int, Field(ge=0, le=50, description="how many frequent values")] = 10,
        source: SourceName = None,
        session: SessionHandle = None,
    ) -> Rendered:
        """Profile one attribute: range, quantiles, histogram, frequent values and text formats, measured."""
        await self.ports.session(call, session)
        found = await self.ports.source_of(call, schema, source)

        async def load() -> Loaded[Prepared]:
            measured = await found.profile(
                schema, attribute, top=top, within_s=limits.DESCRIBE_WITHIN_S, progress=call.progress
            )
            answer = prepared(_answer(measured), measured.provenance, (schema,))
            tags = (source_tag(found.name), schema_tag(found.name, schema))
            return Loaded(value=answer, size_bytes=answer.size_bytes, tags=tags)

        hit = await self.ports.measured(found, schema, ("profile", schema, attribute, top), load)
        self.ports.notes.explored(call, session, source=found.name, schema=schema, attributes=(attribute,))
        self.ports.answered.note(session, "profile", found.name, schema, attribute)
        return hit.value.rendered(hit)


def _answer(found: protocol.Profile) -> AttributeProfiled:
    return AttributeProfiled(
        schema_name=found.schema,
        attribute=found.attribute,
        type=found.type,
        rows=found.rows,
        null_share=round(found.null_share, 6),
        null_interval=interval(found.null_interval),
        distinct=found.distinct,
        distinct_is_exact=found.distinct_is_exact,
        distinct_error=found.distinct_error,
        min=found.min,
        max=found.max,
        mean=found.mean,
        stddev=found.stddev,
        quantiles=found.quantiles,
        top_values=[
            TopValue(value=top.value, rows=top.rows, share=round(top.share, 6), interval=interval(top.interval))
            for top in found.top_values
        ],
        histogram=_histogram(found.histogram),
        formats=_formats(found.formats),
        semantic_type=found.semantic_type,
        unit=found.unit,
        flags=list(found.flags),
        hints=list(found.hints),
        provenance=provenance(found.provenance),
    )


def _histogram(buckets: tuple[protocol.Bucket, ...] | None) -> list[Bucket] | None:
    return None if buckets is None else [Bucket(low=each.low, high=each.high, rows=each.rows) for each in buckets]


def _formats(formats: tuple[protocol.Format, ...] | None) -> list[TextFormat] | None:
    if formats is None:
        return None
    return [TextFormat(pattern=each.pattern, share=round(each.share, 6), example=each.example) for each in formats]

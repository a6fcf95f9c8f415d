"""What every answer is made of, and how it becomes the two forms a client gets: an object and compact JSON text."""

import json
from dataclasses import dataclass
from typing import Any
from typing import Literal
from typing import cast

from pydantic import BaseModel
from pydantic import ConfigDict

from sources import protocol
from state.cache import Hit
from tools.times import rfc3339

ANSWERS_FORM = 1
"""To be raised with every change of what answers hold or mean: those of other forms are not read from shared tiers."""
_QUERY_CHARS = 300
_QUERIES_CHARS = 700
"""Of all queries of an answer together; resources have them in full."""
"""Query texts are cut here in answers; the resource of the schema has them in full."""


class Answer(BaseModel):
    """Fields that are None are left out of what is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Provenance(Answer):
    """How an answer came about."""

    source: str
    queries: list[str]
    rows_inspected: int
    method: Literal["exact", "sample", "metadata"]
    error_bound: float | None = None
    window: str | None = None
    as_of: str
    cached: bool = False
    age_s: float = 0.0
    tier: Literal["memory", "shared"] | None = None
    truncated: bool = False
    took_ms: float


class Discovery(Answer):
    """What every discovery answer has."""

    hints: list[str]
    provenance: Provenance


class Remembered(Answer):
    """What every state answer has."""

    session: str
    version: int
    etag: str
    degraded: str | None = None
    """Why others may know more of the session than this answer, or not yet what it wrote. None: they do not."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer as it is sent: the same facts as an object and as compact JSON text."""

    structured: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A discovery answer as the cache keeps it: everything but its age is already rendered."""

    body: dict[str, Any]
    provenance: dict[str, Any]
    text: str
    """The whole answer as JSON but for the last two braces, so that its age can still be written behind it."""
    full_queries: tuple[str, ...]
    """The query texts without the cut that answers make."""
    schemas: tuple[str, ...]
    """The schemas that were read."""

    @property
    def size_bytes(self) -> int:
        """Memory held, roughly: the text and about twice as much for the object it was rendered from."""
        return 3 * len(self.text) + 1_000

    def rendered(self, hit: Hit[Any]) -> Rendered:
        """Add how old the answer is."""
        age_s = round(hit.age_s, 3)
        if not hit.cached:
            provenance = {**self.provenance, "cached": False, "age_s": age_s}
            return Rendered({**self.body, "provenance": provenance}, f'{self.text},"cached":false,"age_s":{age_s}}}}}')
        provenance = {**self.provenance, "cached": True, "age_s": age_s, "tier": hit.tier}
        text = f'{self.text},"cached":true,"age_s":{age_s},"tier":"{hit.tier}"}}}}'
        return Rendered({**self.body, "provenance": provenance}, text)

    def in_full(self, hit: Hit[Any]) -> dict[str, Any]:
        """The answer with its query texts uncut."""
        whole = self.rendered(hit).structured
        return {**whole, "provenance": {**whole["provenance"], "queries": list(self.full_queries)}}


class PreparedCodec:
    """A line of JSON with what is beside the answer, and then the answer's own text, from which the rest is read."""

    def encode(self, value: Prepared) -> bytes:
        beside = json.dumps([value.full_queries, value.schemas])
        return f"{beside}\n{value.text}".encode("utf-8", "surrogatepass")

    def decode(self, body: bytes) -> Prepared:
        """Raises `ValueError`."""
        beside, _, text = body.decode("utf-8", "surrogatepass").partition("\n")
        full_queries, schemas = _texts(json.loads(beside))
        whole = _mapping(json.loads(f"{text}}}}}"))
        return Prepared(whole, _mapping(whole.pop("provenance", None)), text, full_queries, schemas)


PREPARED = PreparedCodec()


def _mapping(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("not an answer")  # noqa: TRY004 - what codecs raise for bytes of something else
    return cast("dict[str, Any]", found)


def _texts(found: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    match found:
        case [[*queries], [*schemas]] if all(isinstance(each, str) for each in (*queries, *schemas)):
            return tuple(queries), tuple(schemas)
        case _:
            raise ValueError("not what is kept beside an answer")


def prepared(answer: Discovery, source: protocol.Provenance, schemas: tuple[str, ...]) -> Prepared:
    """Render all of a discovery answer but its age."""
    whole = answer.model_dump(mode="json", exclude_none=True)
    provenance = whole.pop("provenance")
    del provenance["cached"], provenance["age_s"]
    text = _compact({**whole, "provenance": provenance})
    return Prepared(whole, provenance, text[:-2], source.queries, schemas)


def render(answer: Answer) -> Rendered:
    """Render an answer that is never cached."""
    structured = answer.model_dump(mode="json", exclude_none=True)
    return Rendered(structured, _compact(structured))


def provenance(source: protocol.Provenance, *, truncated: bool = False) -> Provenance:
    """Write a source's provenance in the words and bounds of an answer."""
    return Provenance(
        source=source.source,
        queries=[_shortened(query, max(100, _QUERIES_CHARS // len(source.queries))) for query in source.queries],
        rows_inspected=source.rows_inspected,
        method=source.method,
        error_bound=None if source.error_bound is None else round(source.error_bound, 6),
        window=source.window,
        as_of=rfc3339(source.as_of_at),
        truncated=source.truncated or truncated,
        took_ms=round(source.took_ms, 1),
    )


def interval(found: protocol.Interval | None) -> tuple[float, float] | None:
    """Write a 95 % interval as its two ends; None when the number is exact."""
    return None if found is None else (round(found.low, 6), round(found.high, 6))


def _shortened(query: str, most: int) -> str:
    most = min(most, _QUERY_CHARS)
    return query if len(query) <= most else f"{query[:most]}… (+{len(query) - most} characters)"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

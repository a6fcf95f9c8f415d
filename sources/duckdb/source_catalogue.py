"""The catalogue the worker answered, as frozen values: schemas, where they live, and how their rows can be read."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sources.duckdb.describe_shown import cut
from sources.duckdb.describe_shown import instant
from sources.errors import SourceUnreachable
from sources.errors import UnknownAttribute
from sources.errors import UnknownSchema
from sources.names import nearest
from sources.protocol import Attribute
from sources.protocol import Schema

_MEANING_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A schema of the catalogue."""

    schema: Schema
    format: str
    attributes: tuple[Attribute, ...]
    files: tuple[str, ...]
    """What its rows are read from, write-ahead logs included."""
    picked: bool
    """Rows can be picked one by one."""
    footers: bool
    """The files are Parquet."""

    def chosen(self, names: Sequence[str]) -> tuple[Attribute, ...]:
        """The named attributes, in the order of the names. Raises `UnknownAttribute`."""
        by_name = {attribute.name: attribute for attribute in self.attributes}
        for name in names:
            if name not in by_name:
                raise UnknownAttribute(self.schema.name, name, nearest(name, by_name))
        return tuple(by_name[name] for name in names)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All schemas by name."""

    known: Mapping[str, Known]

    def find(self, schema: str) -> Known:
        """Raises `UnknownSchema`."""
        if schema not in self.known:
            raise UnknownSchema(schema, nearest(schema, self.known))
        return self.known[schema]

    def readable(self, schema: str) -> Known:
        """Raises `UnknownSchema`, and `SourceUnreachable` when the schema has a fault."""
        found = self.find(schema)
        if found.schema.fault is not None:
            raise SourceUnreachable(f"{schema} ({found.schema.origin}) cannot be read: {found.schema.fault}")
        return found


def read_catalogue(answer: Mapping[str, Any], source: str) -> Catalogue:
    """The worker's answer to mounting, as values, sorted by name."""
    entries: list[Mapping[str, Any]] = sorted(answer["schemas"], key=lambda entry: entry["name"])
    return Catalogue({entry["name"]: _known(entry, source) for entry in entries})


def _known(entry: Mapping[str, Any], source: str) -> Known:
    attributes = tuple(
        Attribute(name=each["name"], type=each["type"], meaning=_meaning(each.get("comment")))
        for each in entry["attributes"]
    )
    return Known(
        schema=Schema(
            source=source,
            name=entry["name"],
            rows=entry["rows"],
            attributes=len(attributes),
            origin=entry["origin"],
            first_at=_instant(entry["first_at"]),
            last_at=_instant(entry["last_at"]),
            fault=entry["fault"],
            meaning=_meaning(entry.get("comment")),
        ),
        format=entry["format"],
        attributes=attributes,
        files=tuple(entry["files"]),
        picked=entry["picked"],
        footers=entry["footers"],
    )


def _meaning(comment: str | None) -> str | None:
    """Foreign text: one line without control characters, bounded."""
    told = " ".join(cut(comment, most=_MEANING_CHARS).split()) if comment else ""
    return told or None


def _instant(text: str | None) -> str | None:
    return None if text is None else instant(text)

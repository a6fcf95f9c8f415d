"""What New Relic's data dictionary says about event types and attributes: meaning and unit, never a measurement."""

import asyncio
import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final
from typing import cast

from sources.duckdb.describe_shown import cut
from sources.errors import SourceError
from sources.newrelic.graph import Graph
from sources.newrelic.texts import DATA_DICTIONARY

_KEPT_S: Final = 86_400.0
_AGAIN_S: Final = 60.0
"""How long nothing is asked after the dictionary could not be had."""
_WITHIN_S: Final = 5.0
_NAMES: Final = 500
"""Event types asked about at once."""
_MEANING_CHARS: Final = 300
_UNIT_CHARS: Final = 24
_LINK: Final = re.compile(r"!?\[([^\]\[]{0,200})\]\([^()\s]{0,500}\)")
_MARKS: Final = re.compile(r"[*`]+|<[^<>]{1,100}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What is written about an attribute."""

    meaning: str | None
    unit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is written about an event type and its attributes."""

    meaning: str | None = None
    attributes: Mapping[str, Meant] = field(default_factory=dict[str, Meant])


NOTHING: Final = Words()


class Dictionary:
    """Kept for a day. Having no words is no failure: everything works without them."""

    def __init__(self, graph: Graph, clock: Callable[[], float]) -> None:
        self._graph = graph
        self._clock = clock
        self._words: dict[str, tuple[float, Words]] = {}
        self._failed_at: float | None = None
        self._turn = asyncio.Lock()

    async def words(self, names: Collection[str]) -> Mapping[str, Words]:
        """What is written about these event types; `NOTHING` for those nobody wrote about. Never raises."""
        if self._missing(names):
            async with self._turn:
                await self._ask(self._missing(names))
        return {name: self._words.get(name, (0.0, NOTHING))[1] for name in names}

    def _missing(self, names: Collection[str]) -> list[str]:
        now = self._clock()
        if self._failed_at is not None and 0 <= now - self._failed_at < _AGAIN_S:
            return []
        return [name for name in names if name not in self._words or now - self._words[name][0] > _KEPT_S]

    async def _ask(self, names: list[str]) -> None:
        for begin in range(0, len(names), _NAMES):
            part = names[begin : begin + _NAMES]
            try:
                answer = await self._graph.graphql(DATA_DICTIONARY, {"names": part}, within_s=_WITHIN_S)
            except SourceError:
                self._failed_at = self._clock()
                return
            found = dict(_events(answer))
            now = self._clock()
            self._words |= {name: (now, found.get(name, NOTHING)) for name in part}


def _events(answer: Mapping[str, Any]) -> Iterator[tuple[str, Words]]:
    match answer:
        case {"docs": {"dataDictionary": {"events": [*events]}}}:
            pass
        case _:
            return
    for event in events:
        match event:
            case {"name": str(name)}:
                held = cast("Mapping[str, Any]", event)
                yield name, Words(meaning=plain(held.get("definition")), attributes=dict(_meant(held)))
            case _:
                continue


def _meant(event: Mapping[str, Any]) -> Iterator[tuple[str, Meant]]:
    listed = event.get("attributes")
    for attribute in cast("list[Any]", listed) if isinstance(listed, list) else []:
        match attribute:
            case {"name": str(name)}:
                held = cast("Mapping[str, Any]", attribute)
                yield name, Meant(meaning=plain(held.get("definition")), unit=_unit(held.get("units")))
            case _:
                continue


def _unit(units: Any) -> str | None:
    match units:
        case {"label": str(label)}:
            return plain(label, most=_UNIT_CHARS)
        case _:
            return None


def plain(text: Any, *, most: int = _MEANING_CHARS) -> str | None:
    """One bounded line without links, marks and control characters. None: nothing is left."""
    if not isinstance(text, str):
        return None
    bare = _MARKS.sub("", _LINK.sub(r"\1", text[: 4 * most]))
    return cut(" ".join(cut(bare, most=4 * most).split()), most=most) or None

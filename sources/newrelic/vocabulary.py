"""The words in event types, for ranking: a few distinct short values of their text attributes.

They are asked for behind answers, one schema after the other. Each question takes a turn of the network, so those of
other event types are asked along with the first, several in one statement, and are handed out once.
"""

import asyncio
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

from sources.duckdb.describe_shown import cut
from sources.duckdb.semantics_time import tokens
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.newrelic.answered import Row
from sources.newrelic.answered import facet
from sources.newrelic.answered import rows
from sources.newrelic.asking import Asking
from sources.newrelic.names import TEXT_CHARS
from sources.newrelic.names import chunks
from sources.newrelic.names import place_of
from sources.newrelic.together import together
from sources.newrelic.together import tolerated
from sources.newrelic.window import Window
from sources.nrql.text import name_text
from sources.protocol import Attribute
from sources.protocol import AttributeWords

_AHEAD: Final = 250
"""Event types asked about together; about eight fit into a statement, and 25 statements into a request."""
_WITHIN_S: Final = 5.0
_ATTRIBUTES: Final = 12
_VALUES: Final = 20
_LONGEST: Final = 40
"""Characters: longer texts are prose, whose words say little about what an attribute is for."""
_MANY_ROWS: Final = 1_000_000
"""Of larger event types only the last hour is looked at."""
_HOUR_MS: Final = 3_600_000
_KEPT_S: Final = 600.0
_ENDLESS: Final = frozenset({"id", "guid", "uuid", "hash", "key", "token", "trace", "span", "session", "message"})
"""Words in names of texts that are different in every row, and so name nothing."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_CODE: Final = re.compile(r"[0-9a-fA-F-]{12,}")

Words = tuple[AttributeWords, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Event types whose words one statement reads."""

    window: Window
    texts: Mapping[str, tuple[str, ...]]
    """The attributes to read of each event type."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Of all of them, each once."""
        return tuple(dict.fromkeys(name for texts in self.texts.values() for name in texts))

    @property
    def statement(self) -> str:
        select = ", ".join(_values_of(name, place) for place, name in enumerate(self.attributes))
        named = ", ".join(name_text(each) for each in self.texts)
        return f"SELECT {select} FROM {named} {self.window.clause} FACET eventType() LIMIT MAX"


class Vocabulary:
    """Used by one event loop."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._ahead: dict[str, asyncio.Task[Mapping[str, Words | SourceError]]] = {}
        self._asked_at = 0.0

    async def words(self, schema: str) -> Words:
        """The words of a schema; none of a metric, and none where they take too long. Raises `UnknownSchema`."""
        await self._asking.catalogue.keyset(schema)
        if place_of(schema).metric is not None:
            return ()
        if schema not in self._ahead or self._asking.clock() - self._asked_at > _KEPT_S:
            self._ask(schema)
        found = (await asyncio.shield(self._ahead[schema]))[schema]
        self._ahead.pop(schema, None)
        if isinstance(found, QueryTimeout | QueryRejected):
            return ()
        if isinstance(found, SourceError):
            raise found
        return found

    async def aclose(self) -> None:
        """Stop asking."""
        tasks = set(self._ahead.values())
        self._ahead.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, schema: str) -> None:
        """Ask for this event type and for others of the listing."""
        now = self._asking.clock()
        if now - self._asked_at > _KEPT_S:
            self._ahead = {name: task for name, task in self._ahead.items() if not task.done()}
        self._asked_at = now
        listed = (each.name for each in self._asking.catalogue.listed() if each.rows and each.attributes)
        others = [name for name in listed if name != schema and name not in self._ahead]
        names = [schema, *others[: _AHEAD - 1]]
        self._ahead |= dict.fromkeys(names, asyncio.get_running_loop().create_task(self._read(names)))

    async def _read(self, names: Sequence[str]) -> Mapping[str, Words | SourceError]:
        asking = self._asking
        keysets = await together(tolerated(asking.catalogue.keyset(name)) for name in names)
        known = {name: found for name, found in zip(names, keysets, strict=True) if not isinstance(found, SourceError)}
        groups = grouped(known, {each.name: each.rows for each in asking.catalogue.listed()}, asking.window())
        asked = await together(
            tolerated(asking.graph.nrql(asking.account, group.statement, within_s=_WITHIN_S, stats=False))
            for group in groups
        )
        found: dict[str, Words | SourceError] = dict.fromkeys(names, ())
        for group, answer in zip(groups, asked, strict=True):
            if isinstance(answer, SourceError):
                found |= dict.fromkeys(group.texts, answer)
                continue
            try:
                found |= read(group, answer.container)
            except SourceError as fault:  # it came without rows
                found |= dict.fromkeys(group.texts, fault)
        return found


def grouped(
    known: Mapping[str, Sequence[Attribute]], counted: Mapping[str, int | None], window: Window
) -> tuple[Group, ...]:
    """As few statements as fit, over the same window each."""
    groups: list[Group] = []
    chosen = {name: asked_about(attributes) for name, attributes in known.items()}
    windows = {name: looked_at(window, counted.get(name)) for name in known}
    for name in sorted(chosen, key=lambda each: windows[each].begin_ms):
        if not chosen[name]:
            continue
        last = groups[-1] if groups and groups[-1].window == windows[name] else None
        wider = Group(windows[name], {**(last.texts if last is not None else {}), name: chosen[name]})
        if last is not None and len(wider.statement) <= TEXT_CHARS:
            groups[-1] = wider
        else:
            groups.append(Group(windows[name], {name: chosen[name]}))
    return tuple(groups)


def asked_about(attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """Text attributes that may name something, as many as fit into one statement."""
    names = [each.name for each in attributes if each.type == "string" and _ENDLESS.isdisjoint(tokens(each.name))]
    fitting = chunks([_values_of(each, 0) for each in names], most=_ATTRIBUTES, chars=TEXT_CHARS - 400)
    return tuple(names[: fitting[0][1]]) if fitting else ()


def looked_at(window: Window, rows: int | None) -> Window:
    """The window, or its last hour when that may be too much to read. `rows`: None when they are not counted."""
    if rows is not None and rows <= _MANY_ROWS:
        return window
    return Window(begin_ms=max(window.begin_ms, window.end_ms - _HOUR_MS), end_ms=window.end_ms)


def read(group: Group, container: Mapping[str, Any]) -> dict[str, Words]:
    """The words of each event type of a group."""
    aliases = [f"v{place}" for place in range(len(group.attributes))]
    by_type = {name: row for row in rows(container) if isinstance(name := facet(row, aliases), str)}
    return {name: tuple(_words(group, name, by_type.get(name, {}))) for name in group.texts}


def _words(group: Group, name: str, row: Row) -> Iterator[AttributeWords]:
    for place, attribute in enumerate(group.attributes):
        values = row.get(f"v{place}") if attribute in group.texts[name] else None
        found = dict.fromkeys(_usable(cast("list[Any]", values) if isinstance(values, list) else ()))
        if found:
            yield AttributeWords(attribute=attribute, values=tuple(found))


def _values_of(name: str, place: int) -> str:
    return f"uniques({name_text(name)}, {_VALUES}) AS v{place}"


def _usable(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and len(value) <= _LONGEST and _LETTER.search(value) and not _CODE.fullmatch(value):
            shown = " ".join(cut(value).split())
            if len(shown) > 1:
                yield shown

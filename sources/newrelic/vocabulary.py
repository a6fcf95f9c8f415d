"""The words in event types, for ranking: a few distinct short values of their text attributes.

They are asked for behind answers, one schema after the other; since each question takes a turn of the network, those of
the next schemas are asked along with the first and handed out once.
"""

import asyncio
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import cast

from sources.duckdb.describe_shown import cut
from sources.duckdb.semantics_time import tokens
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.newrelic.answered import first
from sources.newrelic.asking import Asking
from sources.newrelic.names import TEXT_CHARS
from sources.newrelic.names import chunks
from sources.newrelic.names import place_of
from sources.newrelic.together import tolerated
from sources.newrelic.window import Window
from sources.nrql.text import name_text
from sources.protocol import Attribute
from sources.protocol import AttributeWords

_AHEAD: Final = 25
"""Schemas asked together: as many statements as travel in one request."""
_WITHIN_S: Final = 5.0
_ATTRIBUTES: Final = 15
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


class Vocabulary:
    """Used by one event loop."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._ahead: dict[str, asyncio.Task[Words | SourceError]] = {}
        self._asked_at = 0.0

    async def words(self, schema: str) -> Words:
        """The words of a schema; none of a metric, and none where they take too long. Raises `UnknownSchema`."""
        await self._asking.catalogue.keyset(schema)
        if place_of(schema).metric is not None:
            return ()
        if schema not in self._ahead or self._asking.clock() - self._asked_at > _KEPT_S:
            self._ask(schema)
        found = await asyncio.shield(self._ahead[schema])
        self._ahead.pop(schema, None)
        if isinstance(found, QueryTimeout | QueryRejected):
            return ()
        if isinstance(found, SourceError):
            raise found
        return found

    async def aclose(self) -> None:
        """Stop asking."""
        tasks = list(self._ahead.values())
        self._ahead.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, schema: str) -> None:
        """Ask for this schema and the ones that follow it in the listing."""
        now = self._asking.clock()
        if now - self._asked_at > _KEPT_S:
            self._ahead = {name: task for name, task in self._ahead.items() if not task.done()}
        self._asked_at = now
        for name in [schema, *self._following(schema)]:
            if name not in self._ahead:
                self._ahead[name] = asyncio.get_running_loop().create_task(tolerated(self._read(name)))

    def _following(self, schema: str) -> Sequence[str]:
        names = [
            each.name for each in self._asking.catalogue.listed() if each.rows and place_of(each.name).metric is None
        ]
        if schema not in names:
            return ()
        return names[names.index(schema) + 1 :][: _AHEAD - 1]

    async def _read(self, schema: str) -> Words:
        asking = self._asking
        texts = asked_about(await asking.catalogue.keyset(schema))
        if not texts:
            return ()
        rows = next((each.rows for each in asking.catalogue.listed() if each.name == schema), None)
        window = looked_at(asking.window(), rows)
        select = ", ".join(f"uniques({name_text(name)}, {_VALUES}) AS v{place}" for place, name in enumerate(texts))
        text = place_of(schema).asked(select, rest=window.clause)
        answer = await asking.graph.nrql(asking.account, text, within_s=_WITHIN_S, stats=False)
        return tuple(read(texts, answer.container))


def asked_about(attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """Text attributes that may name something, as many as fit into one statement."""
    names = [each.name for each in attributes if each.type == "string" and _ENDLESS.isdisjoint(tokens(each.name))]
    fitting = chunks([name_text(each) for each in names], most=_ATTRIBUTES, chars=TEXT_CHARS - 900)
    return tuple(names[: fitting[0][1]]) if fitting else ()


def looked_at(window: Window, rows: int | None) -> Window:
    """The window, or its last hour when that may be too much to read. `rows`: None when they are not counted."""
    if rows is not None and rows <= _MANY_ROWS:
        return window
    return Window(begin_ms=max(window.begin_ms, window.end_ms - _HOUR_MS), end_ms=window.end_ms)


def read(names: Sequence[str], container: Mapping[str, Any]) -> Iterator[AttributeWords]:
    """The usable values of each attribute."""
    row = first(container)
    for place, name in enumerate(names):
        values = row.get(f"v{place}")
        found = dict.fromkeys(_usable(cast("list[Any]", values) if isinstance(values, list) else ()))
        if found:
            yield AttributeWords(attribute=name, values=tuple(found))


def _usable(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and len(value) <= _LONGEST and _LETTER.search(value) and not _CODE.fullmatch(value):
            shown = " ".join(cut(value).split())
            if len(shown) > 1:
                yield shown

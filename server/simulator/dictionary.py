"""What a few usual event types and attributes mean, as a data dictionary of our own words."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

_DOCS: Final = "https://docs.newrelic.com/attribute-dictionary/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    name: str
    meaning: str
    unit: str | None = None


def _word(name: str, meaning: str, unit: str | None = None) -> _Word:
    return _Word(name=name, meaning=meaning, unit=unit)


_TIMESTAMP: Final = _word("timestamp", "When the event happened, in epoch milliseconds.", "Milliseconds (ms)")
_APP: Final = _word("appName", "Name of the application that sent the event.")
_ENTITY: Final = _word("entityGuid", "Identifies the [entity](/docs/entities) that the event belongs to.")
_HOST: Final = _word("host", "Name of the host on which it ran.")

_EVENTS: Final[Mapping[str, tuple[str, tuple[_Word, ...]]]] = {
    "Transaction": (
        "One request to an application, or one background job of it.",
        (
            *(_TIMESTAMP, _APP, _ENTITY, _HOST),
            _word("duration", "Time from the beginning of the transaction to its end.", "Seconds (s)"),
            _word("databaseDuration", "Time spent in databases.", "Seconds (s)"),
            _word("error", "Whether an error was seen in the transaction."),
            _word("name", "Name of the transaction, as the agent made it from controller, route or file."),
            _word("response.status", "Status of the HTTP answer, as text."),
        ),
    ),
    "TransactionError": (
        "One error that an application met.",
        (
            *(_TIMESTAMP, _APP, _ENTITY, _HOST),
            _word("error.class", "Class of the error."),
            _word("error.expected", "Whether the application was told to expect the error."),
            _word("error.message", "Text of the error."),
        ),
    ),
    "PageView": (
        "One page that was loaded in a browser.",
        (
            *(_TIMESTAMP, _APP),
            _word("duration", "Time from the first request to the load event.", "Seconds (s)"),
            _word("pageUrl", "Address of the page, without what follows a question mark."),
            _word("userAgentName", "Name of the browser."),
        ),
    ),
    "SystemSample": (
        "How a host was doing, every few seconds.",
        (
            _TIMESTAMP,
            _word("hostname", "Name of the host."),
            _word("cpuPercent", "Share of all processors that was in use.", "Percentage (%)"),
            _word("memoryUsedBytes", "Memory in use.", "Bytes (B)"),
        ),
    ),
    "Log": (
        "One line of a log.",
        (
            _TIMESTAMP,
            _word("message", "Text of the line."),
            _word("level", "How grave it is, as its writer called it."),
            _word("trace.id", "Identifies the trace within which the line was written."),
        ),
    ),
}


def events(names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Events of the dictionary by these names, as the schema has them. None: all of them."""
    return [_event(name, *_EVENTS[name]) for name in (names if names is not None else _EVENTS) if name in _EVENTS]


def _event(name: str, meaning: str, words: Sequence[_Word]) -> dict[str, Any]:
    return {
        "name": name,
        "definition": _told(meaning),
        "dataSources": [{"name": "Simulator"}],
        "attributes": [_attribute(each) for each in words],
    }


def _attribute(word: _Word) -> dict[str, Any]:
    users = [event for event, (_, words) in _EVENTS.items() if word in words]
    return {
        "name": word.name,
        "definition": _told(word.meaning),
        "docsUrl": f"{_DOCS}?attribute={word.name}",
        "events": users,
        "units": None if word.unit is None else {"label": word.unit},
    }


def _told(text: str) -> Any:
    """Resolves `definition(format:)`: links are kept unless plain text is asked for."""

    def definition(_asked: object, format: str = "PLAIN") -> str:  # noqa: A002 - the name of the argument in the schema
        return _without_links(text) if format == "PLAIN" else text

    return definition


def _without_links(text: str) -> str:
    before, opened, rest = text.partition("[")
    label, closed, target = rest.partition("](")
    return f"{before}{label}{target.partition(')')[2]}" if opened and closed else text

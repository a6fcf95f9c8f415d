"""How flights become requests and answers become outcomes: statements of one turn share requests by aliases. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from typing import Final
from typing import cast

from sources.newrelic.faults import GraphError
from sources.newrelic.faults import Trouble
from sources.newrelic.faults import graph_errors
from sources.newrelic.flights import Flight
from sources.newrelic.flights import Statement
from sources.newrelic.flights import Whole
from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.texts import FIELDS_MOST
from sources.newrelic.texts import batch_fields
from sources.newrelic.texts import batch_text

_TEXT_CHARS: Final = 200_000
"""Statements of one request together."""


@dataclass(slots=True, kw_only=True)
class Width:
    """How much New Relic takes in one request, as far as it is known."""

    fields_most: int = FIELDS_MOST

    def halved(self, flights: Sequence[Flight]) -> tuple[Sequence[Flight], Sequence[Flight]]:
        """Two loads in place of one that was refused; from now on none is wider than these."""
        halves = in_halves(flights)
        self.fields_most = min(self.fields_most, max(map(fields, halves)))
        return halves


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What came for one flight."""

    content: Mapping[str, Any] | None
    """The container of a statement, or all of `data`. None: `trouble` says why."""
    trouble: Trouble | None = None
    warnings: tuple[str, ...] = ()


def loads(flights: Sequence[Flight], *, fields_most: int) -> Iterator[list[Flight]]:
    """The flights in as few requests as possible; those of very different patience do not wait for each other."""
    yield from ([flight] for flight in flights if isinstance(flight.question, Whole))
    statements = [flight for flight in flights if isinstance(flight.question, Statement)]
    for _, alike in groupby(sorted(statements, key=_company), key=_company):
        load: list[Flight] = []
        for flight in alike:
            if load and not _fits([*load, flight], fields_most):
                yield load
                load = []
            load.append(flight)
        yield load


def fields(flights: Sequence[Flight]) -> int:
    """How many fields the request for these statements has."""
    return batch_fields([cast("Statement", flight.question).selection for flight in flights])


def in_halves(flights: Sequence[Flight]) -> tuple[Sequence[Flight], Sequence[Flight]]:
    middle = len(flights) // 2
    return flights[:middle], flights[middle:]


def request(flights: Sequence[Flight]) -> tuple[str, dict[str, object]]:
    """Text and variables that ask for all of them."""
    first = flights[0].question
    if isinstance(first, Whole):
        return first.text, dict(first.variables)
    statements = [cast("Statement", flight.question) for flight in flights]
    variables: dict[str, object] = {}
    for number, each in enumerate(statements):
        asked = {"i": each.account, "q": each.text, "t": each.timeout_s}
        lasting = {"y": True} if each.selection.lasting else {}
        variables |= {f"{name}{number}": value for name, value in (asked | lasting).items()}
    return batch_text([each.selection for each in statements]), variables


def pieces(flights: Sequence[Flight], body: Mapping[str, Any]) -> list[Piece]:
    """What came for each flight, in their order."""
    content = _object(body.get("data"))
    errors = graph_errors(body)
    if isinstance(flights[0].question, Whole):
        return [_whole_piece(content, errors)]
    actor = _object(content.get("actor"))
    return [_statement_piece(actor, f"a{number}", errors) for number in range(len(flights))]


def _fits(load: Sequence[Flight], fields_most: int) -> bool:
    chars = sum(len(flight.question.text) for flight in load)
    return len(load) <= BATCH_MOST and chars <= _TEXT_CHARS and fields(load) <= fields_most


def _company(flight: Flight) -> tuple[bool, int]:
    statement = cast("Statement", flight.question)
    return statement.selection.lasting, statement.patience


def _statement_piece(actor: Mapping[str, Any], alias: str, errors: Sequence[GraphError]) -> Piece:
    """An error belongs to the alias in its path, one that names no alias to all; remarks are no errors."""
    container = _object(_object(actor.get(alias)).get("nrql"))
    about = [error for error in errors if alias in error.path or not _names_an_alias(error.path)]
    return _piece(container, about, inside=("actor", alias, "nrql"))


def _whole_piece(content: Mapping[str, Any], errors: Sequence[GraphError]) -> Piece:
    return _piece(content, errors, inside=None)


def _piece(content: Mapping[str, Any], errors: Sequence[GraphError], *, inside: tuple[str, ...] | None) -> Piece:
    serious = [error for error in errors if not _leaves_enough(error, content, inside)]
    if serious:
        return Piece(content=None, trouble=serious[0].trouble)
    if not content:
        return Piece(content=None, trouble=Trouble(kind="broken", message="no rows and no reason came back"))
    return Piece(content=content, warnings=tuple(error.message for error in errors))


def _leaves_enough(error: GraphError, content: Mapping[str, Any], inside: tuple[str, ...] | None) -> bool:
    """Whether there is an answer in spite of the error: it is a remark, or only a part below is missing."""
    if not content:
        return False
    if error.trouble.kind in {"deprecated", "wide"}:
        return True
    if inside is not None:
        return len(error.path) > len(inside) and error.path[: len(inside)] == inside
    return len(error.path) > 2 and _reached(content, error.path[:2]) is not None  # noqa: PLR2004 - actor and its field


def _reached(content: Any, path: Sequence[str | int]) -> object:
    for step in path:
        content = _object(content).get(str(step))
    return cast("object", content)


def _names_an_alias(path: Sequence[str | int]) -> bool:
    return any(isinstance(step, str) and step[:1] == "a" and step[1:].isdecimal() for step in path)


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}

"""All schemas that goals are about, and what each goal of a session needs of them."""

import asyncio
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.protocol import Schema
from sources.protocol import Source
from state.session import Session
from tools.needs import Need
from tools.needs import needs
from tools.needs import verified
from tools.ports import Ports
from tools.relevance import Index
from tools.vocabulary import Held

PATIENCE_S: Final = 2.0
"""Looking at files for the first time may take minutes; opening a session must not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """Readable schemas of the sources that everybody sees; nobody's own history is part of any goal."""

    index: Index
    held: Mapping[tuple[str, str], Held]
    """By source and schema, in the order of the index."""

    def relevance(self, question: str) -> dict[tuple[str, str], float]:
        """Scores by source and schema, the best being 1."""
        scores = self.index.steered(question)
        best = max(scores, default=0.0)
        return {key: score / best if best else 0.0 for key, score in zip(self.held, scores, strict=True)}


async def look(ports: Ports, *, patience_s: float = PATIENCE_S) -> Landscape | None:
    """The landscape now. None: it takes too long to look at the sources."""
    try:
        async with asyncio.timeout(patience_s):
            found = await asyncio.gather(*(held_by(ports, source) for source in ports.sources))
            held = [each for holdings in found for each in holdings]
            return Landscape(
                index=await ports.vocabulary.index(held, ports.cache),
                held={(each.source.name, each.schema.name): each for each in held},
            )
    except TimeoutError:
        return None


async def held_by(ports: Ports, source: Source, *, own: bool = False) -> list[Held]:
    """The readable schemas of a source; none when it does not answer."""
    readable = [schema for schema in await ports.schemas_of(source) if schema.fault is None]
    return list(await asyncio.gather(*(hold(ports, source, schema, own=own) for schema in readable)))


async def hold(ports: Ports, source: Source, schema: Schema, *, own: bool) -> Held:
    """A schema with its attributes, where known. Asked together, sources far away are asked for all at once."""
    known = schema.attributes is not None
    attributes = await ports.typed_attributes_of(source, schema.name) if known else ()
    return Held(source=source, schema=schema, attributes=attributes, own=own)


def needed(landscape: Landscape, session: Session) -> dict[str, tuple[Need, ...]]:
    """What each active goal needs, by the id of the goal, with what the session has verified."""
    active = [goal for goal in session.goals if goal.status == "active"]
    return {goal.id: verified(needs(goal.text, landscape.index), session) for goal in active}


async def goal_needs(ports: Ports, session: Session, *, patience_s: float = PATIENCE_S) -> dict[str, Sequence[Need]]:
    """As `needed`, for answers that only show goals; nothing while the sources take too long."""
    if all(goal.status != "active" for goal in session.goals):
        return {}
    landscape = await look(ports, patience_s=patience_s)
    return {} if landscape is None else dict(needed(landscape, session))

"""What a simulated New Relic holds: accounts with their rows, entities, and habits. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal
from typing import Protocol

AttributeKind = Literal["string", "numeric", "boolean"]


class Nrdb(Protocol):
    """What runs NRQL: `sources.nrdb.local.LocalNrdb` over files, or rows that a bench makes up. Called on threads."""

    def run(self, text: str) -> Mapping[str, Any]:
        """The container of an answer, as NerdGraph sends it.

        Raises `NrqlError` for what is no NRQL, `NotTranslated` (a `QueryRejected`) for what cannot be run here.
        """
        ...

    def event_types(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    guid: str
    """Unpadded base64 of `account|DOMAIN|TYPE|id`."""
    name: str
    domain: str = "APM"
    type: str = "APPLICATION"
    reporting: bool = True
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: int
    nrdb: Nrdb
    name: str = "Simulated account"
    entities: tuple[Entity, ...] | None = None
    """None: found in the rows that name an `entityGuid`, or an `appName`."""
    ghost_attributes: Mapping[str, Mapping[str, AttributeKind]] = field(
        default_factory=dict[str, Mapping[str, AttributeKind]]
    )
    """By event type: names that `keyset()` lists although no row has them, as NRDB does with what was dropped."""
    data_plus: bool = True
    """Whether queries may go on in the background."""

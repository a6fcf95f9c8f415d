"""What every question to one account needs: whom to ask, about which names, over which window, and the time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sources.newrelic.graph import Graph
from sources.newrelic.window import Window

if TYPE_CHECKING:
    from sources.newrelic.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One account of one source, as it asks."""

    graph: Graph
    account: int
    source: str
    """The name of the source, for provenance."""
    catalogue: "Catalogue"
    window: Callable[[], Window]
    """The window to look at when a question names none; the same for all who ask within a minute."""
    clock: Callable[[], float]
    """Wall-clock seconds since 1970."""

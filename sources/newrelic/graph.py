"""What the source needs of NerdGraph: one statement asked of one account, or one GraphQL text; the client has it."""

from collections.abc import Mapping
from typing import Any
from typing import Protocol

from sources.protocol import Progress
from sources.protocol import silent


class Answer(Protocol):
    """What came back for one NRQL statement."""

    @property
    def container(self) -> Mapping[str, Any]:
        """NerdGraph's `NrdbResultContainer`; every field of it may be missing."""
        ...

    @property
    def took_ms(self) -> float: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...


class Graph(Protocol):
    """Statements asked in one turn of the loop travel together; errors are those of `sources/errors.py`."""

    async def nrql(
        self,
        account: int,
        text: str,
        *,
        within_s: float,
        stats: bool = True,
        whole: bool = True,
        lasting: bool = False,
        progress: Progress = silent,
    ) -> Answer:
        """Without `stats` only the rows, without `whole` only rows, statistics and messages."""
        ...

    async def graphql(self, text: str, variables: Mapping[str, Any] = ..., *, within_s: float) -> Mapping[str, Any]:
        """The `data` of the answer."""
        ...

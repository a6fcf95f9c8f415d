"""What may go wrong with a request, as values, and the script that says when. Nothing is done here."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import TYPE_CHECKING
from typing import Literal
from typing import TypeAlias

if TYPE_CHECKING:
    from server.simulator.received import Received

_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Another status, with any body: a proxy's HTML page, a redirect, a 429 with `Retry-After`."""

    status: int
    body: str = ""
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """HTTP 200 with an error that names no path: the whole request failed, unless `with_answer`.

    `with_answer` gives the complete answer beside it, as NerdGraph does when a field is deprecated.
    """

    message: str
    error_class: str | None = None
    error_code: str | None = None
    with_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fails:
    """Some statements fail by themselves: null, and an error with their path."""

    message: str
    aliases: frozenset[str] | None = None
    """None: whatever `containing` says."""
    containing: str = ""
    """Only statements with these characters in their text."""
    error_class: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Answers that are not the whole truth: events left out, messages, a window beyond what is kept."""

    omitted: int = 0
    messages: tuple[str, ...] = ()
    exceeds_retention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """Containers that lack these fields, as if NerdGraph did not send them, though they were selected."""

    fields: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The statements need this long: those that may go on in the background do, the others time out or take it."""

    takes_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The answer is held back this long, in real seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection is closed after this share (0 to below 1) of the body that was announced."""

    share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """A complete body that is not JSON from its middle on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The connection is reset: before a byte of the answer, or in the midst of the body."""

    when: Literal["before", "within"] = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Nothing is ever answered; the connection stays open until the client leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dribble:
    """The body arrives in pieces, with a pause (in real seconds) before each."""

    piece_bytes: int = 1
    pause_s: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """A body of at least this many bytes, of one valid JSON document, sent compressed if the client takes it."""

    size_bytes: int


Fault: TypeAlias = (
    Status | Errors | Fails | Partial | Without | Slow | Late | Cut | Garbled | Reset | Hang | Dribble | Flood
)

Script: TypeAlias = Sequence[Fault | None] | Callable[["Received"], Fault | None]
"""What happens to each request: the nth of a sequence to the nth (none after its end), or as a function says."""


def scripted(script: Script, received: "Received") -> Fault | None:
    """What happens to this request. None: it is answered as it should be."""
    if callable(script):
        return script(received)
    place = received.number - 1
    return script[place] if place < len(script) else None

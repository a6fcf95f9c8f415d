"""What the script that looks for a result answers, as a value."""

from dataclasses import dataclass
from typing import Any
from typing import cast

from state.packing import Packed
from state.packing import unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`kind`: as in `results_scripts`."""

    kind: int
    value: bytes | None = None
    age_s: float = 0.0
    by: str = ""
    """The lease under which the value was stored."""

    def packed(self) -> Packed:
        """Raises `Unreadable`."""
        return unpack(self.value or b"")


def reply(answer: Any) -> Reply:
    kind, *rest = cast("list[Any]", answer)
    if not rest:
        return Reply(kind=int(kind))
    value, age_ms, by = rest
    return Reply(kind=int(kind), value=bytes(value), age_s=int(age_ms) / 1000, by=cast("bytes", by).decode())

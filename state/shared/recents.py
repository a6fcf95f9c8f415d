"""What this instance wrote lately and was told to be safe: if a failover loses it, it is still known here."""

from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import Piece
from state.shared.branch import Branch

KEPT_S: Final = 120.0
"""Longer than it takes to notice a dead master and promote another: Sentinel waits for 30 s by default, a cluster 15 s.

Source: `down-after-milliseconds` and `cluster-node-timeout` in Redis's default configuration files.
"""
_MOST_BYTES: Final = 16 * 2**20
_DRAFT_BYTES: Final = 1_000
"""In memory, roughly, beside its body."""


@dataclass(frozen=True, slots=True)
class _Written:
    session_id: str
    before: Head | None
    head: Head
    piece: Piece
    at: float
    ttl_s: float
    size_bytes: int


class Recents:
    """Bounded by time and bytes; the oldest go first. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._written: OrderedDict[str, _Written] = OrderedDict()
        self._bytes = 0

    def add(self, session_id: str, before: Head | None, head: Head, drafts: Sequence[Draft], *, ttl_s: float) -> None:
        """Note an append that was acknowledged."""
        self.forget_old()
        piece = Piece(nonce=head.nonce, drafts=tuple(drafts))
        size_bytes = sum(_DRAFT_BYTES + len(repr(draft.body)) for draft in drafts)
        self._written[head.nonce] = _Written(session_id, before, head, piece, self._clock(), ttl_s, size_bytes)
        self._bytes += size_bytes

    def add_pieces(self, session_id: str, before: Head | None, pieces: Sequence[Piece], *, ttl_s: float) -> None:
        """Note what is being brought over."""
        for piece in pieces:
            version = (0 if before is None else before.version) + len(piece.drafts)
            head = Head(version=version, nonce=piece.nonce)
            self.add(session_id, before, head, piece.drafts, ttl_s=ttl_s)
            before = head

    def forget_old(self) -> None:
        """Cheap: at most what was added is dropped."""
        horizon = self._clock() - KEPT_S
        while self._written:
            oldest = next(iter(self._written.values()))
            if oldest.at > horizon and self._bytes <= _MOST_BYTES:
                return
            del self._written[oldest.piece.nonce]
            self._bytes -= oldest.size_bytes

    def branches(self) -> tuple[Branch, ...]:
        """What was written with nobody else in between, oldest first, each as if it had been written apart."""
        self.forget_old()
        begun: list[list[_Written]] = []
        newest: dict[str, list[_Written]] = {}
        for written in self._written.values():
            run = newest.get(written.session_id)
            if run is not None and run[-1].head == written.before:
                run.append(written)
            else:
                newest[written.session_id] = run = [written]
                begun.append(run)
        return tuple(_branch(run) for run in begun)


def _branch(run: Sequence[_Written]) -> Branch:
    before = run[0].before
    return Branch(
        session_id=run[0].session_id,
        start=None if before is None else Checkpoint(version=before.version, nonce=before.nonce, state=b""),
        pieces=tuple(each.piece for each in run),
        head=run[-1].head,
        ttl_s=run[-1].ttl_s,
        goals=0,
    )

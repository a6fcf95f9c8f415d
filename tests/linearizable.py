"""A checker of linearizability: whether what many clients saw could have come from one place that serves one at a time.

A search after Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with Lowe's memory of where it has been
("Testing for Linearizability", 2016). Values must be written once only; then an unknown write that nobody saw can be
left out, and what is left is quick to search.
"""

from collections import defaultdict
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from math import inf
from typing import Literal

Act = Literal["read", "write", "swap", "refused"]
_STEPS_MOST = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one client asked of one session, and what it was told. Instants are of one monotonic clock."""

    session: str
    client: str
    act: Act
    """`swap` writes a value if the register still holds `expected`; `refused` is one that was told it does not."""
    called_at: float
    returned_at: float = inf
    """Infinite: no answer came, so that it may have happened, may still happen, or never will."""
    key: str = ""
    """Of the register that is written; a read sees all of them."""
    value: Hashable = None
    expected: Hashable = None
    seen: Mapping[str, Hashable] = field(default_factory=dict[str, Hashable])
    """What a read found: every register that is not empty."""
    version: int | None = None
    """Of the session, as the answer told it."""
    degraded: bool = False
    """The answer says that it may lack what others wrote, or that only this machine has the write so far."""

    @property
    def writes(self) -> bool:
        return self.act in ("write", "swap")

    @property
    def is_pending(self) -> bool:
        """It may take effect at any time after it was called, or never; a swap then whatever is there.

        For what it was decided on may be what one machine knew.
        """
        return self.returned_at == inf or self.degraded


class Undecided(Exception):
    """The search took too long: record fewer operations that overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A session whose operations fit into no order; `stuck` could not be placed in the longest one that was found."""

    session: str
    placed: int
    of: int
    stuck: Operation


_State = tuple[tuple[str, Hashable], ...]


def violations(operations: Iterable[Operation]) -> list[Violation]:
    """Sessions whose registers were not linearizable. Raises `Undecided`; `ValueError`: a value was written twice."""
    found = (_searched(session, each) for session, each in _by_session(operations).items())
    return [each for each in found if each is not None]


def backward(operations: Iterable[Operation]) -> list[tuple[Operation, Operation]]:
    """Pairs of which the later began after the earlier was answered, and yet was told of an earlier version.

    A write must be told a later version than everything before it. What is degraded is not looked at.
    """
    pairs: list[tuple[Operation, Operation]] = []
    for each in _by_session(operations).values():
        told = [one for one in each if one.version is not None and not one.is_pending]
        pairs += _backward(sorted(told, key=lambda one: one.called_at))
    return pairs


def _backward(told: Sequence[Operation]) -> Iterator[tuple[Operation, Operation]]:
    ended = sorted(told, key=lambda one: one.returned_at)
    newest: Operation | None = None
    place = 0
    for later in told:
        while place < len(ended) and ended[place].returned_at < later.called_at:
            if newest is None or (ended[place].version or 0) > (newest.version or 0):
                newest = ended[place]
            place += 1
        if newest is not None and (later.version or 0) < (newest.version or 0) + later.writes:
            yield newest, later


def _by_session(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    parted: dict[str, list[Operation]] = defaultdict(list)
    for each in operations:
        parted[each.session].append(each)
    return parted


def _relevant(operations: Sequence[Operation]) -> list[Operation]:
    """Without what says nothing: pending reads, degraded reads, and pending writes that nobody saw."""
    seen = {value for each in operations if not each.is_pending for value in each.seen.values()}
    seen |= {each.expected for each in operations if not each.is_pending and each.act == "swap"}
    kept = [each for each in operations if not each.is_pending or (each.writes and each.value in seen)]
    return sorted(kept, key=lambda one: one.called_at)


def _searched(session: str, operations: Sequence[Operation]) -> Violation | None:
    written = [each.value for each in operations if each.writes]
    if len(written) != len(set(written)):
        raise ValueError(f"a value was written twice in {session}")
    return _Search(session, _relevant(operations)).run()


class _Search:
    """Places operations one after the other, and goes back when none fits. A place is a set of them, and a state."""

    def __init__(self, session: str, operations: Sequence[Operation]) -> None:
        self._session = session
        self._operations = operations
        self._required = sum(1 << place for place, each in enumerate(operations) if not each.is_pending)
        self._needs = _needs(operations)
        self._most, self._stuck = -1, 0

    def run(self) -> Violation | None:
        been: set[tuple[int, _State]] = set()
        trail: list[Iterator[tuple[int, _State]]] = [self._next(0, ())]
        if not self._required:
            return None
        while trail:
            step = next(trail[-1], None)
            if step is None:
                trail.pop()
            elif step not in been:
                if step[0] & self._required == self._required:
                    return None
                been.add(step)
                trail.append(self._next(*step))
            if len(been) > _STEPS_MOST:
                raise Undecided(self._session)
        stuck = self._operations[self._stuck]
        return Violation(session=self._session, placed=self._most, of=len(self._operations), stuck=stuck)

    def _next(self, done: int, state: _State) -> Iterator[tuple[int, _State]]:
        """Every way to place one more: of those that began before any that is left was answered.

        What changes nothing is placed as soon as it fits: waiting could not help anybody.
        """
        places, until = self._left(done)
        if done.bit_count() > self._most:
            self._most, self._stuck = done.bit_count(), until
        after = {place: _applied(self._operations[place], state) for place in places}
        for place in places:
            if after[place] == state and not self._operations[place].writes:
                yield done | 1 << place, state
                return
        for place in sorted(places, key=self._likely):
            made = after[place]
            lost = self._lost(done | 1 << place, self._operations[place].key, state)
            if lost and done.bit_count() == self._most:
                self._stuck = (lost & -lost).bit_length() - 1
            if made is not None and not lost:
                yield done | 1 << place, made

    def _likely(self, place: int) -> tuple[float, float]:
        """Versions, where they are told, are only a hint where to look first."""
        each = self._operations[place]
        return inf if each.version is None or each.is_pending else each.version, each.returned_at

    def _lost(self, done: int, key: str, before: _State) -> int:
        """The places of those who are left and need what was just overwritten, which never comes back."""
        return self._needs.get((key, dict(before).get(key)), 0) & self._required & ~done

    def _left(self, done: int) -> tuple[list[int], int]:
        """Places that may come next, and the one that is answered first."""
        places: list[int] = []
        first, first_at = 0, inf
        for place in range((~done & (done + 1)).bit_length() - 1, len(self._operations)):
            if done >> place & 1:
                continue
            each = self._operations[place]
            if each.called_at > first_at:
                break
            places.append(place)
            if not each.is_pending and each.returned_at < first_at:
                first, first_at = place, each.returned_at
        return places, first


def _needs(operations: Sequence[Operation]) -> dict[tuple[str, Hashable], int]:
    """Of each value of a register, the set of places that can only come while it is there."""
    keys = {each.key for each in operations if each.writes}
    needs: dict[tuple[str, Hashable], int] = defaultdict(int)
    for place, each in enumerate(operations):
        match each.act:
            case "read":
                for key in keys:
                    needs[key, each.seen.get(key)] |= 1 << place
            case "swap" if not each.is_pending:
                needs[each.key, each.expected] |= 1 << place
            case _:
                pass
    return needs


def _applied(operation: Operation, state: _State) -> _State | None:
    """The registers after it. None: it could not have been answered so."""
    held = dict(state)
    match operation.act:
        case "read":
            return state if held == dict(operation.seen) else None
        case "refused":
            return None if held.get(operation.key) == operation.expected else state
        case "swap" if held.get(operation.key) != operation.expected and not operation.is_pending:
            return None
        case _:
            held[operation.key] = operation.value
            return tuple(sorted(held.items()))

"""The checker of linearizability accepts what one place could have answered, and catches what it could not."""

import random
from collections.abc import Hashable
from collections.abc import Iterator
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linearizable import Operation
from tests.linearizable import backward
from tests.linearizable import violations

_KEYS = ("a", "b", "c")


def _write(value: str, called_at: float, returned_at: float = inf, *, key: str = "a", **more: object) -> Operation:
    told = Operation(
        session="s", client="w", act="write", key=key, value=value, called_at=called_at, returned_at=returned_at
    )
    return replace(told, **more)  # pyright: ignore[reportArgumentType] - fields by name


def _read(called_at: float, returned_at: float, *, degraded: bool = False, **seen: Hashable) -> Operation:
    return Operation(
        session="s",
        client="r",
        act="read",
        seen=seen,
        called_at=called_at,
        returned_at=returned_at,
        degraded=degraded,
    )


def _swap(expected: str | None, value: str, called_at: float, returned_at: float, *, ok: bool = True) -> Operation:
    return Operation(
        session="s",
        client="x",
        act="swap" if ok else "refused",
        key="a",
        value=value,
        expected=expected,
        called_at=called_at,
        returned_at=returned_at,
    )


_RIGHT = {
    "nothing at all": [],
    "a read of what is empty": [_read(0, 1)],
    "one after the other": [_write("1", 0, 1), _read(2, 3, a="1"), _write("2", 4, 5), _read(6, 7, a="2")],
    "a read beside a write sees it": [_write("1", 0, 9), _read(1, 2, a="1"), _read(3, 4, a="1")],
    "a read beside a write does not see it yet": [_write("1", 0, 9), _read(1, 2), _read(3, 4, a="1")],
    "writes beside each other in either order": [_write("1", 0, 9), _write("2", 1, 8), _read(10, 11, a="1")],
    "no answer, and it happened later": [_write("1", 0), _read(1, 2), _read(3, 4, a="1")],
    "no answer, and it never happened": [_write("1", 0), _read(1, 2), _write("2", 3, 4), _read(5, 6, a="2")],
    "degraded answers may be old": [_write("1", 0, 1), _read(2, 3, degraded=True)],
    "a degraded write arrives later": [_write("1", 0, 1, degraded=True), _read(2, 3), _read(4, 5, a="1")],
    "a swap of what is there": [_write("1", 0, 1), _swap("1", "2", 2, 3), _read(4, 5, a="2")],
    "a swap is refused when another was first": [_swap(None, "1", 0, 5), _swap(None, "2", 1, 6, ok=False)],
    "a degraded swap arrives later, whatever is there then": [
        *(_write("1", 0, 1), replace(_swap("1", "2", 2, 3), degraded=True)),
        *(_write("3", 4, 5), _read(6, 7, a="3"), _read(8, 9, a="2")),
    ],
    "two registers": [_write("1", 0, 1), _write("2", 0, 1, key="b"), _read(2, 3, a="1", b="2")],
}

_WRONG = {
    "a stale read": [_write("1", 0, 1), _read(2, 3)],
    "an older value": [_write("1", 0, 1), _write("2", 2, 3), _read(4, 5, a="1")],
    "a value from the future": [_read(0, 1, a="1"), _write("1", 2, 3)],
    "a value nobody wrote": [_read(0, 1, a="1")],
    "seen, and then not": [_write("1", 0, 9), _read(1, 2, a="1"), _read(3, 4)],
    "no answer, seen, and then not": [_write("1", 0), _read(1, 2, a="1"), _read(3, 4)],
    "no answer, and it happened twice": [
        *(_write("1", 0), _read(1, 2, a="1"), _write("2", 3, 4)),
        *(_read(5, 6, a="2"), _read(7, 8, a="1")),
    ],
    "two readers disagree about the order": [
        *(_write("1", 0, 9), _write("2", 0, 9)),
        *(_read(10, 11, a="1"), _read(12, 13, a="2"), _read(14, 15, a="1")),
    ],
    "a lost update: both swaps of one value are told that they won": [_swap(None, "1", 0, 5), _swap(None, "2", 1, 6)],
    "a swap is refused though nobody wrote": [_swap(None, "1", 0, 5, ok=False)],
    "read-then-set of a whole session: one write takes another one's register back": [
        *(_write("1", 0, 9), _write("2", 1, 8, key="b"), _read(10, 11, b="2")),
    ],
    "two registers, each right, that were never so together": [
        *(_write("1", 0, 1), _write("2", 2, 3, key="b"), _write("3", 4, 5)),
        _read(6, 7, a="1", b="2"),
    ],
}


@pytest.mark.parametrize("operations", _RIGHT.values(), ids=_RIGHT)
def test_a_history_that_one_place_could_have_told_is_accepted(operations: list[Operation]) -> None:
    assert violations(operations) == []


@pytest.mark.parametrize("operations", _WRONG.values(), ids=_WRONG)
def test_a_history_that_no_place_could_have_told_is_caught(operations: list[Operation]) -> None:
    assert [each.session for each in violations(operations)] == ["s"]


def test_sessions_are_judged_apart_and_the_one_that_went_wrong_is_named() -> None:
    wrong = [replace(each, session="other") for each in _WRONG["a stale read"]]
    (found,) = violations([*_RIGHT["one after the other"], *wrong])
    assert (found.session, found.placed, found.of) == ("other", 0, 2)
    assert found.stuck == wrong[1]


def test_values_that_were_written_twice_are_refused_because_they_prove_nothing() -> None:
    with pytest.raises(ValueError, match="twice"):
        violations([_write("1", 0, 1), _write("1", 2, 3)])


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - moments, no secrets


class _Register:
    """One right place, run by many clients whose calls overlap; `lag` and `clobber` make it a wrong one."""

    def __init__(self, chance: random.Random, *, lag: int = 0, clobber: bool = False) -> None:
        self.chance = chance
        self._lag = lag
        self._clobber = clobber
        self._states: list[dict[str, Hashable]] = [{}]

    def read(self) -> dict[str, Hashable]:
        return self._states[-1 - self.chance.randint(0, min(self._lag, len(self._states) - 1))]

    def write(self, key: str, value: str) -> int:
        before = self.chance.choice(self._states[-4:]) if self._clobber else self._states[-1]
        self._states.append({**before, key: value})
        return len(self._states)

    @property
    def version(self) -> int:
        return len(self._states)


def _history(register: _Register, *, operations: int, clients: int) -> Iterator[Operation]:
    """Each client's operation takes effect at a moment of its own between call and answer; some answers are lost."""
    chance = register.chance
    free_at = [0.0] * clients
    moments: list[tuple[float, float, float, int, int]] = []
    for number in range(operations):
        client = chance.randrange(clients)
        called_at = free_at[client] + chance.random() * 0.1
        returned_at = called_at + 0.1 + chance.random() * 2
        free_at[client] = returned_at
        moments.append((chance.uniform(called_at, returned_at), called_at, returned_at, client, number))
    for _, called_at, returned_at, client, number in sorted(moments):
        is_lost = chance.random() < 0.05
        told = Operation(
            session="s",
            client=str(client),
            act="read",
            called_at=called_at,
            returned_at=inf if is_lost else returned_at,
        )
        if chance.random() < 0.5:
            yield replace(told, seen=register.read(), version=register.version)
        elif is_lost and chance.random() < 0.5:
            yield replace(told, act="write", key="a", value=str(number))  # never carried out
        else:
            key = chance.choice(_KEYS)
            version = register.write(key, str(number))
            yield replace(told, act="write", key=key, value=str(number), version=version)


@given(st.integers(0, 10**9))
def test_whatever_clients_do_at_once_a_right_place_is_never_accused(seed: int) -> None:
    operations = list(_history(_Register(_chance(seed)), operations=80, clients=6))
    assert violations(operations) == []
    assert backward(operations) == []


@pytest.mark.parametrize("wrong", [{"lag": 3}, {"clobber": True}], ids=str)
def test_a_place_that_answers_old_things_or_forgets_writes_is_caught_nearly_every_time(wrong: dict[str, int]) -> None:
    caught = 0
    for seed in range(20):
        register = _Register(_chance(seed), lag=wrong.get("lag", 0), clobber=bool(wrong.get("clobber")))
        caught += bool(violations(_history(register, operations=80, clients=6)))
    assert caught >= 18


def test_hundreds_of_operations_of_many_clients_are_judged_in_a_moment() -> None:
    register = _Register(_chance(1))
    assert violations(_history(register, operations=1_000, clients=16)) == []


def test_a_version_that_goes_back_is_noticed() -> None:
    first, second = _write("1", 0, 1, version=7), _write("2", 2, 3, version=7)
    assert backward([first, second]) == [(first, second)]
    assert backward([first, replace(second, version=8)]) == []
    assert backward([first, replace(second, degraded=True)]) == []
    assert backward([first, replace(second, called_at=0.5)]) == []

"""A map that never changes behaves as a dict would whose entries go last when they are written."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from state.layers import Layers

_WRITES = st.lists(st.dictionaries(st.integers(0, 90), st.integers(), max_size=5), max_size=60)


def _as_dict(writes: Sequence[dict[int, int]]) -> dict[int, int]:
    whole: dict[int, int] = {}
    for entries in writes:
        for key, value in entries.items():
            whole.pop(key, None)
            whole[key] = value
    return whole


@given(_WRITES, st.dictionaries(st.integers(0, 90), st.integers(), max_size=9))
def test_it_is_what_a_dict_would_be_in_the_same_order(writes: list[dict[int, int]], begun: dict[int, int]) -> None:
    layers = Layers(dict(begun))
    for entries in writes:
        layers = layers.having(entries)
    expected = _as_dict([begun, *writes])
    assert list(layers.items()) == list(expected.items())
    assert len(layers) == len(expected)
    assert layers.listed() == tuple(expected.values())
    assert layers == expected
    assert layers == Layers(dict(expected))
    for key in range(91):
        assert (key in layers) == (key in expected)
        assert layers.get(key, "none") == expected.get(key, "none")


@given(_WRITES, _WRITES)
def test_making_another_one_leaves_the_first_as_it_was(
    writes: list[dict[int, int]], more: list[dict[int, int]]
) -> None:
    first = Layers[int, int]()
    for entries in writes:
        first = first.having(entries)
    before = list(first.items())
    other = first
    for entries in more:
        other = other.having(entries)
    assert list(first.items()) == before


def test_a_thousand_writes_copy_little() -> None:
    """Not a matter of time: the entries that are copied are counted."""
    layers = Layers[int, int]()
    folded = 0
    below = 0
    for number in range(1_000):
        layers = layers.having({number: number})
        if layers.below != below:
            folded += layers.below
            below = layers.below
    assert len(layers) == 1_000
    assert folded < 12_000  # a copy at every write would be half a million

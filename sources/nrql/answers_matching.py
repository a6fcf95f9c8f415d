"""Which key of the rows belongs to which selected thing, where the answer does not say so itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from sources.nrql.answers_wanted import APDEX
from sources.nrql.answers_wanted import Wanted
from sources.nrql.answers_wanted import guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`key` None: no row has it, so it is null everywhere."""

    wanted: Wanted
    key: str | None

    @property
    def name(self) -> str:
        return self.wanted.alias or self.key or self.wanted.name


def matches(wanted: Sequence[Wanted], keys: Sequence[str], facets: Sequence[str]) -> tuple[Match, ...]:
    """Every selected thing in its order, then the keys that nobody selected; `timestamp` comes first there."""
    taken = _by_name(wanted, keys)
    rest = _unclaimed(wanted, keys, taken)
    open_places = [place for place, each in enumerate(wanted) if place not in taken and each.function != "funnel"]
    computed = [place for place in open_places if wanted[place].calls or not wanted[place].keys]
    if computed and len(computed) == len(rest):
        taken.update(zip(computed, rest, strict=True))
        rest = []
    shown = [
        Match(wanted=each, key=taken.get(place))
        for place, each in enumerate(wanted)
        if place in taken or (place in open_places and not (rest and place in computed))
    ]
    spare = [Match(wanted=guessed(key, facets), key=key) for key in _sorted(rest, selected=bool(wanted))]
    return tuple([*spare, *shown] if wanted and rest == ["timestamp"] else [*shown, *spare])


def _by_name(wanted: Sequence[Wanted], keys: Sequence[str]) -> dict[int, str]:
    """Place in SELECT to key: the likeliest names of all first, exactly as written before in any case."""
    taken: dict[int, str] = {}
    for spelled in ({key: key for key in keys}, {key.casefold(): key for key in keys}):
        fold = spelled.keys() != set(keys)
        for rank in range(max((len(each.keys) for each in wanted), default=0)):
            for place, each in enumerate(wanted):
                if place in taken or rank >= len(each.keys):
                    continue
                key = spelled.get(each.keys[rank].casefold() if fold else each.keys[rank])
                if key is not None and key not in taken.values():
                    taken[place] = key
    return taken


def _unclaimed(wanted: Sequence[Wanted], keys: Sequence[str], taken: dict[int, str]) -> list[str]:
    """Keys that are nobody's. An apdex says its parts twice: inside, and beside it."""
    beside = APDEX if any(wanted[place].function == "apdex" for place in taken) else ()
    claimed = {*taken.values(), *beside}
    return [key for key in keys if key not in claimed]


def _sorted(keys: Sequence[str], *, selected: bool) -> list[str]:
    """Of `SELECT *` by name, so that pages look alike; else as they came. `timestamp` first."""
    return sorted(keys, key=lambda key: (key != "timestamp", "" if selected else key.casefold()))

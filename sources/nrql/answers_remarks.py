"""What an answer says about itself beside its rows: what was left out, what its totals are, what NRDB remarks."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.nrql.answers_cells import instant
from sources.nrql.answers_rows import Lines
from sources.nrql.answers_rows import Row
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence

REMARK_CHARS: Final = 400
REMARKS: Final = 8
_ADDABLE: Final = ("count", "sum")
_BELIEVABLE: Final = 1e300
_TOTALS_SHOWN: Final = 4
_NOT_TOTALS: Final = frozenset({"facet", "comparison", "beginTimeSeconds", "endTimeSeconds", "inspectedCount"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What NRDB did for an answer."""

    inspected: int | None
    """Events it looked at. None: it did not say."""
    omitted: int
    """Events it left out, so that the answer is partial."""
    exceeds_retention: bool
    """The window reaches back to where data is no longer kept."""

    @property
    def is_partial(self) -> bool:
        return self.omitted > 0 or self.exceeds_retention


def stats(container: Row) -> Stats:
    """From `rawResponse.performanceStats`, as far as it is there."""
    told = mapping(mapping(container.get("rawResponse")).get("performanceStats"))
    return Stats(
        inspected=_whole(told.get("inspectedCount")),
        omitted=_whole(told.get("omittedCount")) or 0,
        exceeds_retention=told.get("exceedsRetentionWindow") is True,
    )


def time_window(container: Row) -> str | None:
    """The window as NRDB understood it, RFC 3339. None: it did not say."""
    told = mapping(mapping(container.get("metadata")).get("timeWindow"))
    begin, end = instant(told.get("begin")), instant(told.get("end"))
    return f"{begin} to {end}" if begin and end else None


def remarks(container: Row, lines: Lines, clean: Callable[[str], str]) -> tuple[str, ...]:
    """Sentences for whoever reads the rows. `clean` makes foreign text safe."""
    found = [*_partial(stats(container)), *_totals(container, lines, clean), *_messages(container, clean)]
    if lines.unreadable:
        found.append(f"{lines.unreadable} rows of the answer could not be read and are left out.")
    return tuple(remark[:REMARK_CHARS] for remark in found[:REMARKS])


def _partial(told: Stats) -> list[str]:
    found: list[str] = []
    if told.omitted:
        found.append(f"The answer is partial: NRDB left out {told.omitted:,} events; narrow the window.")
    if told.exceeds_retention:
        found.append("The window reaches back beyond what is still kept: older events are missing from the answer.")
    return found


def _totals(container: Row, lines: Lines, clean: Callable[[str], str]) -> list[str]:
    """Facet values beyond LIMIT are in no row, so sums over the rows are short of them."""
    other = _amounts(container.get("otherResult"))
    if not any(other.values()):
        return []
    shown = len({str(row.facets) for row in lines.rows})
    told = f"Beyond the first {shown} facet values, all others together have {_said(other, clean)}"
    total = _amounts(container.get("totalResult"))
    return [f"{told}; all values together have {_said(total, clean)}." if total else f"{told}."]


def _amounts(result: object) -> dict[str, float]:
    """Numbers of the result; of a series only what can be added up over its buckets."""
    if plain := mapping(result):
        return _numbers(plain)
    added: dict[str, float] = {}
    for bucket in sequence(result):
        for key, value in _numbers(mapping(bucket)).items():
            if key.partition(".")[0] in _ADDABLE:
                added[key] = added.get(key, 0) + value
    return added


def _numbers(result: Row) -> dict[str, float]:
    told = ((key, value) for key, value in result.items() if key not in _NOT_TOTALS and not isinstance(value, bool))
    return {key: value for key, value in told if isinstance(value, int | float) and abs(value) < _BELIEVABLE}


def _said(amounts: dict[str, float], clean: Callable[[str], str]) -> str:
    shown = ((key, f"{value:,}" if isinstance(value, int) else f"{value:,.6g}") for key, value in amounts.items())
    return ", ".join(f"{clean(key)[:80]} {value}" for key, value in [*shown][:_TOTALS_SHOWN])


def _messages(container: Row, clean: Callable[[str], str]) -> Iterable[str]:
    told: Sequence[object] = sequence(mapping(container.get("metadata")).get("messages"))
    lines = dict.fromkeys(" ".join(clean(text).split()) for text in told if isinstance(text, str))
    return [f'New Relic remarks: "{line}"' for line in lines if line]


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    return int(value)

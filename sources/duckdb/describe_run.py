"""Which queries a description takes: exact when that is quick or asked for, else a sample beside what footers know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sources.duckdb import describe
from sources.duckdb.describe import Measure
from sources.duckdb.describe_rows import Measured
from sources.duckdb.describe_rows import gathered
from sources.duckdb.describe_rows import whole
from sources.duckdb.describe_types import family
from sources.duckdb.mount_quoting import quoted
from sources.duckdb.sampling import EXACT_DISTINCT_ROWS
from sources.duckdb.sampling import SAMPLE_ROWS
from sources.duckdb.sampling import is_exact_affordable
from sources.duckdb.sampling import sampled
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_inquiry import Inquiry
from sources.errors import TooLarge
from sources.protocol import Attribute
from sources.protocol import Json

_DISTINCT_TOGETHER: Final = 2_000_000
"""Distinct values that one query counts exactly: about 200 MB of the engine's memory for texts of 30 characters."""
_FOOTER_FILES: Final = 500
"""More footers than these are not read for null counts."""
_TOGETHER: Final = 50
"""Attributes measured in one query."""

Values = dict[str, dict[str, Json]]


async def measure(
    inquiry: Inquiry, known: Known, attributes: Sequence[Attribute], *, exact: bool, now: str
) -> Measured:
    """Measure attributes of a schema. `now`: a date as text, after which dates lie in the future."""
    rows = await count_rows(inquiry, known)
    if not exact and not is_exact_affordable(rows, len(attributes)):
        return await measure_sample(inquiry, known, attributes, rows, now)
    return await measure_all(inquiry, known, attributes, rows, now)


async def measure_all(
    inquiry: Inquiry, known: Known, attributes: Sequence[Attribute], rows: int, now: str, more: Sequence[Measure] = ()
) -> Measured:
    """Read every row. `more`: further measures of the attributes, found among the counts."""
    if rows <= SAMPLE_ROWS:
        return await _small(inquiry, known, attributes, now, more)
    return await _exact(inquiry, known, attributes, rows, now, more)


async def count_rows(inquiry: Inquiry, known: Known) -> int:
    """The rows of a schema: from the catalogue, else counted."""
    if known.schema.rows is not None:
        return known.schema.rows
    return whole((await inquiry.row(f"SELECT count(*) FROM {quoted(known.schema.name)}"))[0])


async def _small(
    inquiry: Inquiry, known: Known, attributes: Sequence[Attribute], now: str, more: Sequence[Measure]
) -> Measured:
    counts: Values = {}
    looks: Values = {}
    rows = 0
    parts = _parts(attributes)
    inquiry.steps = len(parts)
    for part in parts:
        counting = [*describe.counts(part, distinct="exact", now=now), *more]
        looking = describe.looks(part)
        source = f"SELECT {describe.columns(part)} FROM {quoted(known.schema.name)}"
        row = await inquiry.row(describe.over(source, [*counting, *looking]))
        rows = whole(row[0])
        counts |= gathered(counting, row[1 : len(counting) + 1])
        looks |= gathered(looking, row[len(counting) + 1 :])
    return Measured(rows=rows, inspected=rows, counts=counts, looks=looks)


async def _exact(
    inquiry: Inquiry, known: Known, attributes: Sequence[Attribute], rows: int, now: str, more: Sequence[Measure]
) -> Measured:
    name = known.schema.name
    parts = _parts(attributes)
    inquiry.steps = 3 * len(parts)
    counts: Values = {}
    looks: Values = {}
    sketched: set[str] = set()
    for part in parts:
        found, rows, unsure = await _counted(inquiry, name, part, rows, now, more)
        counts |= found
        sketched |= unsure
        looking = describe.looks(part)
        source = sampled(name, describe.columns(part), rows, picked=known.picked)
        looks |= gathered(looking, (await inquiry.row(describe.over(source, looking)))[1:])
    return Measured(rows=rows, inspected=rows, counts=counts, looks=looks, sketched=frozenset(sketched))


async def _counted(
    inquiry: Inquiry, name: str, part: Sequence[Attribute], rows: int, now: str, more: Sequence[Measure]
) -> tuple[Values, int, set[str]]:
    """Counts of all rows, how many rows there were, and the attributes whose distinct count stayed an estimate."""
    if rows <= EXACT_DISTINCT_ROWS:
        try:
            counting = [*describe.counts(part, distinct="exact", now=now), *more]
            row = await inquiry.row(describe.over_all(name, counting))
            return gathered(counting, row[1:]), whole(row[0]), set()
        except TooLarge:
            pass
    counting = [*describe.counts(part, distinct="sketch", now=now), *more]
    row = await inquiry.row(describe.over_all(name, counting))
    counts = gathered(counting, row[1:])
    unsure = await _sharpened(inquiry, name, part, counts)
    return counts, whole(row[0]), unsure


async def _sharpened(inquiry: Inquiry, name: str, part: Sequence[Attribute], counts: Values) -> set[str]:
    """Replace estimates by exact distinct counts, few enough values at a time. Answers what was too large."""
    unsure: set[str] = set()
    for batch in _batches(part, counts):
        counting = describe.distincts(batch)
        try:
            row = await inquiry.row(describe.over_all(name, counting))
        except TooLarge:
            unsure |= {attribute.name for attribute in batch}
            continue
        for attribute, found in gathered(counting, row[1:]).items():
            counts[attribute] |= found
    return unsure


def _batches(part: Sequence[Attribute], counts: Values) -> list[list[Attribute]]:
    batches: list[list[Attribute]] = []
    together = _DISTINCT_TOGETHER + 1
    for attribute in sorted(part, key=lambda each: whole(counts[each.name]["distinct"])):
        estimate = whole(counts[attribute.name]["distinct"])
        if together + estimate > _DISTINCT_TOGETHER:
            batches.append([])
            together = 0
        batches[-1].append(attribute)
        together += estimate
    return batches


async def measure_sample(
    inquiry: Inquiry,
    known: Known,
    attributes: Sequence[Attribute],
    rows: int,
    now: str,
    more: Sequence[Measure] = (),
    size_rows: int = SAMPLE_ROWS,
) -> Measured:
    """Read a seeded sample of `size_rows` rows, and what the footers of the files know of all rows."""
    parts = _parts(attributes)
    inquiry.steps = len(parts) + 2
    nulls, ranged = await _from_footers(inquiry, known, attributes, rows)
    counts: Values = {}
    looks: Values = {}
    inspected = rows
    for part in parts:
        counting = [*describe.counts(part, distinct="exact", now=now), *more]
        looking = describe.looks(part)
        source = sampled(known.schema.name, describe.columns(part), rows, picked=known.picked, size_rows=size_rows)
        row = await inquiry.row(describe.over(source, [*counting, *looking]))
        inspected = min(inspected, whole(row[0]))
        counts |= gathered(counting, row[1 : len(counting) + 1])
        looks |= gathered(looking, row[len(counting) + 1 :])
    return Measured(rows=rows, inspected=inspected, counts=counts, looks=looks, exact_nulls=nulls, exact_ranges=ranged)


async def _from_footers(
    inquiry: Inquiry, known: Known, attributes: Sequence[Attribute], rows: int
) -> tuple[dict[str, int], Values]:
    """Null rows and ranges of the whole schema, where the footers of its files have them all."""
    if not known.footers or len(known.files) > _FOOTER_FILES:
        return {}, {}
    names = tuple(Path(path).name for path in known.files)
    found = await inquiry.rows(describe.footers(known.files, attributes), shown=describe.footers(names, attributes))
    nulls = {
        str(name): whole(missing)
        for name, values, missing, is_complete, _ in found
        if is_complete is True and whole(values) == rows
    }
    ranged = {str(name) for name, values, _, _, is_ranged in found if is_ranged is True and whole(values) == rows}
    # The range of a real number may hide NaN, which footers leave out.
    ends = describe.ranges(each for each in attributes if each.name in ranged and family(each.type) != "real")
    if not ends:
        return nulls, {}
    row = await inquiry.row(describe.over_all(known.schema.name, ends))
    return nulls, gathered(ends, row[1:])


def _parts(attributes: Sequence[Attribute]) -> list[Sequence[Attribute]]:
    return [attributes[start : start + _TOGETHER] for start in range(0, len(attributes), _TOGETHER)]

"""Which queries a profile takes: the counts with the numbers, then values, buckets and formats together."""

from sources.duckdb import profile
from sources.duckdb.describe_rows import Measured
from sources.duckdb.describe_run import count_rows
from sources.duckdb.describe_run import measure_all
from sources.duckdb.describe_run import measure_sample
from sources.duckdb.mount_quoting import quoted
from sources.duckdb.profile_rows import Details
from sources.duckdb.profile_rows import histogram_grid
from sources.duckdb.sampling import SAMPLE_ROWS
from sources.duckdb.sampling import sampled
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_inquiry import Inquiry
from sources.errors import TooLarge
from sources.protocol import Attribute


async def measure_profile(
    inquiry: Inquiry, known: Known, attribute: Attribute, *, top: int, now: str
) -> tuple[Measured, Details]:
    """Measure one attribute, exactly as long as that takes about a second and fits into the engine's memory."""
    rows = await count_rows(inquiry, known)
    inquiry.steps = 3
    if rows <= profile.EXACT_ROWS:
        try:
            return await _exact(inquiry, known, attribute, rows, top, now)
        except TooLarge:
            pass
    return await _sampled(inquiry, known, attribute, rows, top, now)


async def _exact(
    inquiry: Inquiry, known: Known, attribute: Attribute, rows: int, top: int, now: str
) -> tuple[Measured, Details]:
    numbers = profile.numbers(attribute)
    measured = await measure_all(inquiry, known, [attribute], rows, now, numbers)
    everything = f"SELECT {quoted(attribute.name)} FROM {quoted(known.schema.name)}"
    return measured, await _details(inquiry, known, attribute, measured, everything, top)


async def _sampled(
    inquiry: Inquiry, known: Known, attribute: Attribute, rows: int, top: int, now: str
) -> tuple[Measured, Details]:
    numbers = profile.numbers(attribute)
    size_rows = profile.SAMPLE_ROWS
    measured = await measure_sample(inquiry, known, [attribute], rows, now, numbers, size_rows)
    name = known.schema.name
    source = sampled(name, quoted(attribute.name), rows, picked=known.picked, size_rows=size_rows)
    return measured, await _details(inquiry, known, attribute, measured, source, top)


async def _details(
    inquiry: Inquiry, known: Known, attribute: Attribute, measured: Measured, source: str, top: int
) -> Details:
    looked = "SELECT * FROM sampled"
    if measured.inspected > SAMPLE_ROWS:
        looked = f"SELECT * FROM sampled LIMIT {SAMPLE_ROWS}"
        if not measured.is_sample:
            looked = sampled(known.schema.name, quoted(attribute.name), measured.rows, picked=known.picked)
    grid = histogram_grid(attribute, measured)
    sql = profile.details(attribute, source, looked, top=top, histogram=grid)
    values, buckets, formats = await inquiry.row(sql)
    return Details(top=values, buckets=buckets, formats=formats)

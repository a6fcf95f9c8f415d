"""What is said about an answer: how it came about, and what to do next."""

from collections.abc import Sequence
from typing import Final

from sources.duckdb.describe_rows import Measured
from sources.duckdb.engine import Rows
from sources.duckdb.sampling import half_width
from sources.duckdb.sampling import wilson
from sources.duckdb.source_inquiry import Inquiry
from sources.protocol import Attribute
from sources.protocol import Interval
from sources.protocol import Provenance

_FULL: Final = 'detail="full" reads every row.'
_EXACT: Final = 'describe_schema(detail="full") counts exactly, run_query can look for a rare value.'


def provenance(
    source: str, inquiry: Inquiry, measured: Measured, shares: Sequence[Interval | None], as_of_at: float
) -> Provenance:
    """How measures came about. Of a sample the widest interval counts, or the widest a share of it can have."""
    bound = None
    if measured.is_sample:
        worst = wilson(measured.inspected // 2, measured.inspected)
        bound = max((half_width(share) for share in shares if share is not None), default=half_width(worst))
    return Provenance(
        source=source,
        queries=tuple(inquiry.queries),
        rows_inspected=measured.inspected,
        method="sample" if measured.is_sample else "exact",
        error_bound=bound,
        as_of_at=as_of_at,
        took_ms=inquiry.took_ms,
    )


def queried(source: str, text: str, rows: Rows, read: Sequence[int | None], as_of_at: float) -> Provenance:
    """How the rows of a caller's own query came about; `read`: the sizes of its schemas, as far as they are known."""
    return Provenance(
        source=source,
        queries=(text[:2_000],),
        rows_inspected=max(sum(size or 0 for size in read), len(rows.rows)),
        method="exact",
        as_of_at=as_of_at,
        truncated=rows.cut,
        took_ms=rows.took_ms,
    )


def description_hints(measured: Measured, *, exact: bool) -> tuple[str, ...]:
    """What to do next about a description."""
    if measured.rows == 0:
        return ("The schema has no rows.",)
    if measured.is_sample:
        return (f"Measured on a sample of {measured.inspected} rows: distinct counts are lower bounds; {_FULL}",)
    if measured.sketched:
        named = ", ".join(sorted(measured.sketched)[:3])
        why = "counting them exactly needs more memory than the engine may use"
        return (f"Distinct counts of {named} are estimates: {why}.",) if exact else ()
    return ()


def profile_hints(attribute: Attribute, measured: Measured) -> tuple[str, ...]:
    """What to do next about a profile."""
    if measured.rows == 0:
        return ("The schema has no rows.",)
    if measured.is_sample:
        return (f"Measured on a sample of {measured.inspected} rows: the distinct count is a lower bound; {_EXACT}",)
    if attribute.name in measured.sketched:
        return ("The distinct count is an estimate: an exact one needs more memory than the engine may use.",)
    return ()

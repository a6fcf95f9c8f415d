"""When rows are sampled, which rows are picked, and how wrong a share can be."""

import math
from typing import Final

from sources.duckdb.mount_quoting import PICK
from sources.duckdb.mount_quoting import ROWS_SCHEMA
from sources.duckdb.mount_quoting import SEED
from sources.duckdb.mount_quoting import quoted
from sources.protocol import Interval

SAMPLE_ROWS: Final = 20_000
"""Rows of a sample: shares are then known to 0.7 percentage points at worst. Source: Wilson interval at share 0.5."""
EXACT_CELLS: Final = 40_000_000
"""Rows x attributes that are measured exactly without being asked: about one second with exact distinct counts.

Source: measured on two cores, exact count(distinct) of 160 M cells of Parquet took 2.6 s, the one pass 0.95 s.
"""
EXACT_DISTINCT_ROWS: Final = 2_000_000
"""Up to this many rows all distinct counts are taken in the one pass; above it each needs the engine's memory alone."""

_Z: Final = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def is_exact_affordable(rows: int, attributes: int) -> bool:
    """Whether an exact answer takes about a second at most."""
    return rows * attributes <= EXACT_CELLS


def sampled(schema: str, columns: str, rows: int, *, picked: bool, size_rows: int = SAMPLE_ROWS) -> str:
    """A SELECT of about `size_rows` independent rows; the same ones every time as long as the files are the same.

    Picking by a hash of a row's place reads a Parquet file of 10 M x 16 in 0.5 s, where a reservoir needs 0.8 s
    (measured); system sampling would be no faster and picks neighbours, which makes binomial intervals lie.
    """
    if rows <= size_rows:
        return f"SELECT {columns} FROM {quoted(schema)}"
    if picked:
        below = size_rows * 2**64 // rows
        # Without the order the rows come in chunks of four, and each chunk costs every expression its overhead:
        # 29 s instead of 1 s for 16 attributes (measured).
        return f"SELECT {columns} FROM {ROWS_SCHEMA}.{quoted(schema)} WHERE {PICK} < {below} ORDER BY {PICK}"
    method = f"TABLESAMPLE reservoir({size_rows} ROWS) REPEATABLE ({SEED})"
    return f"SELECT {columns} FROM {quoted(schema)} {method}"


def wilson(hits: int, of: int) -> Interval:
    """The 95 % Wilson score interval of a share; `of` = 0 says nothing: 0 to 1."""
    if of == 0:
        return Interval(low=0.0, high=1.0)
    share = hits / of
    scale = 1 + _Z**2 / of
    centre = (share + _Z**2 / (2 * of)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Interval(low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))


def half_width(interval: Interval) -> float:
    """Half of the length of an interval."""
    return (interval.high - interval.low) / 2

"""What footers say is believed only where they say all of it."""

from collections.abc import Sequence

import pytest

from sources.duckdb.describe_run import measure_sample
from sources.duckdb.engine import Rows
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_inquiry import Inquiry
from sources.protocol import Attribute
from sources.protocol import Json
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import silent

pytestmark = pytest.mark.anyio

ROWS = 1_000_000


class Recorded:
    """An engine that answers footers with one row, and everything else with as many sevens as were asked for."""

    def __init__(self, footer: tuple[Json, ...]) -> None:
        self.footer = footer

    async def run(
        self,
        sql: str,
        parameters: Sequence[Json] = (),  # noqa: ARG002  # the protocol has it
        *,
        within_s: float,  # noqa: ARG002
        limit: int = 1,  # noqa: ARG002
        progress: Progress = silent,  # noqa: ARG002
    ) -> Rows:
        row = self.footer if "parquet_metadata" in sql else (7,) * (3 if "sampled" not in sql else 6)
        return Rows(columns=(), rows=(row,), more=False, cut=False, took_ms=0.0, bytes=0)


KNOWN = Known(
    schema=Schema(source="s", name="t", rows=ROWS, attributes=1, origin="t.parquet"),
    format="parquet",
    attributes=(Attribute(name="x", type="BOOLEAN"),),
    files=("t.parquet",),
    picked=True,
    footers=True,
)


@pytest.mark.parametrize(
    ("footer", "nulls", "ranged"),
    [
        (("x", ROWS, 250, True, True), {"x": 250}, {"x"}),
        (("x", ROWS, 250, False, True), {}, {"x"}),
        (("x", ROWS, 250, True, False), {"x": 250}, set[str]()),
        (("x", 2 * ROWS, 250, True, True), {}, set[str]()),
    ],
)
async def test_footers_with_gaps_are_not_believed(
    footer: tuple[Json, ...], nulls: dict[str, int], ranged: set[str]
) -> None:
    inquiry = Inquiry(engine=Recorded(footer), within_s=10, progress=silent)
    measured = await measure_sample(inquiry, KNOWN, KNOWN.attributes, ROWS, "2026-01-01")
    assert measured.exact_nulls == nulls
    assert set(measured.exact_ranges) == ranged

"""What NRDB says where there are no rows: zeros for counts, and for averages in a bucket of time."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from sources.nrdb.plan import Cell


def emptied(cells: Sequence[Cell], counted: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a bucket without rows; `counted`: what the same SQL gives for no rows at all.

    Recorded: an average, a deviation and a percentile of an empty bucket are 0, while `inspectedCount` tells that they
    stand for nothing.
    """
    return {
        **counted,
        **{cell.key: cell.placeholder for cell in cells if cell.placeholder is not None or cell.key not in counted},
    }

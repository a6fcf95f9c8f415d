"""Why a guest's query gave no rows, measured: which part of its WHERE no row passes, and what values there are."""

import duckdb

from sources.duckdb.guard import Node
from sources.duckdb.query import Fetched
from sources.duckdb.query import Window


def why(
    _cursor: duckdb.DuckDBPyConnection, _tree: Node, _found: Fetched, _window: Window, _left_s: float
) -> str | None:
    return None

"""A first NRQL statement for what a goal needs: one event type, its verified attributes, rows bounded."""

import re
from collections.abc import Mapping
from typing import Final

from tools.step_queries import ROWS
from tools.step_queries import Matched
from tools.step_queries import chosen_of
from tools.step_queries import wants_lowest

_METRIC: Final = "Metric/"
"""How the names of metrics begin that are schemas of their own."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def first_nrql(matched: Matched, question: str) -> str | None:
    """NRQL that counts, groups or measures what is needed. None: nothing that is needed can be."""
    chosen = chosen_of(matched)
    if chosen is None:
        return None
    measure, group = chosen
    name = None if measure is None else _named(measure)
    counted = "count(*)" if group is not None or name is None else f"count({name}), min({name})"
    shown = [counted] if name is None else [counted, f"average({name})", f"max({name})"]
    if group is not None and name is not None and not wants_lowest(question):
        shown = [*shown[1:], shown[0]]  # facets come in the order of the first of them, largest first
    facet = "" if group is None else f" FACET {_named(group)} LIMIT {ROWS}"
    return f"SELECT {', '.join(shown)} {_source(matched.schema, matched.values)}{facet}"


def _source(schema: str, values: Mapping[str, str]) -> str:
    parts = [f"{_named(name)} = {_literal(value)}" for name, value in values.items()]
    if schema.startswith(_METRIC):
        parts = [f"metricName = {_literal(schema.removeprefix(_METRIC))}", *parts]
        schema = "Metric"
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    return f"FROM {_named(schema)}{where}"


def _named(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"`{name}`"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

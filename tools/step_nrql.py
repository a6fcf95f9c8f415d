"""A first NRQL statement for what a goal needs: one event type, its verified attributes, rows bounded."""

from collections.abc import Mapping

from tools.step_queries import ROWS
from tools.step_queries import Matched
from tools.step_queries import chosen_of
from tools.step_queries import wants_lowest


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
    from sources.newrelic.names import place_of  # noqa: PLC0415 - as below
    from sources.nrql.text import literal  # noqa: PLC0415

    place = place_of(schema)
    parts = [] if place.metric is None else [f"metricName = {literal(place.metric)}"]
    parts += [f"{_named(name)} = {literal(value)}" for name, value in values.items()]
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    return f"FROM {_named(place.event_type)}{where}"


def _named(name: str) -> str:
    from sources.nrql.text import name_text  # noqa: PLC0415 - a language that most servers are never asked in

    return name_text(name)

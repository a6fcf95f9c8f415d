"""Which statements a description takes, and in how many rounds: counts and looks together, more only where needed."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

from sources.duckdb.describe_shown import cut
from sources.errors import UnknownAttribute
from sources.names import nearest
from sources.newrelic import describe
from sources.newrelic.answered import count
from sources.newrelic.answered import first
from sources.newrelic.answered import number
from sources.newrelic.describe import Measure
from sources.newrelic.describe_rows import Measured
from sources.newrelic.describe_rows import described
from sources.newrelic.describe_rows import hints
from sources.newrelic.inquiry import Inquiry
from sources.newrelic.looks import looked
from sources.newrelic.names import Place
from sources.newrelic.names import place_of
from sources.newrelic.names import twins
from sources.newrelic.together import both
from sources.newrelic.window import Window
from sources.newrelic.window import instant
from sources.protocol import Attribute
from sources.protocol import Description

TIME: Final = "timestamp"
_BACK_MS: Final = 30 * 86_400_000
"""How far back the newest row is looked for when the window holds none."""
_HINTS: Final = 6
_HINT_CHARS: Final = 300

Seen = Mapping[str, Sequence[Any]]


async def describe_schema(inquiry: Inquiry, schema: str, names: Sequence[str], *, exact: bool) -> Description:
    """Measure the named attributes. Raises `UnknownSchema`, `UnknownAttribute`, and what asking raises."""
    inquiry.steps = 2
    known = await inquiry.asking.catalogue.keyset_with(schema, names)
    attributes = chosen(schema, names, known)
    place = place_of(schema)
    measures = list(describe.counts(place, attributes, exact=exact))
    measured, _ = await measure(inquiry, place, attributes, known, measures)
    left_out = inquiry.asking.catalogue.left_out(schema)
    shown = await told(inquiry, measured, [*_left_out(left_out), *hints(attributes, measured)])
    return Description(
        schema=schema,
        rows=measured.rows,
        time_attribute=TIME if any(each.name == TIME for each in known) else None,
        attributes=tuple(described(each, measured) for each in attributes),
        provenance=inquiry.provenance(),
        hints=shown,
    )


def chosen(schema: str, names: Sequence[str], known: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """The named attributes, in the order of the names. Raises `UnknownAttribute`."""
    by_name = {each.name: each for each in known}
    for name in names:
        if name not in by_name:
            raise UnknownAttribute(schema, name, nearest(name, by_name))
    return tuple(by_name[name] for name in names)


async def measure(
    inquiry: Inquiry,
    place: Place,
    attributes: Sequence[Attribute],
    known: Sequence[Attribute],
    measures: Sequence[Measure],
) -> tuple[Measured, Seen]:
    """What the measures came to, and the values of the rows that were looked at. Twins are counted beside them."""
    names = [each.name for each in attributes]
    near = {name: twins(name, (each.name for each in known)) for name in names}
    more = dict.fromkeys(twin for found in near.values() for twin in found if twin not in names)
    measures = [*describe.ends(), *measures, *(describe.filled(each) for each in more)]
    texts = describe.measuring(place, measures, inquiry.window.clause)
    counted, looks = await both(inquiry.counted(texts), _looked(inquiry, place, names, inquiry.window))
    inquiry.stepped()
    found = describe.measured(place, measures, counted)
    rows = describe.row_count(counted)
    closer = _closer(inquiry.window, found, looks, rows)
    if closer is not None:
        looks = await _looked(inquiry, place, names, closer)
    values = await _with_rare(inquiry, place, describe.seen(names, looks), found)
    measured = Measured(
        place=place,
        rows=rows,
        values=found,
        looks={each.name: looked(each.type, values[each.name]) for each in attributes},
        words=await inquiry.asking.catalogue.words(place.event_type),
        twins=near,
    )
    return measured, values


async def _with_rare(inquiry: Inquiry, place: Place, values: Seen, found: describe.Values) -> Seen:
    """The values, with the newest one of each attribute that is filled so seldom that no row looked at has it."""
    rare = [name for name, seen in values.items() if not seen and count(found.get(name, {}).get("values"))]
    if not rare:
        return values
    measures = [describe.latest(each) for each in rare]
    texts = describe.measuring(place, measures, inquiry.window.clause)
    newest = describe.measured(place, measures, await inquiry.counted(texts))
    return {**values, **{name: [value] for name in rare if (value := newest[name]["latest"]) is not None}}


async def told(inquiry: Inquiry, measured: Measured, more: Iterable[str]) -> tuple[str, ...]:
    """The hints of an answer: why it is empty, else why it may be partial, and what was found."""
    if measured.rows == 0:
        return (await _emptiness(inquiry, measured.place), *inquiry.remarks)
    return tuple(cut(each, most=_HINT_CHARS) for each in [*inquiry.remarks, *more][:_HINTS])


def _left_out(number: int) -> Iterator[str]:
    if number:
        what = "attribute has a name" if number == 1 else "attributes have names"
        yield f"{number} more {what} that no statement can say (backticks, control characters or turned text)."


async def _looked(
    inquiry: Inquiry, place: Place, names: Sequence[str], window: Window
) -> tuple[Mapping[str, Any], ...]:
    texts = describe.looking(place, names, window)
    return await inquiry.looked(texts, describe.looked_shown(texts, window))


def _closer(window: Window, found: describe.Values, looks: Sequence[Mapping[str, Any]], rows: int) -> Window | None:
    """The range that the rows are really in, when most slices of the window were empty. None: look no closer."""
    first_ms, last_ms = (number(found[""].get(key)) for key in ("first", "last"))
    if first_ms is None or last_ms is None or rows <= describe.SLICE_ROWS:
        return None
    if describe.filled_slices(looks) > describe.SLICES // 2:
        return None
    begin_ms, end_ms = max(window.begin_ms, int(first_ms)), min(window.end_ms, int(last_ms) + 1)
    return Window(begin_ms=begin_ms, end_ms=end_ms) if begin_ms < end_ms else None


async def _emptiness(inquiry: Inquiry, place: Place) -> str:
    """When there was a row last: one statement over thirty days."""
    back = Window(begin_ms=inquiry.window.end_ms - _BACK_MS, end_ms=inquiry.window.end_ms)
    (container,) = await inquiry.counted([place.asked(f"latest({TIME}) AS l", rest=back.clause)])
    last_ms = number(first(container).get("l"))
    if not last_ms:
        return f"{place.schema} has no rows in the window, and none in the 30 days before its end."
    return (
        f"{place.schema} has no rows in the window; the newest of the last 30 days is of {instant(last_ms)}. "
        "run_query can look further back with SINCE."
    )

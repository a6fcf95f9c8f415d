"""Rows of a plan's steps as an NrdbResultContainer: the shapes NerdGraph sends, key by key.

Recorded: the names of keys, the scalar `facet` beside the attribute, text keys of percentiles, zeros in empty buckets.
Not recorded: how numbers of FACET are written; they stay numbers here.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import cast

from sources.nrdb.answer_empty import emptied
from sources.nrdb.plan import Cell
from sources.nrdb.plan import Plan
from sources.nrdb.plan import Row
from sources.nrdb.plan import Rows

_SPREAD: Final = ("score", "s", "t", "f", "count")


def container(plan: Plan, rows: Rows, *, missing: object = "", took_ms: float = 0.0) -> dict[str, Any]:
    """The answer. `missing`: what stands for a facet's null; NRDB says an empty text."""
    results: list[dict[str, Any]]
    other: object = None
    total: object = None
    current: object = None
    previous: object = None
    if plan.shape == "aggregate":
        results = _aggregates(plan, rows, "", missing)
        other, total = _rest(plan, rows, "rest")
        if plan.compare_ms is not None:
            current = [{**row, "comparison": "current"} for row in results]
            previous = [{**row, "comparison": "previous"} for row in _aggregates(plan, rows, "before.", missing)]
            results = [*current, *previous]
    else:
        results = _OTHERS[plan.shape](plan, rows)
    return {
        "results": results,
        "currentResults": current,
        "previousResults": previous,
        "otherResult": other,
        "totalResult": total,
        "metadata": _metadata(plan),
        "rawResponse": {"metadata": _metadata(plan), "performanceStats": _statistics(plan, rows, took_ms)},
    }


def _raw(plan: Plan, rows: Rows) -> list[dict[str, Any]]:
    keys = [cell.key for cell in plan.cells]
    found = [dict(zip(keys, row, strict=True)) for row in rows.get("rows", ())]
    if plan.whole_rows:
        return [{key: value for key, value in row.items() if value is not None} for row in found]
    return found


def _keys(plan: Plan, rows: Rows) -> list[dict[str, Any]]:
    """Attributes that have a value in the window; a cell's placeholder is the kind of its attribute."""
    counts = rows["rows"][0][1:] if rows.get("rows") else ()
    if len(counts) == 1 and not isinstance(counts[0], int):
        counts = tuple(each == "1" for each in cast("str | None", counts[0]) or "")  # one look at all of them
    return [
        {"key": cell.key, "type": cell.placeholder} for cell, count in zip(plan.cells, counts, strict=False) if count
    ]


def _types(_plan: Plan, rows: Rows) -> list[dict[str, Any]]:
    return [{"eventType": name} for name in sorted(str(row[0]) for row in rows.get("rows", ()))]


_OTHERS: Final = {"rows": _raw, "keyset": _keys, "types": _types}


def _aggregates(plan: Plan, rows: Rows, part: str, missing: object) -> list[dict[str, Any]]:
    found = rows.get(f"{part}rows", [])
    width = len(plan.facets)
    if plan.buckets is None and not width:
        return [_cells(plan.cells, found[0])]
    if plan.buckets is None:
        return _faceted(plan, rows, found, part, missing)
    if not width:
        return _timeline(plan, {cast("int", row[0]): row[1:] for row in found}, rows, part)
    lines: dict[Row, dict[int, Row]] = {}
    for row in found:
        lines.setdefault(row[:width], {})[cast("int", row[width])] = row[width + 1 :]
    return [
        {**_facet(plan, facet, missing), **point}
        for facet in (row[:width] for row in rows.get("top", ()))
        for point in _timeline(plan, lines.get(facet, {}), rows, part)
    ]


def _faceted(plan: Plan, rows: Rows, found: Sequence[Row], part: str, missing: object) -> list[dict[str, Any]]:
    """Of an earlier window the facets of the current one, in its order."""
    width = len(plan.facets)
    if part:
        by_facet = {row[:width]: row for row in found}
        empty = rows["empty"][0] if rows.get("empty") else ()
        found = [by_facet.get(row[:width], (*row[:width], *empty)) for row in rows.get("rows", ())]
    return [{**_facet(plan, row[:width], missing), **_cells(plan.cells, row[width:])} for row in found]


def _facet(plan: Plan, values: Row, missing: object) -> dict[str, Any]:
    shown = [missing if value is None else value for value in values]
    return {"facet": shown[0], plan.facets[0]: shown[0]} if len(shown) == 1 else {"facet": shown}


def _cells(cells: Sequence[Cell], values: Sequence[object]) -> dict[str, Any]:
    shown = {
        cell.key: value if cell.read is None else cell.read(value) for cell, value in zip(cells, values, strict=False)
    }
    for cell in cells:
        parts = shown.get(cell.key) if cell.is_spread else None
        if isinstance(parts, dict):  # beside what was selected, and never in its place
            shown |= {part: cast("dict[str, Any]", parts)[part] for part in _SPREAD if part not in shown}
    return shown


def _timeline(plan: Plan, points: dict[int, Row], rows: Rows, part: str) -> list[dict[str, Any]]:
    """One row for each bucket; one without rows says what NRDB says then."""
    empty = emptied(plan.cells, _cells(plan.cells, rows["empty"][0]) if rows.get("empty") else {})
    return [
        {
            **times,
            "inspectedCount": 0 if (point := points.get(place)) is None else point[-1],
            **(empty if point is None else _cells(plan.cells, point)),
        }
        for place, times in enumerate(_times(plan, part))
    ]


def _times(plan: Plan, part: str) -> Iterator[dict[str, Any]]:
    buckets = plan.buckets
    earlier_ms = (plan.compare_ms or 0) if part else 0
    for place in range(buckets.count if buckets else 0):
        begin, end = buckets.edges_ms(place) if buckets else (0, 0)
        yield {"beginTimeSeconds": (begin - earlier_ms) // 1000, "endTimeSeconds": (end - earlier_ms) // 1000}


def _rest(plan: Plan, rows: Rows, step: str) -> tuple[object, object]:
    """What the shown facets leave over, and all: objects, or with buckets lists of them."""
    if not plan.facets:
        return None, None
    lines: dict[object, dict[int, Row]] = {"other": {}, "total": {}}
    for row in rows.get(step, ()):
        which = "total" if row[0] else None if row[1] else "other"
        if which is not None:
            place, values = (cast("int", row[2]), row[3:]) if plan.buckets else (0, row[2:])
            lines[which][place] = values
    if plan.buckets is not None:
        return _timeline(plan, lines["other"], rows, ""), _timeline(plan, lines["total"], rows, "")
    nothing = rows["empty"][0] if rows.get("empty") else ()
    return _cells(plan.cells, lines["other"].get(0, nothing)), _cells(plan.cells, lines["total"].get(0, nothing))


def _metadata(plan: Plan) -> dict[str, Any]:
    begin, end = plan.window or (None, None)
    return {
        "eventTypes": list(plan.event_types),
        "facets": list(plan.facets) or None,
        "messages": [],
        "timeWindow": {
            "begin": begin,
            "end": end,
            "since": plan.told.since,
            "until": plan.told.until,
            "compareWith": plan.told.compare_with,
        },
    }


def _statistics(plan: Plan, rows: Rows, took_ms: float) -> dict[str, Any]:
    matched = _matched(plan, rows)
    looked = rows.get("inspected") or rows.get("matched")
    return {
        "inspectedCount": looked[0][-1] if looked else matched,
        "omittedCount": 0,
        "matchCount": matched,
        "wallClockTime": round(took_ms),
        "exceedsRetentionWindow": False,
    }


def _matched(plan: Plan, rows: Rows) -> int:
    """Rows that passed WHERE."""
    if rows.get("matched"):
        return cast("int", rows["matched"][0][0])
    if plan.shape == "types":
        return len(rows.get("rows", ()))
    if plan.shape == "keyset":
        return cast("int", rows["rows"][0][0]) if rows.get("rows") else 0
    if plan.facets:
        return sum(cast("int", row[-1]) for row in rows.get("rest", ()) if row[0])
    return sum(cast("int", row[-1]) for row in rows.get("rows", ()))

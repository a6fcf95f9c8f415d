"""The table that benchmarks print, and the JSON they leave for `run.py`: one row for each number that is promised."""

import argparse
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def row(
    name: str,
    value: float,
    unit: str,
    versus: str = "",
    reference: float | None = None,
    bound: float | None = None,
    *,
    least: float | None = None,
) -> Row:
    """`reference`: what `versus` took. `bound`: the most `value` may be, `least`: the least. None: not promised."""
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "versus": versus if reference is None else f"{versus} {reference:.3g} {unit}",
        "ratio": None if not reference else round(value / reference, 3),
        "bound": bound if least is None else f">= {least:g}",
        "ok": (bound is None or value <= bound) and (least is None or value >= least),
    }


def unmeasured(name: str, versus: str) -> Row:
    """A number that could not be had on this machine; `versus` says why. It fails nothing."""
    return {"name": name, "value": None, "unit": "", "versus": versus, "ratio": None, "bound": None, "ok": None}


def show(rows: list[Row]) -> None:
    """A small table for a person."""
    width = max([45, *(len(each["name"]) for each in rows)])
    print(f"{'':{width}} {'value':>10} {'unit':8} {'ratio':>8} {'bound':>9}     versus")
    for each in rows:
        value = "-" if each["value"] is None else f"{each['value']:g}"
        ratio = "" if each["ratio"] is None else f"x{each['ratio']:g}"
        bound = "" if each["bound"] is None else f"{each['bound']}"
        verdict = "" if each["bound"] is None else "ok" if each["ok"] else "OVER"
        print(f"{each['name']:{width}} {value:>10} {each['unit']:8} {ratio:>8} {bound:>9} {verdict:4} {each['versus']}")


def keep(rows: list[Row], place: Path | None) -> None:
    """Show the rows, and write them to `place` when there is one."""
    show(rows)
    if place is not None:
        place.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def asked(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark can be asked: `--json FILE`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path)
    return parser

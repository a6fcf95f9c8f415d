"""Runs every benchmark, prints one table, and keeps the numbers in bench/results.

    python bench/run.py [NAME ...]

Names are those of the files without `_bench.py`; all of them run when none is given. The exit code is 1 when a bound is
missed or a benchmark fails; one that cannot be measured here fails nothing.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
_SIZES = {"kill_bench": ("--runs", "20"), "neighbours_bench": ("--seconds", "1", "--kills", "2")}
"""What is run smaller here than by itself, so that everything takes a few minutes."""


def main(names: list[str]) -> int:
    _RESULTS.mkdir(exist_ok=True)
    files = sorted(_HERE.glob("*_bench.py"))
    chosen = [file for file in files if not names or file.stem.removesuffix("_bench") in names]
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for file in chosen:
        print(f"--- {file.stem}", flush=True)
        result = _RESULTS / f"{file.stem}.json"
        result.unlink(missing_ok=True)
        ended = subprocess.run(
            [sys.executable, str(file), "--json", str(result), *_SIZES.get(file.stem, ())], check=False
        )
        if ended.returncode or not result.exists():
            failed.append(file.stem)
        if result.exists():
            rows += json.loads(result.read_text(encoding="utf-8"))
    Console(width=None if sys.stdout.isatty() else 160).print(_table(rows))
    for name in failed:
        print(f"{name} failed")
    return 1 if failed or not chosen or any(row["ok"] is False for row in rows) else 0


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="measured")
    for heading in ("what", "value", "unit", "versus", "ratio", "bound", "holds"):
        table.add_column(heading, justify="left" if heading in {"what", "unit", "holds"} else "right")
    for row in rows:
        numbers = {key: _shown(row.get(key)) for key in ("value", "versus", "ratio", "bound")}
        table.add_row(
            str(row["name"]),
            numbers["value"],
            str(row.get("unit", "")),
            numbers["versus"],
            numbers["ratio"],
            numbers["bound"],
            {True: "yes", False: "NO", None: "-"}[row["ok"]] if row["bound"] is not None else "",
        )
    return table


def _shown(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, int | float) else str(value or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

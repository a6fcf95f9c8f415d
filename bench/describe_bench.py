"""How fast a large schema is described: against a bound, DuckDB's own SUMMARIZE, and ydata-profiling.

`python bench/describe_bench.py [--rows 10000000] [--parquet FILE] [--json FILE]`. Without `--parquet` TPC-H `lineitem`
is generated with tpchgen-cli in an environment of its own below bench/.cache. Each time is the best of three.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import venv
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sources.duckdb.engine import Engine  # noqa: E402  # a script finds the packages beside its own folder
from sources.duckdb.source import DuckDBSource  # noqa: E402

CACHE = ROOT / "bench" / ".cache"
ROWS_FOR_YDATA = 1_000_000
FIRST_ANSWER_S = 1.5
ROWS_AT_SCALE_1 = 6_001_215
"""Rows of lineitem at scale factor 1. Source: TPC-H specification 3.0.1, table 4.2.5."""
LONGEST_S = 600.0

YDATA = """
import sys, time, pandas
from ydata_profiling import ProfileReport
frame = pandas.read_parquet(sys.argv[1])
started = time.perf_counter()
ProfileReport(frame, minimal=True, progress_bar=False).get_description()
print(time.perf_counter() - started)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One number and what it was held against."""

    name: str
    value: float | None
    unit: str = "s"
    versus: float | None = None
    ratio: float | None = None
    bound: str
    ok: bool | None
    """None: it could not be measured here."""


def main() -> None:
    """Measure, print a table, write JSON when asked, and end with 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--parquet", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-ydata", action="store_true")
    asked = parser.parse_args()
    lineitem = asked.parquet or generated(asked.rows)
    results = asyncio.run(large(lineitem))
    results.append(against_ydata(lineitem, wanted=not asked.without_ydata))
    for result in results:
        print(line(result))
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    sys.exit(any(result.ok is False for result in results))


def line(result: Result) -> str:
    """A row of the table."""
    shown = {True: "ok", False: "MISSED", None: "not measured"}[result.ok]
    value = "-" if result.value is None else f"{result.value:.3f} {result.unit}"
    versus = "" if result.versus is None else f"versus {result.versus:.3f} {result.unit}"
    ratio = "" if result.ratio is None else f"ratio {result.ratio:.2f}"
    return f"{result.name:44} {value:>10} {versus:18} {ratio:13} {result.bound:12} {shown}"


async def best(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds of the fastest of three."""
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        await work()
        times.append(time.perf_counter() - started)
    return min(times)


async def large(lineitem: Path) -> list[Result]:
    """The first answer, and the exact one against SUMMARIZE with the same engine settings."""
    first_s, exact_s = await described(lineitem)
    summarize_s = await summarized(lineitem)
    ratio = exact_s / summarize_s
    return [
        Result(
            name=f"describe brief, first answer ({rows_of(lineitem):,} rows)",
            value=first_s,
            bound=f"<= {FIRST_ANSWER_S} s",
            ok=first_s <= FIRST_ANSWER_S,
        ),
        Result(
            name="describe full, exact, versus SUMMARIZE",
            value=exact_s,
            versus=summarize_s,
            ratio=ratio,
            bound="ratio <= 1",
            ok=ratio <= 1,
        ),
    ]


async def described(parquet: Path) -> tuple[float, float]:
    """Seconds of a brief and of a full description of all attributes."""
    source = DuckDBSource(paths=(parquet,))
    try:
        schema = (await source.schemas())[0].name
        names = [attribute.name for attribute in await source.attributes(schema)]

        async def describe(*, exact: bool) -> None:
            found = await source.describe(schema, names, exact=exact, within_s=LONGEST_S)
            if exact:
                assert found.provenance.method == "exact"
                assert all(attribute.distinct_is_exact for attribute in found.attributes)

        return await best(lambda: describe(exact=False)), await best(lambda: describe(exact=True))
    finally:
        await source.aclose()


async def summarized(parquet: Path) -> float:
    """Seconds of SUMMARIZE of the same view in the same kind of worker."""
    statements = [f"CREATE VIEW lineitem AS SELECT * FROM read_parquet('{parquet}')"]
    engine = Engine(mount={"statements": [*statements]}, readable=(str(parquet),), workers=1)
    try:
        await engine.ready()
        return await best(lambda: engine.run("SUMMARIZE lineitem", within_s=LONGEST_S))
    finally:
        await engine.aclose()


def against_ydata(lineitem: Path, *, wanted: bool) -> Result:
    """A full description of a million rows against ydata-profiling in its minimal mode."""
    name, bound = "describe full at 1 M rows versus ydata minimal", "ratio >= 20"
    python = ydata_python() if wanted else None
    if python is None:
        return Result(name=name, value=None, bound=bound, ok=None)
    small = CACHE / "lineitem_1m.parquet"
    CACHE.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        chosen = f"SELECT * FROM read_parquet('{lineitem}') LIMIT {ROWS_FOR_YDATA}"
        connection.execute(f"COPY ({chosen}) TO '{small}' (FORMAT parquet)")
    runs = [subprocess.run([python, "-c", YDATA, small], capture_output=True, text=True, check=False) for _ in range(3)]
    times = [float(run.stdout.split()[-1]) for run in runs if run.returncode == 0]
    if not times:
        print(runs[0].stderr[-500:])
        return Result(name=name, value=None, bound=bound, ok=None)
    _, exact_s = asyncio.run(described(small))
    ratio = min(times) / exact_s
    return Result(name=name, value=exact_s, versus=min(times), ratio=ratio, bound=bound, ok=ratio >= 20)


def ydata_python() -> Path | None:
    """The interpreter of an environment that has ydata-profiling, or None when it cannot be had."""
    python = environment("ydata")
    wanted = ["ydata-profiling", "setuptools<81", "pyarrow"]
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=False)
    return python if done.returncode == 0 else None


def generated(rows: int) -> Path:
    """TPC-H lineitem with about that many rows, generated once."""
    folder = CACHE / f"tpch_{rows}"
    target = folder / "lineitem.parquet"
    if not target.exists():
        python = environment("tpchgen")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "tpchgen-cli"], check=True)
        command = next(python.parent.glob("tpchgen-cli*"))
        scale = f"{rows / ROWS_AT_SCALE_1:.4f}"
        options = ["parquet", "--scale-factor", scale, "--tables", "lineitem", "--output-dir", folder]
        subprocess.run([command, *options], check=True)
    return target


def environment(name: str) -> Path:
    """The interpreter of a virtual environment below the cache, made when it is not there."""
    folder = CACHE / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    return python


def rows_of(parquet: Path) -> int:
    """Rows by the footer."""
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*) FROM read_parquet('{parquet}')").fetchone()
    return 0 if found is None else int(found[0])


if __name__ == "__main__":
    main()

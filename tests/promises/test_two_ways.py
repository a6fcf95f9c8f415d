"""The same question, two ways: over files, and over New Relic as far as it can be simulated. The facts are the same.

The bundled sample and the files of this Python are always there; public data sets are used where a checkout has them
beside it.
"""

import csv
import sys
import sysconfig
from collections.abc import AsyncGenerator
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sources.duckdb.source import bundled_sample
from tests.two_ways import NUMBERS
from tests.two_ways import Both
from tests.two_ways import differences_of_description
from tests.two_ways import differences_of_profile
from tests.two_ways import seen_twice

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"
_PUBLIC = ("sakila", "nycflights13", "gtfs_cairns")
_PROFILED = 6
"""Attributes of each schema that are profiled, so that this takes seconds."""


def _python_files(folder: Path) -> Path:
    """The standard library as data: real sizes, times and names, the same on every run on one machine."""
    library = Path(sysconfig.get_path("stdlib"))
    found = sorted(path for path in library.rglob("*.py") if "site-packages" not in path.parts)[:3_000]
    with (folder / "modules.csv").open("w", newline="", encoding="utf-8") as out:
        write = csv.writer(out)
        write.writerow(["path", "package", "size_bytes", "depth", "is_test", "modified_at"])
        for path in found:
            place = path.relative_to(library)
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S")
            size = path.stat().st_size
            write.writerow([place.as_posix(), place.parts[0], size, len(place.parts), "test" in place.parts, at])
    with (folder / "packages.csv").open("w", newline="", encoding="utf-8") as out:
        write = csv.writer(out)
        write.writerow(["package", "builtin"])
        write.writerows([name, name in sys.builtin_module_names] for name in sorted(sys.stdlib_module_names))
    return folder


def _folders() -> Iterator[Any]:
    yield pytest.param("sample", id="bundled sample")
    yield pytest.param("python", id="files of this Python")
    for name in _PUBLIC:
        missing = pytest.mark.skipif(not (_SHARED / name).is_dir(), reason=f"the data set {name} is not beside it")
        yield pytest.param(name, id=name, marks=missing)


@pytest.fixture(params=_folders())
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Both]:
    data = tmp_path / "data"
    data.mkdir()
    match request.param:
        case "sample":
            folder = bundled_sample()
        case "python":
            folder = _python_files(data)
        case name:
            for file in (_SHARED / name).glob("*.parquet"):
                (data / file.name).symlink_to(file)
            folder = data
    async with seen_twice(folder, tmp_path) as found:
        yield found


async def _schemas(both: Both) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    near, far = await both.ask("list_schemas", limit=100)
    pairs = {each["schema"]: each for each in far["schemas"]}
    return {each["schema"]: (each, pairs[each["schema"]]) for each in near["schemas"] if each["schema"] in pairs}


async def test_both_list_the_same_schemas_with_as_many_rows(both: Both) -> None:
    near, far = await both.ask("list_schemas", limit=100)
    filled = {each["schema"]: each.get("rows") for each in near["schemas"] if each.get("rows") != 0}
    assert {each["schema"]: each["rows"] for each in far["schemas"]} == filled
    assert far["provenance"]["window"]


async def test_both_describe_every_attribute_alike(both: Both) -> None:
    told: list[str] = []
    for schema, (listed, _) in (await _schemas(both)).items():
        near = await both.described("duckdb", schema, "full")
        far = await both.described("newrelic", schema, "full")
        assert near.keys() - far.keys() == set(), schema
        assert far.keys() - near.keys() <= {"timestamp"}, schema
        for name, each in near.items():
            told += [f"{schema}.{line}" for line in differences_of_description(each, far[name], listed["rows"])]
    assert told == []


async def test_both_profile_attributes_alike(both: Both) -> None:
    told: list[str] = []
    for schema in await _schemas(both):
        described = await both.described("duckdb", schema, "brief")
        plain = [name for name, each in described.items() if each["type"].startswith(("VARCHAR", "BOOLEAN", *NUMBERS))]
        for name in plain[:_PROFILED]:
            near, far = await both.ask("profile_attribute", schema=schema, attribute=name, top=5)
            told += differences_of_profile(near, far)
    assert told == []


async def test_the_same_question_in_sql_and_in_nrql_has_the_same_answer(both: Both) -> None:
    for schema in await _schemas(both):
        described = await both.described("duckdb", schema, "brief")
        texts = [name for name, each in described.items() if each["type"] == "VARCHAR"]
        numbers = [name for name, each in described.items() if each["type"].startswith(NUMBERS)]
        for question in _questions(schema, texts[:2], numbers[:2]):
            over_files = await both.call("run_query", source="duckdb", query=question[0])
            far = await both.call("run_query", source="newrelic", query=question[1])
            on_files = await both.call("run_query", source="duckdb", dialect="nrql", query=question[2])
            assert _values(far) == _values(over_files), question
            assert _values(on_files) == _values(over_files), question


def _questions(schema: str, texts: list[str], numbers: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each in SQL, in NRQL for the account, and in NRQL for files, where all rows are read without SINCE."""
    source = f'FROM "{schema}"'
    far = f"FROM `{schema}`"
    whole = "SINCE 396 days ago"
    yield f"SELECT count(*) {source}", f"SELECT count(*) {far} {whole}", f"SELECT count(*) {far}"
    for name in numbers:
        shown = f'min("{name}"), max("{name}"), sum("{name}")::DOUBLE, count("{name}")'
        asked = f"min(`{name}`), max(`{name}`), sum(`{name}`), count(`{name}`)"
        yield f"SELECT {shown} {source}", f"SELECT {asked} {far} {whole}", f"SELECT {asked} {far}"
        above = f"SELECT count(*) {far} WHERE `{name}` > 100"
        yield f'SELECT count(*) {source} WHERE "{name}" > 100', f"{above} {whole}", above
    for name in texts:
        missing = f"SELECT count(*) {far} WHERE `{name}` IS NULL"
        yield f'SELECT count(*) {source} WHERE "{name}" IS NULL', f"{missing} {whole}", missing
        matching = f"SELECT count(*) {far} WHERE `{name}` LIKE '%a%' AND `{name}` NOT IN ('x', 'y')"
        # NRQL's LIKE knows no case
        sql = f"SELECT count(*) {source} WHERE \"{name}\" ILIKE '%a%' AND \"{name}\" NOT IN ('x', 'y')"
        yield sql, f"{matching} {whole}", matching


def _values(answer: dict[str, Any]) -> list[list[Any]]:
    return [[round(value, 6) if isinstance(value, float) else value for value in row] for row in answer["rows"]]

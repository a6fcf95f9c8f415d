"""Promise: whatever a file holds, and however it is named, describing and profiling it gives a right answer."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.mount_quoting import quoted
from sources.duckdb.source import DuckDBSource
from sources.protocol import AttributeDescription
from sources.protocol import Json
from sources.protocol import Profile

pytestmark = pytest.mark.anyio

SPIKY = ("NaN", "Infinity", "-Infinity")


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[DuckDBSource]:
    source = DuckDBSource(paths=(path,))
    source.prestart()
    try:
        async with asyncio.timeout(60):
            yield source
    finally:
        await source.aclose()


def stored(path: Path, *statements: str) -> Path:
    with duckdb.connect(path) as store:
        for statement in statements:
            store.execute(statement)
    return path


async def measured(source: DuckDBSource, schema: str, attribute: str) -> tuple[AttributeDescription, Profile]:
    brief = await source.describe(schema, [attribute], exact=True, within_s=20)
    profile = await source.profile(schema, attribute, top=6, within_s=20)
    text = json.dumps([list(brief.attributes[0].examples), profile.quantiles, profile.mean], allow_nan=False)
    assert json.loads(text) is not None
    return brief.attributes[0], profile


LONG = "1234567890123456789012345678.0123456789"
TYPES: list[tuple[str, str, int, int, Json, Json]] = [
    # type, values, nulls, distinct, min, max
    ("TINYINT", "(-128), (127), (NULL)", 1, 2, -128, 127),
    ("BIGINT", "(9223372036854775807), (-9223372036854775808)", 0, 2, "-9223372036854775808", "9223372036854775807"),
    ("UBIGINT", "(18446744073709551615), (0)", 0, 2, 0, "18446744073709551615"),
    ("HUGEINT", "(170141183460469231731687303715884105727), (1)", 0, 2, 1, "170141183460469231731687303715884105727"),
    ("DECIMAL(38,10)", "(1.0000000001), (-2.5)", 0, 2, -2.5, 1.0000000001),
    (
        "DECIMAL(38,10)",
        "(1234567890123456789012345678.0123456789)",
        0,
        1,
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    ("DOUBLE", "('NaN'), (1.5), (2.5), (NULL)", 1, 3, 1.5, 2.5),
    ("DOUBLE", "('NaN'), ('NaN')", 0, 1, None, None),
    ("DOUBLE", "('Infinity'), ('-Infinity'), (0)", 0, 3, "-Infinity", "Infinity"),
    ("DOUBLE", "(1.7e308), (-1.7e308), (0)", 0, 3, -1.7e308, 1.7e308),
    ("FLOAT", "(0.1), (0.2)", 0, 2, 0.1, 0.2),
    ("BOOLEAN", "(true), (false), (NULL)", 1, 2, False, True),
    ("DATE", "('2020-01-01'), ('0044-03-15 (BC)')", 0, 2, "0044-03-15 (BC)", "2020-01-01"),
    ("DATE", "('infinity'), ('-infinity'), ('2020-01-01')", 0, 3, "-infinity", "infinity"),
    ("TIMESTAMP", "('2020-01-01'), ('290000-01-01')", 0, 2, "2020-01-01T00:00:00", "290000-01-01T00:00:00"),
    ("TIMESTAMPTZ", "('2020-01-01 00:00:00+02'), (NULL)", 1, 1, "2019-12-31T22:00:00Z", "2019-12-31T22:00:00Z"),
    (
        "TIMESTAMP_NS",
        "('2020-01-01 00:00:00.123456789')",
        0,
        1,
        "2020-01-01T00:00:00.123456789",
        "2020-01-01T00:00:00.123456789",
    ),
    ("TIMESTAMP_S", "('2020-01-01')", 0, 1, "2020-01-01T00:00:00", "2020-01-01T00:00:00"),
    ("TIME", "('10:00'), ('24:00:00')", 0, 2, "10:00:00", "24:00:00"),
    ("TIMETZ", "('10:00:00+00')", 0, 1, "10:00:00+00", "10:00:00+00"),
    ("INTERVAL", "(INTERVAL 1 DAY), (INTERVAL 1 MONTH)", 0, 2, "1 day", "1 month"),
    ("VARCHAR", "(''), ('x'), (NULL), (repeat('é', 500))", 1, 3, "", "é" * 79 + "…"),
    ("VARCHAR", "('a' || chr(7) || 'b')", 0, 1, "ab", "ab"),
    (
        "UUID",
        "('5d324efc-fa65-4393-8747-01ef2988631d')",
        0,
        1,
        "5d324efc-fa65-4393-8747-01ef2988631d",
        "5d324efc-fa65-4393-8747-01ef2988631d",
    ),
    ("ENUM('z', 'a')", "('z'), ('a'), ('z')", 0, 2, "a", "z"),
    ("JSON", """('{"a": 1}'), (NULL)""", 1, 1, None, None),
    ("BLOB", "('\\x00\\xFF'), (NULL)", 1, 1, None, None),
    ("BIT", "('0101')", 0, 1, "0101", "0101"),
    ("INTEGER[]", "([1, 2]), ([1, 2]), ([]), (NULL)", 1, 2, None, None),
    ("INTEGER[2]", "([1, 2])", 0, 1, None, None),
    ("STRUCT(a INTEGER, b VARCHAR[])", "({'a': 1, 'b': ['x']}), ({'a': NULL, 'b': NULL})", 0, 2, None, None),
    ("MAP(VARCHAR, INTEGER)", "(MAP {'k': 1}), (MAP {})", 0, 2, None, None),
    ("UNION(n INTEGER, t VARCHAR)", "(1), ('x')", 0, 2, None, None),
]


@pytest.fixture(scope="module")
def every_type(tmp_path_factory: pytest.TempPathFactory) -> Path:
    statements = [
        f"CREATE TABLE t{number} (v {kind}); INSERT INTO t{number} VALUES {values}"
        for number, (kind, values, *_) in enumerate(TYPES)
    ]
    return stored(tmp_path_factory.mktemp("types") / "types.duckdb", *statements)


async def test_every_type_is_measured_right(every_type: Path) -> None:
    wrong: list[object] = []
    async with opened(every_type) as source:
        for number, (kind, values, nulls, distinct, low, high) in enumerate(TYPES):
            brief, profile = await measured(source, f"t{number}", "v")
            found = (round(brief.null_share * profile.rows), brief.distinct, brief.min, brief.max)
            if found != (nulls, distinct, low, high) or not brief.distinct_is_exact:
                wrong.append((kind, values, found))
            if (profile.distinct, profile.min, profile.max) != (distinct, low, high):
                wrong.append((kind, values, profile))
            if sum(top.rows for top in profile.top_values) != profile.rows - nulls:
                wrong.append((kind, values, profile.top_values))
            if len(brief.examples) != distinct:
                wrong.append((kind, values, brief.examples))
    assert wrong == []


NAMES = [
    "select",
    "a.b",
    'quo"te',
    "it's",
    "sp ace",
    " ",
    "ünï😀",
    "UPPER",
    "v",
    "n",
    "sampled",
    "uds_pick",
    "1st",
    "a;b--c",
    "x" * 200,
    "$1",
    "%s{}",
    "back\\slash",
]


async def test_every_name_of_an_attribute_survives(tmp_path: Path) -> None:
    columns = ", ".join(f"{number} AS {quoted(name)}" for number, name in enumerate(NAMES))
    path = tmp_path / "names.parquet"
    stored(tmp_path / "scratch.tmp", f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)")
    async with opened(path) as source:
        assert [attribute.name for attribute in await source.attributes("names")] == NAMES
        found = await source.describe("names", NAMES, exact=False, within_s=20)
        assert [attribute.max for attribute in found.attributes] == list(range(len(NAMES)))
        for number, name in enumerate(NAMES):
            profile = await source.profile("names", name, top=1, within_s=20)
            assert (profile.min, profile.top_values[0].value) == (number, number)


async def test_every_name_of_a_schema_survives(tmp_path: Path) -> None:
    statements = [f"CREATE TABLE {quoted(name)} AS SELECT {number} AS a" for number, name in enumerate(NAMES)]
    async with opened(stored(tmp_path / "names.duckdb", *statements)) as source:
        assert {schema.name for schema in await source.schemas()} == set(NAMES)
        for number, name in enumerate(NAMES):
            brief, profile = await measured(source, name, "a")
            assert (brief.max, profile.max) == (number, number)
            table = await source.query(f"SELECT a FROM {quoted(name)}", limit=1, within_s=20)
            assert (table.rows, table.schemas) == (((number,),), (name,))


async def test_an_empty_table_and_all_null_attributes_have_no_values_and_no_crash(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "bare.duckdb",
        "CREATE TABLE bare (i BIGINT, t VARCHAR, d DATE, r DOUBLE, l INTEGER[])",
        "CREATE TABLE hollow AS SELECT * FROM bare; INSERT INTO hollow VALUES (NULL, NULL, NULL, NULL, NULL)",
    )
    async with opened(path) as source:
        for schema, flags in (("bare", ()), ("hollow", ("all_null",))):
            for attribute in "itdrl":
                brief, profile = await measured(source, schema, attribute)
                assert (brief.distinct, brief.examples, brief.min, brief.flags) == (0, (), None, flags)
                assert (profile.top_values, profile.mean, profile.max) == ((), None, None)
        assert (await source.describe("bare", [], exact=False, within_s=5)).hints == ("The schema has no rows.",)


async def test_a_table_of_two_thousand_attributes_is_described_in_pages(tmp_path: Path) -> None:
    columns = ", ".join(f"{number} AS c{number}" for number in range(2000))
    async with opened(stored(tmp_path / "wide.duckdb", f"CREATE TABLE wide AS SELECT {columns}")) as source:
        names = [attribute.name for attribute in await source.attributes("wide")]
        assert len(names) == 2000
        found = await source.describe("wide", names[1900:], exact=False, within_s=20)
        assert [attribute.max for attribute in found.attributes] == list(range(1900, 2000))
        assert len(found.provenance.queries) <= 4
        assert all(len(query) <= 2000 for query in found.provenance.queries)


async def test_numbers_that_are_not_finite_stay_out_of_means_and_buckets(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "spiky.duckdb",
        "CREATE TABLE s AS SELECT unnest(['1', '2', '3', 'NaN', 'Infinity', '-Infinity'])::DOUBLE AS v",
    )
    async with opened(path) as source:
        brief, profile = await measured(source, "s", "v")
    assert brief.flags == ("unique", "has_nan", "has_infinity")
    assert (profile.mean, profile.stddev) == (2.0, 1.0)
    assert profile.quantiles is not None
    assert profile.quantiles["p50"] == 2.0
    assert profile.histogram is not None
    assert sum(bucket.rows for bucket in profile.histogram) == 3
    shown = [top.value for top in profile.top_values]
    assert all(value in shown for value in SPIKY)
    assert profile.stddev is not None
    assert math.isfinite(profile.stddev)


async def test_texts_that_stand_for_something_else_are_told(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "texts.duckdb",
        "CREATE TABLE t AS SELECT if(i % 5 = 0, 'N/A', 'ok') AS gap, format('u{}@x.org', i) AS mail, "
        "format('1,{}', 100 + i) AS amount, format('{}.01.2020', 1 + i % 28) AS happened, "
        "format('10.0.0.{}', i) AS host, format('http://x.org/{}', i) AS site, format('fe80::{:x}', i) AS peer, "
        "format('08:30:{:02d}', i) AS starts, format('00:1A:2B:3C:4D:{:02X}', i) AS card FROM range(50) r(i)",
    )
    async with opened(path) as source:
        names = [attribute.name for attribute in await source.attributes("t")]
        found = await source.describe("t", names, exact=False, within_s=20)
    told = {attribute.name: (attribute.semantic_type, attribute.flags) for attribute in found.attributes}
    assert told["gap"] == ("category", ("sentinel_values",))
    assert told["mail"][0] == "email"
    assert told["site"][0] == "url"
    assert told["host"] == told["peer"] == ("ip", ("unique",))
    assert told["starts"][0] is told["card"][0] is None, "times and cards are no addresses"
    assert "numbers_as_text" in told["amount"][1]
    assert "dates_as_text" in told["happened"][1]

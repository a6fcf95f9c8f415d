"""The guard allows exactly one read-only query over known schemas, and says what to write instead.

Promise: untrusted SQL reads the attached data and does nothing else.
"""

from collections.abc import Callable
from collections.abc import Iterator

import duckdb
import pytest

from sources.duckdb.guard import Rejected
from sources.duckdb.guard import Verdict
from sources.duckdb.guard import judge
from sources.duckdb.guard_words import DENIED
from sources.duckdb.guard_words import TABLE_FUNCTIONS
from sources.duckdb.guard_words import VOLATILE
from sources.duckdb.guard_words import denied

Judge = Callable[[str], Verdict]
RELATIONS = {"flights": "flights", "we ird.näme": "We Ird.Näme", "airlines": "airlines"}

ALLOWED = {
    "plain": ("SELECT * FROM flights", {"flights"}),
    "trailing semicolon and comment": ("SELECT 1 FROM flights; -- done", {"flights"}),
    "several semicolons": ("SELECT 1;;", set[str]()),
    "block comment": ("/* a; b */ SELECT 1 /* ' */ FROM flights", {"flights"}),
    "from first": ("FROM flights", {"flights"}),
    "from first with select": ("FROM flights SELECT carrier WHERE delay > 3", {"flights"}),
    "other case": ("select * from FLIGHTS", {"flights"}),
    "quoted unicode name, other ascii case": ('SELECT * FROM "we ird.NäME"', {"We Ird.Näme"}),
    "qualified": ("SELECT * FROM main.flights, memory.main.airlines", {"flights", "airlines"}),
    "describe": ("DESCRIBE flights", {"flights"}),
    "describe a query": ("DESCRIBE SELECT * FROM flights", {"flights"}),
    "summarize": ("SUMMARIZE flights", {"flights"}),
    "show a schema": ("SHOW flights", {"flights"}),
    "show tables": ("SHOW TABLES", set[str]()),
    "values": ("VALUES (1, 'a'), (2, 'b')", set[str]()),
    "cte": ("WITH x AS (SELECT * FROM flights) SELECT * FROM x", {"flights"}),
    "cte shadows a schema": ("WITH flights AS (SELECT 1) FROM flights", set[str]()),
    "later cte sees earlier": ("WITH a AS (SELECT 1), b AS (FROM a) SELECT * FROM b", set[str]()),
    "materialized cte": ("WITH a AS MATERIALIZED (FROM flights) FROM a", {"flights"}),
    "recursive cte": ("WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < 9) FROM r", set[str]()),
    "subqueries": (
        "SELECT (SELECT max(a) FROM airlines) FROM flights WHERE x IN (FROM airlines)",
        {"airlines", "flights"},
    ),
    "joins": (
        "FROM flights JOIN airlines USING (carrier) ASOF JOIN flights f ON f.t >= flights.t",
        {"airlines", "flights"},
    ),
    "lateral": ("SELECT * FROM flights f, LATERAL (SELECT f.a + 1)", {"flights"}),
    "union": ("SELECT a FROM flights UNION ALL BY NAME SELECT b FROM airlines", {"flights", "airlines"}),
    "windows": ("SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS 3 PRECEDING) FROM flights", {"flights"}),
    "qualify": ("FROM flights QUALIFY row_number() OVER (PARTITION BY a) = 1", {"flights"}),
    "lambda": ("SELECT list_transform([1, 2], lambda x: x + 1)", set[str]()),
    "list comprehension": ("SELECT [x * 2 FOR x IN [1, 2] IF x > 1]", set[str]()),
    "grouping sets": (
        "SELECT a, count(*) FROM flights GROUP BY GROUPING SETS ((a), ()) HAVING count(*) > 1",
        {"flights"},
    ),
    "filter": ("SELECT sum(x) FILTER (WHERE y) FROM flights", {"flights"}),
    "casts": (
        "SELECT a::DECIMAL(10,2), TRY_CAST(b AS STRUCT(x INT, y VARCHAR[])), c::ENUM('a', 'b') FROM flights",
        {"flights"},
    ),
    "order and limit": ("FROM flights ORDER BY a DESC NULLS LAST LIMIT 10% OFFSET 3", {"flights"}),
    "distinct on": ("SELECT DISTINCT ON (a) a, b FROM flights ORDER BY b", {"flights"}),
    "star options": ("SELECT * EXCLUDE (a) REPLACE (b + 1 AS b), COLUMNS('c.*') FROM flights", {"flights"}),
    "unpivot": ("UNPIVOT flights ON a, b", {"flights"}),
    "range": ("FROM range(10) t(i), generate_series(1, 3), unnest([1, 2])", set[str]()),
    "json": ("SELECT key FROM json_each('{\"a\": 1}')", set[str]()),
    "method call": ("SELECT carrier.lower().trim() FROM flights", {"flights"}),
    "struct access": ("SELECT flights.s.x[1:2], s['x'] FROM flights", {"flights"}),
    "collate": ("SELECT a COLLATE nocase FROM flights", {"flights"}),
    "text that looks like a statement": ("SELECT 'DROP TABLE flights; --' AS a FROM flights", {"flights"}),
    "dollar quotes": ("SELECT $$it's; fine$$", set[str]()),
    "positional": ("SELECT a FROM flights GROUP BY 1 ORDER BY #1", {"flights"}),
    "type of": ("SELECT typeof(1), pg_typeof(2), version()", set[str]()),
}

REFUSED = {
    "empty": "",
    "only a comment": "-- nothing",
    "only semicolons": ";;",
    "two statements": "SELECT 1; SELECT 2",
    "hidden second statement": "SELECT 1; /* */ DROP TABLE flights",
    "delete": "DELETE FROM flights",
    "delete in a cte": "WITH d AS (DELETE FROM flights RETURNING *) SELECT * FROM d",
    "insert in a cte": "WITH d AS (INSERT INTO flights VALUES (1) RETURNING *) FROM d",
    "update in a cte": "WITH d AS (UPDATE flights SET a = 1 RETURNING *) FROM d",
    "copy in a cte": "WITH d AS (COPY flights TO 'f.csv') SELECT * FROM d",
    "merge in a cte": "WITH d AS (MERGE INTO flights USING a ON true WHEN MATCHED THEN DELETE RETURNING *) FROM d",
    "delete in a nested cte": "SELECT * FROM (WITH d AS (DELETE FROM flights RETURNING *) SELECT * FROM d)",
    "delete in an expression": "SELECT (WITH d AS (DELETE FROM flights RETURNING a) SELECT max(a) FROM d)",
    "delete in a union": "SELECT 1 UNION ALL (WITH d AS (DELETE FROM flights RETURNING 1) FROM d)",
    "explain analyze": "EXPLAIN ANALYZE DELETE FROM flights",
    "explain": "EXPLAIN SELECT 1",
    "update extensions": "UPDATE EXTENSIONS",
    "insert": "INSERT INTO flights VALUES (1)",
    "create table": "CREATE TABLE x AS SELECT 1",
    "create temp table": "CREATE TEMP TABLE x AS SELECT 1",
    "create macro": "CREATE MACRO upper(x) AS 'spoof'",
    "create temp macro": "CREATE TEMP MACRO upper(x) AS 'spoof'",
    "create secret": "CREATE SECRET s (TYPE s3)",
    "drop": "DROP VIEW flights",
    "alter": "ALTER TABLE flights ADD COLUMN x INT",
    "set": "SET threads = 8",
    "set variable": "SET VARIABLE x = 1",
    "reset": "RESET threads",
    "pragma": "PRAGMA database_list",
    "attach": "ATTACH 'x.duckdb'",
    "attach memory": "ATTACH ':memory:' AS m",
    "detach": "DETACH memory",
    "use": "USE memory",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "call": "CALL pragma_version()",
    "checkpoint": "CHECKPOINT",
    "copy out": "COPY flights TO 'f.csv'",
    "copy in": "COPY flights FROM 'f.csv'",
    "export": "EXPORT DATABASE 'x'",
    "import": "IMPORT DATABASE 'x'",
    "vacuum": "VACUUM",
    "begin": "BEGIN TRANSACTION",
    "prepare": "PREPARE p AS SELECT 1",
    "execute": "EXECUTE p",
    "pivot": "PIVOT flights ON a USING sum(b)",
    "file as a table": "SELECT * FROM 'file.csv'",
    "file as a quoted table": 'SELECT * FROM "/etc/passwd.csv"',
    "url as a table": "FROM 'https://example.com/x.parquet'",
    "unknown schema": "SELECT * FROM nosuch",
    "python variable": "SELECT * FROM secret_frame",
    "foreign catalog": "SELECT * FROM other.main.flights",
    "foreign schema": "SELECT * FROM information_schema.tables",
    "pg catalog": "SELECT * FROM pg_catalog.pg_tables",
    "engine catalog": "SELECT * FROM duckdb_tables",
    "sqlite master": "SELECT * FROM sqlite_master",
    "cte out of scope": "SELECT * FROM (WITH hidden AS (SELECT 1) FROM hidden), hidden",
    "cte name with a qualifier": "WITH x AS (SELECT 1) SELECT * FROM main.x",
    "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_blob": "FROM read_blob('/etc/*')",
    "read_parquet, other case": "FROM Read_Parquet('x')",
    "glob": "FROM glob('/*')",
    "sniff_csv": "FROM sniff_csv('x')",
    "parquet metadata": "FROM parquet_metadata('x')",
    "query": "FROM query('DELETE FROM flights')",
    "query_table": "FROM query_table('flights')",
    "serialized sql": "FROM json_execute_serialized_sql('{}')",
    "engine settings": "FROM duckdb_settings()",
    "engine secrets": "FROM duckdb_secrets()",
    "pragma function": "FROM pragma_table_info('flights')",
    "function in a lateral": "SELECT * FROM flights, LATERAL (FROM read_csv('x'))",
    "qualified table function": "FROM other.main.range(3)",
    "current_setting": "SELECT current_setting('memory_limit')",
    "getenv": "SELECT getenv('HOME')",
    "getvariable": "SELECT getvariable('x')",
    "sleep": "SELECT sleep_ms(1000)",
    "pg_sleep": "SELECT pg_sleep(1)",
    "qualified scalar": "SELECT main.sleep_ms(10)",
    "quoted scalar": 'SELECT "SLEEP_MS"(10)',
    "write_log": "SELECT write_log('x')",
    "setseed": "SELECT setseed(0.5)",
    "nextval": "SELECT nextval('s')",
    "currval": "SELECT currval('s')",
    "scalar inside order by": "FROM flights ORDER BY sleep_ms(1)",
    "scalar inside limit": "FROM flights LIMIT (SELECT sleep_ms(1))",
    "scalar inside a window": "SELECT sum(sleep_ms(1)) OVER () FROM flights",
    "scalar inside a lambda": "SELECT list_transform([1], lambda x: sleep_ms(x))",
    "scalar inside a filter": "SELECT count(*) FILTER (WHERE sleep_ms(1) IS NULL) FROM flights",
    "scalar inside a join": "FROM flights JOIN airlines ON sleep_ms(1) IS NULL",
    "scalar inside values": "VALUES (sleep_ms(1))",
    "scalar inside describe": "DESCRIBE SELECT sleep_ms(1)",
    "unpivot of a file": "UNPIVOT 'x.csv' ON a",
    "show databases": "SHOW DATABASES",
    "show all tables": "SHOW ALL TABLES",
    "show unknown": "SHOW nosuch",
    "describe a file": "DESCRIBE 'x.csv'",
    "summarize a file": "SUMMARIZE 'x.csv'",
    "time travel": "SELECT * FROM flights AT (VERSION => 1)",
    "parameter": "SELECT ?",
    "named parameter": "SELECT $name",
    "syntax": "SELECT FROM WHERE",
    "unclosed text": "SELECT 'abc",
    "unclosed comment": "SELECT 1 /* abc",
    "null byte": "SELECT 1\0; DROP TABLE flights",
    "10,000 parentheses": f"SELECT {'(' * 10_000}1{')' * 10_000}",
    "5,000 operators": f"SELECT {'1+' * 5_000}1",
}


@pytest.fixture(scope="module")
def asked() -> Iterator[Judge]:
    with duckdb.connect(":memory:") as connection:

        def verdict(sql: str) -> Verdict:
            row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
            assert row is not None
            return judge(str(row[0]), sql, RELATIONS)

        yield verdict


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED.keys())
def test_everything_but_one_read_only_query_is_refused_with_a_remedy(asked: Judge, sql: str) -> None:
    try:
        with pytest.raises(Rejected) as refused:
            asked(sql)
    except duckdb.ParserException:
        return  # the parser itself refused the text: too deep, or a null byte
    assert str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(("sql", "reads"), ALLOWED.values(), ids=ALLOWED.keys())
def test_a_read_only_query_is_allowed_and_its_schemas_are_known(asked: Judge, sql: str, reads: set[str]) -> None:
    assert set(asked(sql).schemas) == reads


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT now()",
        "SELECT current_date",
        "SELECT CURRENT_TIMESTAMP",
        "SELECT random() FROM flights",
        "SELECT uuid()",
        "SELECT gen_random_uuid()",
        "SELECT * FROM flights WHERE t > 'yesterday'::TIMESTAMP",
        "SELECT age(t) FROM flights",
        "FROM flights TABLESAMPLE 10%",
        "FROM flights USING SAMPLE 10 ROWS",
        "SHOW TABLES",
    ],
)
def test_what_changes_from_call_to_call_is_not_repeatable(asked: Judge, sql: str) -> None:
    assert not asked(sql).repeatable


@pytest.mark.parametrize(
    "sql",
    [
        "FROM flights",
        "SELECT age(a, b) FROM flights",
        "SELECT 'tomorrow never dies'",
        "FROM flights TABLESAMPLE reservoir(9 ROWS) REPEATABLE (7)",
    ],
)
def test_a_pure_query_is_repeatable(asked: Judge, sql: str) -> None:
    assert asked(sql).repeatable


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("SELECT * FROM flihgts", "'flights'"),
        ("PIVOT flights ON a USING sum(b)", "FILTER"),
        ("SET threads = 1", "LIMIT"),
        ("SELECT 1; SELECT 2", "exactly one"),
        ("FROM read_csv('x')", "generate_series"),
    ],
)
def test_the_remedy_says_what_to_write_instead(asked: Judge, sql: str, part: str) -> None:
    with pytest.raises(Rejected) as refused:
        asked(sql)
    assert part in refused.value.remedy


def test_a_query_nested_as_deep_as_the_parser_allows_is_judged(asked: Judge) -> None:
    assert asked(f"SELECT {'(1 + ' * 100}1{')' * 100}").schemas == ()
    for depth in (450, 800):
        with pytest.raises(Rejected, match="nested"):
            asked(f"SELECT {'(1 + ' * depth}1{')' * depth}")


def _impure() -> list[str]:
    with duckdb.connect(":memory:") as connection:
        rows: list[tuple[str]] = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
            " WHERE stability IS NOT NULL AND stability <> 'CONSISTENT'"
        ).fetchall()
    return [name for (name,) in rows]


def test_every_function_the_engine_calls_volatile_is_refused_or_marked() -> None:
    assert [name for name in _impure() if not denied(name) and name not in VOLATILE] == []


def test_every_table_function_and_macro_that_is_not_pure_is_refused() -> None:
    with duckdb.connect(":memory:") as connection:
        rows: list[tuple[str]] = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
            " WHERE function_type IN ('table', 'table_macro', 'pragma')"
        ).fetchall()
    reachable = {name for (name,) in rows} & TABLE_FUNCTIONS
    assert reachable == TABLE_FUNCTIONS
    assert not any(name.startswith(("read_", "duckdb_", "pragma_")) for name in reachable)


def test_the_lists_do_not_contradict_each_other() -> None:
    assert not DENIED & VOLATILE
    assert not DENIED & TABLE_FUNCTIONS

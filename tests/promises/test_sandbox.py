"""What hostile SQL can do through the engine: read the mounted data, and nothing else.

Promise: bad input never crashes, hangs or leaks. The guard is bypassed where the second wall is what is tested:
`Engine.run` is for our own text and is not guarded.
"""

import hashlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.engine import Engine
from sources.duckdb.jail import jail
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.errors import TooLarge

pytestmark = pytest.mark.anyio
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has Landlock and address-space limits")
ROOT = Path(__file__).resolve().parents[2]

HOSTILE = [
    "WITH d AS (DELETE FROM flights RETURNING *) SELECT * FROM d",
    "WITH d AS (COPY flights TO '{data}') SELECT * FROM d",
    "SELECT * FROM (WITH d AS (COPY flights TO '{data}' (USE_TMP_FILE false)) SELECT * FROM d)",
    "EXPLAIN ANALYZE DELETE FROM flights",
    "UPDATE EXTENSIONS",
    "SELECT 1; DROP VIEW flights",
    "CREATE MACRO upper(x) AS 'spoof'",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW flights AS SELECT 1",
    "SET VARIABLE x = 1",
    "SET threads = 64",
    "DETACH memory",
    "CHECKPOINT",
    "FROM query('SELECT 1')",
    "FROM read_csv('/etc/passwd')",
    "FROM read_parquet('{data}')",
    "FROM '{data}'",
    "FROM glob('/*')",
    "SELECT getenv('HOME')",
    "FROM duckdb_settings()",
    "ATTACH '{folder}/x.duckdb'",
    "ATTACH ':memory:' AS m",
    "COPY flights TO '{data}'",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "SELECT sleep_ms(3000)",
    "",
    ";",
    "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "SELECT '" + "x" * 100_001 + "'",
    "SELECT \0",
    "SELECT \ud800",
]
WRITES = [
    "COPY (SELECT 1) TO '{data}'",
    "COPY (SELECT 1) TO '{data}' (USE_TMP_FILE false)",
    "COPY (SELECT 1) TO '{folder}/new.csv'",
    "COPY (SELECT 1) TO '{folder}/new.parquet' (FORMAT parquet)",
    "ATTACH '{folder}/new.duckdb' AS n",
    "EXPORT DATABASE '{folder}/out'",
    "SET allowed_directories = ['/']",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET temp_directory = '{folder}'",
    "SET memory_limit = '64GB'",
    "RESET lock_configuration",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FROM read_text('/etc/passwd')",
    "FROM read_text('{folder}/../{name}/../secret.txt')",
    "FROM read_text('{folder}/link.txt')",
    "FROM glob('/etc/*') WHERE file IS NOT NULL AND 1 = (SELECT count(*) / 0)",
    "FROM read_csv('http://127.0.0.1:9/x.csv')",
    "SELECT * FROM nothing_python_knows",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A readable folder, and a secret beside it that is linked from inside."""
    made = tmp_path / "data"
    made.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (made / "link.txt").symlink_to(tmp_path / "secret.txt")
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "COPY (SELECT i AS id, 'name ' || i AS name, DATE '2024-01-01' + i::INT AS day FROM range(1000) t(i))"
            f" TO '{made / 'flights.parquet'}'"
        )
    return made


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[Engine]:
    view = f"CREATE VIEW flights AS FROM read_parquet('{folder / 'flights.parquet'}')"
    made = Engine(mount={"statements": [view]}, readable=(str(folder),), workers=1)
    yield made
    await made.aclose()


def _state(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def _filled(sql: str, folder: Path) -> str:
    return (
        sql.replace("{data}", str(folder / "flights.parquet"))
        .replace("{folder}", str(folder))
        .replace("{name}", "data")
    )


async def test_hostile_statements_are_refused_and_change_nothing(engine: Engine, folder: Path) -> None:
    before = _state(folder)
    for sql in HOSTILE:
        with pytest.raises(QueryRejected):
            await engine.run_untrusted(_filled(sql, folder), limit=10, offset=0, within_s=5)
    rows = await engine.run_untrusted("SELECT count(*), upper('a') FROM flights", limit=10, offset=0, within_s=5)
    assert rows.rows.rows == ((1000, "A"),)
    assert _state(folder) == before
    assert engine.statistics().spawned == 1


async def test_the_second_wall_holds_where_the_guard_is_bypassed(engine: Engine, folder: Path) -> None:
    before = _state(folder)
    for sql in WRITES:
        with pytest.raises(SourceError):
            await engine.run(_filled(sql, folder), within_s=5)
    assert _state(folder) == before
    assert (await engine.run("SELECT count(*) FROM flights", within_s=5)).rows == ((1000,),)


JAILED = """
import sys
sys.path[:0] = {paths!r}
import socket
from sources.duckdb.jail import jail
from sources.duckdb.limits import no_file_writes
print([limit.in_force for limit in jail([{readable!r}])])
attempts = dict(
    write=lambda: open({data!r}, "r+b"),
    create=lambda: open({folder!r} + "/new", "wb"),
    remove=lambda: __import__("os").unlink({data!r}),
    rename=lambda: __import__("os").rename({data!r}, {data!r} + "2"),
    folder=lambda: __import__("os").mkdir({folder!r} + "/sub"),
    outside=lambda: open({secret!r}).read(),
    passwd=lambda: open("/etc/passwd").read(),
    connect=lambda: socket.create_connection(("127.0.0.1", {port}), 1),
    start=lambda: __import__("os").posix_spawn("/bin/true", ["true"], dict()),
)
for name, attempt in attempts.items():
    try:
        attempt()
        print(name, "worked")
    except OSError as error:
        print(name, "refused", error.errno)
print(len(open({data!r}, "rb").read()) > 0)
"""


@LINUX
def test_the_jail_alone_refuses_writes_foreign_reads_and_connections(folder: Path) -> None:
    data = folder / "flights.parquet"
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = JAILED.format(
            paths=[str(ROOT), *sys.path[-3:]],
            readable=str(folder),
            data=str(data),
            folder=str(folder),
            secret=str(folder.parent / "secret.txt"),
            port=server.getsockname()[1],
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    enforced, *attempts, readable = done.stdout.splitlines()
    if "True" not in enforced:
        pytest.skip("this kernel has no Landlock: nothing to prove")
    refused = {line.split()[0] for line in attempts if " refused " in line}
    expected = {"write", "create", "remove", "rename", "folder", "outside", "passwd", "start"}
    assert expected <= refused
    assert ("connect" in refused) == enforced.endswith("True]")
    assert readable == "True"


@pytest.mark.skipif(sys.platform == "linux", reason="what other systems report is tested there")
def test_a_system_without_landlock_says_so() -> None:
    assert all(limit.why for limit in jail([]) if not limit.in_force)


async def test_every_limit_is_reported_and_one_that_is_not_in_force_says_why(engine: Engine) -> None:
    await engine.ready()
    limits = {limit.name: limit for limit in engine.limits_in_force()}
    assert limits.keys() >= {"address_space", "file_writes", "read_only_files", "no_network", "engine_memory"}
    assert all(limit.in_force or limit.why for limit in limits.values())


async def test_a_worker_knows_nothing_of_our_environment(engine: Engine) -> None:
    await engine.ready()
    assert (await engine.run("SELECT 1", within_s=5)).rows == ((1,),)
    if sys.platform == "linux":
        shown = _environment_of_children()
        assert shown
        assert all(names <= {"LANG"} for names in shown)


def _environment_of_children() -> list[set[str]]:
    shown: list[set[str]] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes()
            parent = (place / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if parent == str(_own_pid()) and b"sources.duckdb.worker" in command:
                words = (place / "environ").read_bytes().split(b"\0")
                shown.append({word.split(b"=")[0].decode() for word in words if word})
        except OSError:
            continue
    return shown


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


@LINUX
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 3000000000))",
        "SELECT len(range(2000000000))",
        "SELECT len(list(i)) FROM range(2000000000) t(i)",
        "SELECT count(DISTINCT i::VARCHAR || repeat('x', 100)) FROM range(200000000) t(i)",
    ],
)
async def test_a_memory_bomb_ends_and_only_its_own_call_fails(engine: Engine, sql: str) -> None:
    with pytest.raises((TooLarge, QueryTimeout)):
        await engine.run_untrusted(sql, limit=10, offset=0, within_s=4)
    after = await engine.run_untrusted("SELECT count(*) FROM flights", limit=10, offset=0, within_s=5)
    assert after.rows.rows == ((1000,),)

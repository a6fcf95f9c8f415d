"""The same appends as a careful user of aiosqlite writes them: compare a version, append, commit, one after another.

WAL and synchronous=FULL, so that an answer means the same as ours. Run by `journal_bench.py` with the interpreter of
`neighbours.py`; prints the numbers as one line of JSON.
"""

# pyright: basic, reportMissingImports=false

import argparse
import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

import aiosqlite
from load import Load
from load import finding_text
from load import loaded

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE events (session INTEGER, version INTEGER, content TEXT, PRIMARY KEY (session, version)) WITHOUT ROWID;
"""


class OneByOne:
    """One connection, whose transactions must not mix: a lock keeps them apart. The first statement begins each."""

    def __init__(self, connection: aiosqlite.Connection, sessions: int) -> None:
        self._connection = connection
        self._versions = [0] * sessions
        self._turn = asyncio.Lock()

    async def append(self, writer: int, number: int) -> None:
        session = writer % len(self._versions)
        key, value, evidence = finding_text(writer, number)
        body = {"key": key, "value": value, "evidence": evidence}
        async with self._turn:
            content = json.dumps([time.time(), "finding", "p", body, None], ensure_ascii=False, separators=(",", ":"))
            seen = self._versions[session]
            moved = "UPDATE sessions SET version = version + 1 WHERE id = ? AND version = ?"
            cursor = await self._connection.execute(moved, (session, seen))
            assert cursor.rowcount == 1
            await self._connection.execute("INSERT INTO events VALUES (?, ?, ?)", (session, seen + 1, content))
            await self._connection.commit()
            self._versions[session] = seen + 1


async def measured(folder: Path, *, writers: int, sessions: int, seconds: float) -> Load:
    async with aiosqlite.connect(folder / f"one_by_one_{time.time_ns()}.db") as connection:
        await connection.executescript(_TABLES)
        await connection.executemany("INSERT INTO sessions VALUES (?, 0)", [(each,) for each in range(sessions)])
        await connection.commit()
        appends = OneByOne(connection, sessions)
        return await loaded(appends.append, writers=writers, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    told = parser.parse_args()
    load = asyncio.run(measured(told.folder, writers=told.writers, sessions=told.sessions, seconds=told.seconds))
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()

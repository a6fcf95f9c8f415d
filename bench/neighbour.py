"""One place to keep a session's values, ours or a neighbour's, driven in the same way for `neighbours_bench.py`.

`write` has many writers set keys of one session, each its own keys, and reads all of them back; `acknowledge` does so
for ever and says what was acknowledged, so that it can be killed; `read` opens what is there and says what it holds.
Each prints one line of JSON at its end. Run with the interpreter that has what the kind needs.
"""

# pyright: basic, reportMissingImports=false

import argparse
import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from load import loaded

_SESSION = "the-one-session"
_KEYS = 4
"""Of each writer."""
_FILLING = "Delays pile up in the evening; two carriers cause half of all of them, and January is the worst month. " * 2


class Ours:
    """Sessions of UDS on its journal: the disk is waited for before an answer."""

    def __init__(self, sessions: Any, handle: str) -> None:
        self._sessions = sessions
        self._handle = handle

    @classmethod
    async def opened(cls, folder: Path, stack: AsyncExitStack) -> "Ours":
        from state.sessions import Sessions  # noqa: PLC0415 - each kind needs another environment
        from state.sqlite.journal import SqliteJournal  # noqa: PLC0415

        journal = SqliteJournal(folder / "journal.db", clock=time.time)
        stack.push_async_callback(journal.aclose)
        sessions = Sessions(journal, clock=time.time)
        kept = await sessions.open(principal="p", idempotency_key=_SESSION)
        return cls(sessions, kept.handle)

    async def put(self, key: str, value: str) -> None:
        await self._sessions.remember(self._handle, principal="p", kind="context", key=key, value=value)

    async def everything(self) -> dict[str, str]:
        context = (await self._sessions.get(self._handle, principal="p")).context
        return {key: kept.value for key, kept in context.items()}


class FastMCPSession:
    """The session of FastMCP, as its tools are given it, over the store of the server."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @classmethod
    async def opened(cls, _folder: Path, _stack: AsyncExitStack) -> "FastMCPSession":
        return cls.over(None)

    @classmethod
    async def on_disk(cls, folder: Path, _stack: AsyncExitStack) -> "FastMCPSession":
        return cls.over(disk_store(folder))

    @classmethod
    def over(cls, store: Any) -> "FastMCPSession":
        from fastmcp import FastMCP  # noqa: PLC0415
        from fastmcp.server.sessions import Session  # noqa: PLC0415

        server = FastMCP("bench", session_state_store=store)
        return cls(Session(store=server._state_store, principal=None, session_id=_SESSION))  # noqa: SLF001 - as its own `get_session` makes it

    async def put(self, key: str, value: str) -> None:
        await self._session.set(key, value)

    async def everything(self) -> dict[str, str]:
        return {key: value for key in all_keys() if (value := await self._session.get(key)) is not None}


class DiskStore:
    """py-key-value's store on disk, an entry for each key: what it offers itself, without sessions."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    async def opened(cls, folder: Path, _stack: AsyncExitStack) -> "DiskStore":
        return cls(disk_store(folder))

    @classmethod
    async def waiting(cls, folder: Path, _stack: AsyncExitStack) -> "DiskStore":
        """With its database told to wait for the disk, as ours does: not an option of the store, but below it."""
        from diskcache import Cache  # noqa: PLC0415

        cache = Cache(folder / "disk", eviction_policy="none", sqlite_synchronous=2)
        cache["not empty"] = 1  # py-key-value 0.4.6 takes an empty one for none
        return cls(disk_store(folder, disk_cache=cache))

    async def put(self, key: str, value: str) -> None:
        await self._store.put(key, {"value": value}, collection=_SESSION)

    async def everything(self) -> dict[str, str]:
        found = {key: await self._store.get(key, collection=_SESSION) for key in all_keys()}
        return {key: value["value"] for key, value in found.items() if value is not None}


def disk_store(folder: Path, **options: Any) -> Any:
    from key_value.aio.stores.disk import DiskStore as Store  # noqa: PLC0415

    return Store(**(options or {"directory": folder / "disk"}))


KINDS = {
    "uds": Ours.opened,
    "fastmcp-memory": FastMCPSession.opened,
    "fastmcp-disk": FastMCPSession.on_disk,
    "disk": DiskStore.opened,
    "disk-waiting": DiskStore.waiting,
}


def all_keys() -> list[str]:
    return [key_of(writer, number) for writer in range(64) for number in range(_KEYS)]


def key_of(writer: int, number: int) -> str:
    """No two writers share a key."""
    return f"w{writer}k{number % _KEYS}"


async def write(kind: str, folder: Path, first: int, writers: int, seconds: float, go_at: float) -> dict[str, Any]:
    """Load with distinct keys, from writer `first` on; and the keys whose last acknowledged value is not there."""
    async with AsyncExitStack() as stack:
        place = await KINDS[kind](folder, stack)
        last: dict[str, str] = {}

        async def put(writer: int, number: int) -> None:
            key, value = key_of(first + writer, number), f"{number} {_FILLING}"
            await asyncio.sleep(0)  # some never let anybody else in while they write, and all writers are to get a turn
            await place.put(key, value)
            last[key] = value

        await asyncio.sleep(max(0.0, go_at - time.time()))
        load = await loaded(put, writers=writers, seconds=seconds)
        kept = await place.everything()
        lost = [key for key, value in last.items() if kept.get(key) != value]
        return {**asdict(load), "last": {key: value.split()[0] for key, value in last.items()}, "lost": len(lost)}


async def acknowledge(kind: str, folder: Path) -> None:
    """Say every write that was acknowledged, until killed."""
    async with AsyncExitStack() as stack:
        place = await KINDS[kind](folder, stack)

        async def put(writer: int, number: int) -> None:
            key = key_of(writer, number)
            await asyncio.sleep(0)
            await place.put(key, f"{number} {_FILLING}")
            print(key, number, flush=True)

        await loaded(put, writers=64, seconds=60.0)


async def read(kind: str, folder: Path) -> dict[str, str]:
    """What a process that comes later finds: the number of the value of each key."""
    async with AsyncExitStack() as stack:
        place = await KINDS[kind](folder, stack)
        return {key: value.split()[0] for key, value in (await place.everything()).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=("write", "acknowledge", "read"))
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--go-at", type=float, default=0.0)
    told = parser.parse_args()
    match told.act:
        case "write":
            writing = write(told.kind, told.folder, told.first, told.writers, told.seconds, told.go_at)
            print(json.dumps(asyncio.run(writing)))
        case "acknowledge":
            asyncio.run(acknowledge(told.kind, told.folder))
        case _:
            print(json.dumps(asyncio.run(read(told.kind, told.folder))))


if __name__ == "__main__":
    main()

"""A session of FastMCP on a Redis: distinct keys set at the same time, and how many of them are there afterwards.

Run with the interpreter of the neighbours' environment; prints one line of JSON.
"""

# pyright: basic, reportMissingImports=false

import asyncio
import importlib.metadata
import json
import sys
from typing import Any

_KEYS = 20


async def lost(url: str) -> int:
    from fastmcp import FastMCP  # noqa: PLC0415 - only that environment has it
    from fastmcp.server.sessions import Session  # noqa: PLC0415
    from key_value.aio.stores.redis import RedisStore  # noqa: PLC0415

    server = FastMCP("bench", session_state_store=RedisStore(url=url))
    session: Any = Session(store=server._state_store, principal=None, session_id="one")  # noqa: SLF001 - as its own `get_session` makes it
    await session.set("warm", 1)
    await asyncio.gather(*(session.set(f"k{number}", number) for number in range(_KEYS)))
    found = [await session.get(f"k{number}") for number in range(_KEYS)]
    return sum(each is None for each in found)


if __name__ == "__main__":
    told = {"lost": asyncio.run(lost(sys.argv[1])), "version": f"fastmcp {importlib.metadata.version('fastmcp')}"}
    print(json.dumps(told))

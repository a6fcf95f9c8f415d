"""Questions asked in one turn of the loop, so that they travel in one request; what is given up is given up whole."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Coroutine
from collections.abc import Iterable
from typing import Any
from typing import TypeVar

from sources.errors import SourceError

A = TypeVar("A")
B = TypeVar("B")


async def together(asked: Iterable[Coroutine[Any, Any, A]]) -> tuple[A, ...]:
    """All answers in order. When one fails, the others are given up and its error is raised."""
    tasks = [asyncio.ensure_future(each) for each in asked]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """As `together`, for two answers of different kinds."""
    first = asyncio.ensure_future(one)
    second = asyncio.ensure_future(other)
    try:
        await asyncio.gather(first, second)
        return first.result(), second.result()
    except BaseException:
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        raise


async def tolerated(asked: Awaitable[A]) -> A | SourceError:
    """The answer, or why there is none."""
    try:
        return await asked
    except SourceError as fault:
        return fault

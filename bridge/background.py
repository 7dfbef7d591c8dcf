"""Runs a task beside a block of code."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def running_beside(
    coroutine: Coroutine[object, object, None], *, name: str
) -> AsyncIterator[None]:
    """Run a coroutine until the block is left, where it is cancelled and has ended before anything else goes on."""
    task = asyncio.create_task(coroutine, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])

"""Calls that may block are bounded in threads and in number."""

import asyncio
import threading

import pytest

from bridge.errors import StorageError
from bridge.threads import ThreadLimiter


async def test_what_is_too_much_is_refused_and_the_rest_is_done():
    """Calls beyond those that may wait are refused at once; the others return when there is a thread."""
    may_go = threading.Event()
    limiter = ThreadLimiter("reading", 2, waiting_limit=3)
    calls = [asyncio.ensure_future(limiter.run(may_go.wait)) for _ in range(5)]
    await asyncio.sleep(0)

    with pytest.raises(StorageError, match="3 calls wait for reading already"):
        await limiter.run(may_go.wait)
    may_go.set()

    assert await asyncio.gather(*calls) == [True] * 5

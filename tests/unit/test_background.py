"""A task beside a block of code."""

import asyncio

from bridge.background import running_beside


async def test_a_task_has_ended_when_its_block_is_left():
    """What it does on its way out is done before anything after the block."""
    happened = []

    async def run():
        try:
            happened.append("begun")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            happened.append("ended")

    async with running_beside(run(), name="test"):
        await asyncio.sleep(0)
        happened.append("inside")

    assert happened == ["begun", "inside", "ended"]

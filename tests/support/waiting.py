"""Wait for what must come true, and say what it was when it does not."""

import asyncio
import inspect
import time

DEADLINE_SECONDS = 60.0
"""Only a test that fails takes so long: a machine with a load of fifteen is slow, not broken."""

PAUSE_SECONDS = 0.01


async def until(condition, *, seconds=DEADLINE_SECONDS, what=""):
    """Return the first true thing `condition` returns or resolves to; for tests on an event loop."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        _check(deadline, seconds, condition, what)
        await asyncio.sleep(PAUSE_SECONDS)


def until_true(condition, *, seconds=DEADLINE_SECONDS, what=""):
    """Return the first true thing `condition` returns; for tests without an event loop."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        _check(deadline, seconds, condition, what)
        time.sleep(PAUSE_SECONDS)


def _check(deadline, seconds, condition, what):
    if time.monotonic() < deadline:
        return
    condition_text = what or inspect.getsource(condition).strip()
    raise AssertionError(f"not within {seconds:g} s: {condition_text}")

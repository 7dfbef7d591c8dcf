"""Streams whose session began on another bridge are asked to connect again, so that bridges fill up after a restart."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.stream import Stream

EARLIEST, LATEST = 0.5, 1.5
"""Parts of the time set between which a stream is asked: those that came together do not leave together."""


@contextmanager
def rebalancing(
    deps: StreamDependencies, stream: Stream, after_seconds: float, reconnect_ms: int
) -> Iterator[None]:
    """Ask a stream once, while the block lasts, to connect again, unless its session began here; 0 seconds: never.

    A session that began here stays: its page, its images on their way and its history are on this bridge.
    """
    if not after_seconds:
        yield
        return
    seconds = after_seconds * random.uniform(EARLIEST, LATEST)
    timer = asyncio.get_running_loop().call_later(seconds, _move_on, deps, stream, reconnect_ms)
    try:
        yield
    finally:
        timer.cancel()


def _move_on(deps: StreamDependencies, stream: Stream, reconnect_ms: int) -> None:
    session = deps.sessions.find(stream.session_id)
    if session is None or not session.began_elsewhere or stream.is_closing:
        return
    deps.telemetry.stream_rebalanced()
    stream.drain(reconnect_ms)

"""Streams are asked to connect again where another bridge should have them, so that bridges fill up after a restart."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.stream import Stream

EARLIEST, LATEST = 0.5, 1.5
"""Parts of the time set between which a stream is asked: those that came together do not leave together."""


class _Timer:
    """Looks at a stream now and then."""

    def __init__(
        self, deps: StreamDependencies, stream: Stream, after_seconds: float, reconnect_ms: int
    ) -> None:
        self._deps = deps
        self._stream = stream
        self._after_seconds = after_seconds
        self._reconnect_ms = reconnect_ms
        self.start()

    def start(self) -> None:
        seconds = self._after_seconds * random.uniform(EARLIEST, LATEST)
        self.handle = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        stream, deps = self._stream, self._deps
        session = deps.sessions.find(stream.session_id)
        if stream.is_closing:
            return
        if (
            session is None
        ):  # nothing has been said on the stream yet, or its session is still on the way here
            self.start()
            return
        if deps.shared is None and not session.began_elsewhere:
            return
        if deps.shared is not None and not deps.shared.is_crowded:
            self.start()
            return
        deps.telemetry.stream_rebalanced()
        stream.drain(self._reconnect_ms)


@contextmanager
def rebalancing(
    deps: StreamDependencies, stream: Stream, after_seconds: float, reconnect_ms: int
) -> Iterator[None]:
    """Ask a stream once, while the block lasts, to connect again, unless it is at home here; 0 seconds: never.

    On a bridge with a state of its own that is a session which began here: its page, its images on their way and its
    history are on this bridge. Where bridges share a database, it is any, unless this bridge has more than its share.
    """
    if not after_seconds:
        yield
        return
    timer = _Timer(deps, stream, after_seconds, reconnect_ms)
    try:
        yield
    finally:
        timer.handle.cancel()

"""Connections to other bridges on which whatever comes before an answer is bounded."""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_INTERIM = 4
"""Responses such as "100 Continue" that may come before an answer: bridges send none."""

PART_BYTES = 4096
"""So much is read at once until the answer begins: each interim response in it takes time that nobody else has."""


class BoundedAnswers(aiohttp.TCPConnector):
    """Connects as aiohttp does, and ends connections on which interim responses do not end."""

    def __init__(self, **options: Any) -> None:
        """Take what aiohttp's connector takes; the event loop must run."""
        super().__init__(**options)
        # There is no public way to say what reads a connection.
        reader: type[ResponseHandler] = _BoundedReader
        self._factory = partial(reader, asyncio.get_running_loop())


class _BoundedReader(ResponseHandler):
    """Reads a connection for one request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim = 0
        self._has_answer = False

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of a response, unless too many have come."""
        message, _payload = data
        if 100 <= message.code < 200:
            self._interim += 1
        else:
            self._has_answer = True
        if self._interim <= MOST_INTERIM:
            super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Read what has come, in small parts until the answer begins."""
        while len(data) > PART_BYTES and not self._has_answer:
            super().data_received(data[:PART_BYTES])
            data = data[PART_BYTES:]
            if self._is_given_up():
                return
        super().data_received(data)
        self._is_given_up()

    def _is_given_up(self) -> bool:
        """Return whether the connection has failed, which one with too many interim responses does now."""
        if self._interim > MOST_INTERIM and self.exception() is None:
            self.set_exception(aiohttp.ClientPayloadError("too many interim responses"))
            if self.transport is not None:
                self.transport.abort()
        return self.exception() is not None

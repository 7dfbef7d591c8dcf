"""A TCP proxy of the tests' own, which can be made to misbehave while it runs."""

import asyncio
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus

PIECE_BYTES = 64 << 10
REQUEST = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


class Proxy:
    """Stands before one server; connections meet whatever was last ordered.

    Its methods may be called from any thread, and take effect before they return.
    """

    def __init__(self, target):
        """Pass everything on to `target`, a host:port."""
        self.address = ""
        """host:port where it listens."""
        self.connections = 0
        """Connections accepted so far."""
        self.requests = []
        """(time, method, path) of every HTTP request that came, answered or not."""
        self._target = target.rpartition(":")[::2]
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._port = 0
        self._open = asyncio.Event()
        self._rate = 0.0
        self._status = 0
        self._swallows = False
        self._writers = set()

    def pass_on(self):
        """Behave; a connection that was frozen goes on where it was."""
        self._order(self._behave())

    def refuse(self):
        """Listen no longer, and cut what is open."""
        self._order(self._behave(listening=False), cuts=True)

    def freeze(self):
        """Take connections and bytes, and pass none of them on."""
        self._order(self._behave(frozen=True))

    def swallow_answers(self):
        """Pass on what comes from clients, and nothing that the server answers from now on."""
        self._order(self._behave(swallows=True))

    def slow(self, bytes_per_second):
        """Pass on so much in each direction of each connection."""
        self._order(self._behave(rate=bytes_per_second))

    def answer(self, status):
        """Answer every HTTP request with this status, in the server's place."""
        self._order(self._behave(status=status), cuts=True)

    def cut(self):
        """Reset every open connection; new ones are taken."""
        self._order(self._cut())

    def lead_to(self, target):
        """Pass everything on to another server from now on, a host:port, and cut what is open."""
        self._target = target.rpartition(":")[::2]
        self.cut()

    @contextmanager
    def running(self):
        """Listen until the block is left."""
        thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        thread.start()
        try:
            self.pass_on()
            yield self
        finally:
            self._order(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _order(self, order, *, cuts=False):
        asyncio.run_coroutine_threadsafe(order, self._loop).result(60)
        if cuts:
            self.cut()

    async def _behave(self, *, listening=True, frozen=False, swallows=False, rate=0.0, status=0):
        self._rate, self._status, self._swallows = rate, status, swallows
        (self._open.clear if frozen else self._open.set)()
        if listening and self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]
            self.address = f"127.0.0.1:{self._port}"
        elif not listening and self._server is not None:
            # A server that is closed between accepting a connection and serving it leaks its socket
            # (asyncio asserts that it is open): what has been accepted is served first.
            for listener in self._server.sockets:
                self._loop.remove_reader(listener.fileno())
            await asyncio.sleep(0)
            self._server.close()
            self._server = None

    async def _cut(self):
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _stop(self):
        await self._behave(listening=False)
        await self._cut()
        while serving := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            await self._cut()  # a task that was cancelled before it began has closed nothing

    def _connected(self, reader, writer):
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._writers.add(writer)
        return self._serve(reader, writer)

    async def _serve(self, reader, writer):
        try:
            await self._open.wait()
            if self._status:
                await self._answer(reader, writer)
            else:
                await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _connect(self, reader, writer):
        """Pass bytes both ways until one side has no more."""
        back, forth = await asyncio.open_connection(*self._target)
        self._writers.add(forth)
        ways = [
            asyncio.ensure_future(self._pass(reader, forth)),
            asyncio.ensure_future(self._pass(back, writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Nothing is awaited before it is closed: this task may be cancelled here too.
            self._writers.discard(forth)
            forth.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, source, sink, *, is_answer=False):
        with suppress(OSError):
            while data := await source.read(PIECE_BYTES):
                self._note(data)
                await self._open.wait()
                if self._rate:
                    await asyncio.sleep(len(data) / self._rate)
                if is_answer and self._swallows:
                    continue
                sink.write(data)
                await sink.drain()

    async def _answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self._note(head)
        length = LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        phrase = HTTPStatus(self._status).phrase
        body = f"<Error><Code>{phrase.replace(' ', '')}</Code></Error>".encode()
        writer.write(
            f"HTTP/1.1 {self._status} {phrase}\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        # What closes with a reset could overtake the answer: the client closes first.
        await reader.read(1)

    def _note(self, data):
        if found := REQUEST.match(data):
            self.requests.append((time.monotonic(), found[1].decode(), found[2].decode()))


@contextmanager
def proxying(target):
    """Run a proxy before `target`, a host:port."""
    with Proxy(target).running() as proxy:
        yield proxy

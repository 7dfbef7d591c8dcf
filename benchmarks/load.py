"""Streams of batches to a server over loopback, at full speed or paced, until each is acknowledged."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import grpc.aio
import uvloop
from messages import Batches, staggered
from processes import BenchmarkError, Server, Watch

from bridge.wire import metrics_pb2 as wire

SERVICE = wire.DESCRIPTOR.services_by_name["MetricsService"].full_name
LIMIT_SECONDS = 120.0

EOF = grpc.aio.EOF
"""What a stream gives when there is no answer left."""

Answers = Literal["sequence", "each", "end"]
"""How a server acknowledges: up to a sequence, message by message, or all at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent."""

    streams: int
    """Each over a connection of its own, as training processes do."""
    messages: int
    """Of each stream."""
    per_second: float = 0.0
    """Of each stream; 0: as fast as the window lets."""
    frame: int = 0
    """Messages in a frame; 0: no frames, one message at a time."""
    flush_seconds: float = 0.0
    """Paced frames go out so often, with what has come up since."""
    images: Sequence[bytes] = ()
    window: int = 2_000
    """Messages of a stream that may be on their way unacknowledged."""
    answers: Answers = "sequence"
    registered: bool = True
    """Whether the server wants to know of a session first."""
    name: str = "load"
    """What the sessions are called; a bridge counts each message of a session once."""

    @property
    def total(self) -> int:
        """Messages of all streams."""
        return self.streams * self.messages


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, from when all streams were open until all was acknowledged."""

    bytes: int
    wall_seconds: float
    cpu_seconds: float
    """Of the server."""
    rss_bytes: int
    """Of the server, at most."""
    ack_seconds: list[float] = field(repr=False)
    """For each message, from when it was due until it was acknowledged; empty where that comes at the end."""


def run(server: Server, load: Load) -> Outcome:
    """Send it all, and wait for all acknowledgments.

    Raises BenchmarkError when a message is refused or an acknowledgment stays away.
    """
    return uvloop.run(send(server, load))


def flush_seconds(server: Server) -> float:
    """Return how often a bridge wants frames."""
    return uvloop.run(_flush_seconds(server))


async def _flush_seconds(server: Server) -> float:
    async with connected(server.grpc_address) as channel:
        return (await register(channel, "asking")).flush_interval_ms / 1000


async def send(server: Server, load: Load) -> Outcome:
    """Do the same on a running loop."""
    interval = 1 / load.per_second if load.per_second else 0.0
    offsets = staggered(load.streams, max(interval, load.flush_seconds))
    streams = [Stream(load, f"{load.name}-{place}", offset) for place, offset in enumerate(offsets)]
    async with AsyncExitStack() as stack:
        for stream in streams:
            await stack.enter_async_context(stream.opened(server.grpc_address))
        with Watch(server) as watch:
            await _sent(load, streams)
    return Outcome(
        sum(stream.bytes for stream in streams),
        watch.wall_seconds,
        watch.cpu_seconds,
        watch.rss_bytes,
        [seconds for stream in streams for seconds in stream.ack_seconds],
    )


async def _sent(load: Load, streams: "Sequence[Stream]") -> None:
    try:
        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(stream.run())
    except TimeoutError:
        missing = sum(load.messages - stream.acknowledged for stream in streams)
        raise BenchmarkError(f"{missing} of {load.total} messages were not acknowledged") from None
    except ExceptionGroup as errors:
        raise BenchmarkError(f"a stream failed: {errors.exceptions[0]}") from errors


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


async def register(channel: grpc.aio.Channel, session_id: str) -> wire.ServerConfig:
    """Register a session, and return what the server wants."""
    call = channel.unary_unary(
        f"/{SERVICE}/RegisterTrainingSession",
        request_serializer=wire.SessionInfo.SerializeToString,
        response_deserializer=wire.SessionResponse.FromString,
    )
    info = wire.SessionInfo(session_id=session_id, client_name="benchmark")
    response = await call(info)
    if not response.success:
        raise BenchmarkError(response.message)
    return response.server_config


def opened(channel: grpc.aio.Channel, *, framed: bool = False) -> Any:
    """Open a stream that takes encoded messages."""
    name = "StreamMetricsBatches" if framed else "StreamMetrics"
    call: Any = channel.stream_stream(
        f"/{SERVICE}/{name}", response_deserializer=wire.MetricsResponse.FromString
    )
    return call()


class Stream:
    """One stream of a load."""

    def __init__(self, load: Load, session_id: str, offset: float) -> None:
        """Start `offset` seconds after the others."""
        self._load = load
        self._session_id = session_id
        self._offset = offset
        self._batches = Batches(session_id, images=load.images, numbered=load.answers == "sequence")
        self._due: deque[float] = deque()
        self._room = asyncio.Event()
        self._sent = 0
        self._written = 0
        self.acknowledged = 0
        self.bytes = 0
        self.ack_seconds: list[float] = []

    @asynccontextmanager
    async def opened(self, address: str) -> AsyncIterator[None]:
        """Register and open the stream, and let go of it on the way out."""
        async with connected(address) as channel:
            if self._load.registered:
                await register(channel, self._session_id)
            self._call = opened(channel, framed=bool(self._load.frame))
            await self._call.wait_for_connection()
            yield

    async def run(self) -> None:
        """Send everything and read every answer."""
        await asyncio.gather(self._write(self._call), self._read(self._call))

    async def _write(self, call: Any) -> None:
        await asyncio.sleep(self._offset)
        started = time.perf_counter()
        while self._sent < self._load.messages:
            await self._ready(started)
            count = min(self._count(started), self._load.messages - self._sent)
            raw = self._batches.frame(count) if self._load.frame else self._batches.next()
            self._note(started, count)
            self.bytes += len(raw)
            self._written += 1
            await call.write(raw)
        if self._load.answers == "end":
            await call.done_writing()

    async def _ready(self, started: float) -> None:
        """Wait for the next message's moment, and for room in the window."""
        load = self._load
        if load.flush_seconds:
            await asyncio.sleep(load.flush_seconds)
        elif load.per_second:
            due = started + self._sent / load.per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        while load.answers != "end" and self._sent - self.acknowledged >= load.window:
            self._room.clear()
            await self._room.wait()

    def _count(self, started: float) -> int:
        """Return how many messages go out together."""
        load = self._load
        if not load.frame:
            return 1
        if not load.flush_seconds:
            return load.frame
        come_up = int((time.perf_counter() - started) * load.per_second) - self._sent
        return max(1, min(load.frame, come_up))

    def _note(self, started: float, count: int) -> None:
        """Remember since when each message has been waiting: a frame's messages came up one by one."""
        now = time.perf_counter()
        for number in range(self._sent, self._sent + count):
            due = started + number / self._load.per_second if self._load.per_second else now
            self._due.append(min(due, now))
        self._sent += count

    async def _read(self, call: Any) -> None:
        async for response in call:
            if response.WhichOneof("payload") != "ack":
                raise BenchmarkError(f"instead of an Ack: {response}")
            self._acknowledge(response.ack.sequence)
            if self.acknowledged == self._load.messages:
                break
        if self.acknowledged != self._load.messages:
            raise BenchmarkError(
                f"{self._load.messages} messages were sent, {self.acknowledged} acknowledged"
            )
        if self._load.answers != "end":
            await call.done_writing()

    def _acknowledge(self, sequence: int) -> None:
        if self._load.answers == "end":
            self._settle(sequence)
            return
        now = time.perf_counter()
        upto = self.acknowledged + 1 if self._load.answers == "each" else sequence
        for _ in range(upto - self.acknowledged):
            self.ack_seconds.append(now - self._due.popleft())
        self.acknowledged = upto
        self._room.set()

    def _settle(self, read: int) -> None:
        """Compare what the server has read with what was written: it counts frames, not messages."""
        if read != self._written:
            raise BenchmarkError(f"{self._written} frames were written, {read} read")
        self.acknowledged = self._load.messages

"""What a stream costs that says nothing: a training process that is connected between batches."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import uvloop
from bare import bare
from bridges import Bridge, bridge
from load import EOF, connected, opened, register
from processes import BenchmarkError, Server
from row import Row

from bridge.wire import metrics_pb2 as wire

LIMIT_KIBIBYTES = 40
CONNECTIONS = 50
WARM_UP_STREAMS = 100
"""Opened first and not counted, so that what is there once does not look like a stream's."""

SETTLE_SECONDS = 0.5


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Open streams, and look what the memory of the server has grown by."""
    count = 200 if quick else 1_000
    with bare(answer="each") as server:
        floor = uvloop.run(_grown(server, count))
    with bridge("--max-new-sessions-per-minute", "100000") as served:
        found = uvloop.run(_grown(served.server, count, served))
    yield Row(
        name="idle stream, memory",
        regime=f"{count:,} streams, {CONNECTIONS} connections",
        figure=found,
        unit="KiB each",
        target=f"<= {LIMIT_KIBIBYTES} KiB",
        met=found <= LIMIT_KIBIBYTES,
        floor=("bare servicer, uvloop", floor),
    )


async def _grown(server: Server, count: int, served: Bridge | None = None) -> float:
    """Return by how many KiB the server grew for each stream; its sessions were there before."""
    async with _channels(server) as channels, AsyncExitStack() as stack:
        names = [f"idle-{place}" for place in range(WARM_UP_STREAMS + count)]
        places = [(name, channels[place % CONNECTIONS]) for place, name in enumerate(names)]
        if served is not None:
            for name, channel in places:
                await register(channel, name)
        await _open(stack, places[:WARM_UP_STREAMS])
        before = server.rss_bytes
        await _open(stack, places[WARM_UP_STREAMS:])
        if served is not None:
            await asyncio.to_thread(served.expect, "bridge_streams", len(names))
        return (server.rss_bytes - before) / count / 1024


@asynccontextmanager
async def _channels(server: Server) -> AsyncIterator[list[grpc.aio.Channel]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(connected(server.grpc_address))
            for _ in range(CONNECTIONS)
        ]


async def _open(stack: AsyncExitStack, places: Sequence[tuple[str, grpc.aio.Channel]]) -> None:
    """Open a stream for each session, say one word and hear the answer."""
    for name, channel in places:
        call = opened(channel)
        stack.callback(call.cancel)
        word = wire.MetricsRequest(session_id=name, heartbeat=wire.Heartbeat())
        await call.write(word.SerializeToString())
        if await call.read() is EOF:
            raise BenchmarkError(f"the stream of {name} was ended: {await call.details()}")
    await asyncio.sleep(SETTLE_SECONDS)

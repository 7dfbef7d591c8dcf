"""Reads streams of messages as raw bytes and does nothing else with them, or as little as asked."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from bridge.wire import metrics_pb2 as wire

GROUP_SECONDS = 0.01
"""How often what was read goes to disk, as in the bridge."""

Context = grpc.aio.ServicerContext[Any, Any]
Serve = Callable[[object, Context], Awaitable[None]]


def answer_of(count: int) -> wire.MetricsResponse:
    """Acknowledge all messages up to a count."""
    return wire.MetricsResponse(ack=wire.Acknowledgment(success=True, sequence=count))


async def at_the_end(_requests: object, context: Context) -> None:
    """Only read, and say at the end how many there were."""
    count = 0
    while await context.read() is not grpc.aio.EOF:
        count += 1
    await context.write(answer_of(count))


async def each(_requests: object, context: Context) -> None:
    """Answer each message."""
    count = 0
    while await context.read() is not grpc.aio.EOF:
        count += 1
        await context.write(answer_of(count))


class Kept:
    """One stream, by the counts of its messages."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self.read = 0
        self.synced = 0
        self.wake = asyncio.Event()

    async def answer(self, context: Context) -> None:
        """Answer whenever more has been synced."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            await context.write(answer_of(self.synced))


class Keeper:
    """Appends every message to one file, and answers what has been synced."""

    def __init__(self, path: Path) -> None:
        """Write to an empty file."""
        self._file = path.open("wb")
        self._waiting: list[bytes] = []
        self._streams: set[Kept] = set()
        self._syncing: asyncio.Task[None] | None = None

    async def serve(self, _requests: object, context: Context) -> None:
        """Read, and answer what is on disk."""
        self._syncing = self._syncing or asyncio.create_task(self._sync())
        stream = Kept()
        self._streams.add(stream)
        answers = asyncio.create_task(stream.answer(context))
        while (raw := await context.read()) is not grpc.aio.EOF:
            self._waiting.append(raw)
            stream.read += 1
        answers.cancel()
        self._streams.discard(stream)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(GROUP_SECONDS)
            if not self._waiting:
                continue
            group, self._waiting = self._waiting, []
            counts = [(stream, stream.read) for stream in self._streams]
            await asyncio.to_thread(self._write, group)
            for stream, count in counts:
                if count > stream.synced:
                    stream.synced = count
                    stream.wake.set()

    def _write(self, group: list[bytes]) -> None:
        self._file.writelines(group)
        self._file.flush()
        os.fsync(self._file.fileno())


def serving(answer: str, folder: Path) -> Serve:
    """Return what is to be done with a stream."""
    if answer == "kept":
        return Keeper(folder / "kept").serve
    return {"end": at_the_end, "each": each}[answer]


async def run(ports_file: Path, answer: str) -> None:
    """Write the port, then serve until stopped."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 32 << 20)]
    )
    call: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        serving(answer, ports_file.parent),
        request_deserializer=None,
        response_serializer=wire.MetricsResponse.SerializeToString,
    )
    calls = dict.fromkeys(("StreamMetrics", "StreamMetricsBatches"), call)
    name = wire.DESCRIPTOR.services_by_name["MetricsService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, calls),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    unfinished = ports_file.with_suffix(".new")
    unfinished.write_text(json.dumps({"grpc": port}))
    unfinished.replace(ports_file)
    await stopping.wait()
    await server.stop(grace=1)


if __name__ == "__main__":
    with asyncio.Runner(
        loop_factory=uvloop.new_event_loop if sys.argv[2] == "uvloop" else None
    ) as runner:
        runner.run(run(Path(sys.argv[1]), sys.argv[3]))

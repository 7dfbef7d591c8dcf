"""One bridge of a simulated fleet: all that a bridge does from the admission of a message to its Ack, without gRPC, HTTP and images."""

import argparse
import asyncio
import base64
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge.command_bounds import CommandBounds
from bridge.commands import Commands
from bridge.committer import Committer
from bridge.config import Settings
from bridge.model import Batch, Client, Config, Message, Update
from bridge.ownership import Ownership
from bridge.pipeline import Pipeline
from bridge.receiver.decode import decode_request
from bridge.receiver.message_limits import MessageLimits
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.sharing import SessionParts, Sharing
from bridge.sinks import Sinks
from bridge.sinks.journal import Journal
from bridge.sinks.metrics import TrainingMetrics
from bridge.state import State
from bridge.storage.journal import JournalRows
from bridge.storage.postgres import BridgeDescription, open_postgres
from bridge.telemetry import Telemetry

MESSAGES = Path(__file__).with_name("fleet_messages.json")
TICK_SECONDS = 0.005
SESSIONS_LIMIT = 100_000


class NoImages:
    """Stands where a bridge has its images."""

    def resume(self, sessions: Sequence[Session]) -> None:
        """Have none."""

    def take_over(self, session: Session, window: bytes | None) -> None:
        """Have none."""

    def counting_lost(self, forget_seconds: float) -> AbstractAsyncContextManager[None]:
        """Have none that could be lost."""
        del forget_seconds
        return nullcontext()


class MeasuredTelemetry(Telemetry):
    """Keeps how long commits took."""

    def __init__(self) -> None:
        """Start without any."""
        super().__init__()
        self.commits: list[float] = []

    def committed(self, seconds: float) -> None:
        """Keep how long it took."""
        super().committed(seconds)
        self.commits.append(seconds)


class Stream:
    """Sends one session's messages, and measures when they are acknowledged."""

    def __init__(self, session: Session, acks: list[float]) -> None:
        """Go on behind what the session has accepted."""
        self.session_id = session.id
        self.holder = session.holder
        self.resumed_at = self.sent = self.acknowledged = session.accepted
        self._acks = acks
        self._waiting: deque[tuple[int, float]] = deque()

    def on_committed(self, ticket: int) -> None:
        """Note how long each message has waited that this commit acknowledges."""
        now = time.perf_counter()
        while self._waiting and self._waiting[0][0] <= ticket:
            self._acks.append(now - self._waiting.popleft()[1])
            self.acknowledged += 1

    def send(self, pipeline: Pipeline, messages: Sequence[tuple[Message, int]]) -> None:
        """Send the next message as the recorded run had it."""
        message, size_bytes = messages[self.sent % len(messages)]
        if type(message) is Batch:
            message = replace(message, epoch=self.sent // 1000, index=self.sent % 1000)
        self.sent += 1
        update = Update(self.session_id, message, self.sent, size_bytes)
        ticket, _ = pipeline.accept(update, self.holder, self)
        self._waiting.append((ticket, time.perf_counter()))


class Writer:
    """The bridge, its streams and what was measured."""

    def __init__(
        self, pipeline: Pipeline, ownership: Ownership, telemetry: MeasuredTelemetry
    ) -> None:
        """Have no sessions yet."""
        self.pipeline = pipeline
        self.ownership = ownership
        self.telemetry = telemetry
        self.messages = recorded_messages()
        self.streams: deque[Stream] = deque()
        self.acks: list[float] = []
        self.takes: list[float] = []

    async def take(self, names: Sequence[str]) -> None:
        """Have the streams of sessions come here, all at the same moment."""
        for taken in asyncio.as_completed(map(self._take, names)):
            self.streams.append(await taken)

    async def _take(self, name: str) -> Stream:
        started = time.perf_counter()
        await self.ownership.acquire(name)
        registration = self.pipeline.register(name, Client("simulated", "1", name), Config())
        self.pipeline.connect(name)
        self.takes.append(time.perf_counter() - started)
        return Stream(registration.session, self.acks)

    async def stream(self, rate: float) -> None:
        """Send a message of each session so many times a second, evenly spread."""
        began, sent = time.perf_counter(), 0.0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            count = len(self.streams)
            due = (now - began) * count * rate
            began, sent = now, sent + due
            # A loop that is late sends what is due all the same: trainers do not wait for each other.
            for _ in range(int(sent)):
                self.streams[0].send(self.pipeline, self.messages)
                self.streams.rotate(-1)
            sent -= int(sent)

    def books(self) -> dict[str, Any]:
        """Return of each session what is acknowledged, and where it went on."""
        return {
            "acknowledged": {one.session_id: one.acknowledged for one in self.streams},
            "resumed": {one.session_id: one.resumed_at for one in self.streams},
        }

    def report(self) -> dict[str, Any]:
        """Return what was measured since the report before."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        found = {
            "acks": self.acks[:],
            "commits": self.telemetry.commits[:],
            "takes": self.takes[:],
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "memory_bytes": usage.ru_maxrss * 1024,
            "sessions": len(self.streams),
        }
        # The lists go on where they are: streams hold them.
        for each in (self.acks, self.telemetry.commits, self.takes):
            each.clear()
        return found


def recorded_messages() -> list[tuple[Message, int]]:
    """Return the messages of the recorded run, and their sizes."""
    raws = map(base64.b64decode, json.loads(MESSAGES.read_text())["messages"])
    return [
        (update.message, len(raw))
        for raw in raws
        for update in decode_request(raw, MessageLimits())
        if isinstance(update, Update)
    ]


async def serve(url: str, bridge_id: str, rate: float) -> None:
    """Be a bridge until standard input is closed: each line is a JSON list of sessions to take, or "report", or "books"."""
    settings = Settings(state=url, images_store="file:///nowhere")
    telemetry = MeasuredTelemetry()
    database = open_postgres(url, BridgeDescription(bridge_id))
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        rows = JournalRows(database)
        metrics = TrainingMetrics(telemetry, monotonic=time.monotonic, is_shared=True)
        commands = Commands(bounds=CommandBounds())
        journal = Journal(rows, (metrics, commands), telemetry, is_shared=True)
        sharing = Sharing(State(database, database), settings, telemetry)
        sinks = Sinks(
            consumers=(journal, metrics, *sharing.sinks),
            durables=(journal, *sharing.sinks),
            snapshotters=(metrics, commands),
            replayers=(metrics, commands),
        )
        sessions = Sessions(
            limit=SESSIONS_LIMIT, new_per_minute=SESSIONS_LIMIT, new_per_token=SESSIONS_LIMIT
        )
        committer = Committer(
            sinks.durables,
            database,
            telemetry,
            on_fenced=sharing.on_fenced,
            take_arrived=sessions.take_arrived,
        )
        await stack.enter_async_context(committer.running())
        pipeline = Pipeline(
            sessions=sessions,
            commands=commands,
            sinks=sinks.consumers,
            committer=committer,
            telemetry=telemetry,
            is_shared=True,
        )
        images: Any = NoImages()
        parts = SessionParts(sessions, pipeline, journal, images, committer)
        ownership = await sharing.begin(stack, parts, sinks)
        assert ownership is not None
        writer = Writer(pipeline, ownership, telemetry)
        streaming = asyncio.create_task(writer.stream(rate))
        stack.callback(streaming.cancel)
        await _obey(writer, streaming)


async def _obey(writer: Writer, streaming: "asyncio.Task[None]") -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    _say({"ready": True})
    while line := await lines.readline():
        command = json.loads(line)
        if streaming.done():
            streaming.result()
        if command == "report":
            _say(writer.report())
        elif command == "books":
            _say(writer.books())
        else:
            await writer.take(command)
            _say({"took": len(command)})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bridge_id")
    parser.add_argument("--rate", type=float, default=1.0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.url, arguments.bridge_id, arguments.rate))

"""A receiver with everything below it and a sink that records, and a stub that shows its tokens."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio

from bridge.access.authentication import OPEN
from bridge.commands import Commands
from bridge.committer import Committer
from bridge.model import Client, Config
from bridge.pipeline import Pipeline
from bridge.protocol import TOKEN_HEADER
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.server import bind_server, serve_grpc
from bridge.receiver.server_config import ServerConfig
from bridge.receiver.servicer import Servicer
from bridge.sessions import Sessions
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry
from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

LIMITS = {"max_message_bytes": 1 << 20, "lookahead_bytes": 65536}


class Recording:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def consume(self, session, event, received) -> None:
        assert received > 0
        self.events.append(event)

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]


class Trainer:
    """A stub whose streams show what the last registration of their session returned."""

    def __init__(self, channel, tokens) -> None:
        self._stub = MetricsServiceStub(channel)
        self._tokens = tokens

    async def RegisterTrainingSession(self, info):  # noqa: N802 -- the protocol's name
        response = await self._stub.RegisterTrainingSession(info)
        if response.success:
            self._tokens[response.session_id] = response.stream_token
        return response

    def StreamMetrics(self, session_id="run"):  # noqa: N802 -- the protocol's name
        return self._stub.StreamMetrics(metadata=self.metadata(session_id))

    def StreamMetricsBatches(self, session_id="run"):  # noqa: N802 -- the protocol's name
        return self._stub.StreamMetricsBatches(metadata=self.metadata(session_id))

    def metadata(self, session_id="run"):
        token = self._tokens.get(session_id, "")
        return ((TOKEN_HEADER, token),) if token else ()


class Bridge:
    """A receiver with everything below it, and a sink that records."""

    def __init__(
        self, tmp_path, authentication=OPEN, *, shared=None, load_archived=None, **config
    ) -> None:
        self.sink = Recording()
        self.telemetry = Telemetry()
        self.sessions = Sessions(limit=5)
        self.commands = Commands()
        self.database = SqliteDatabase(tmp_path / "bridge.db")
        self.committer = Committer([], self.database, self.telemetry)
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=self.commands,
            sinks=[self.sink],
            committer=self.committer,
            telemetry=self.telemetry,
        )
        self.image_counts: dict[str, tuple[int, int]] = {}
        self.tokens: dict[str, str] = {}
        """By session, what its streams show."""
        self.deps = StreamDependencies(
            pipeline=self.pipeline,
            sessions=self.sessions,
            commands=self.commands,
            telemetry=self.telemetry,
            count_images=lambda session_id: self.image_counts.get(session_id, (0, 0)),
            authentication=authentication,
            shared=shared,
            load_archived=load_archived or (lambda _session_id: None),
        )
        self.servicer = Servicer(
            self.deps, ServerConfig(limits=MessageLimits(image_dimension=64), **config)
        )

    def errors(self, code: str) -> float:
        return self.telemetry.registry.get_sample_value("bridge_errors_total", {"code": code}) or 0

    @asynccontextmanager
    async def running(self):
        """Serve, and give a stub."""
        async with AsyncExitStack() as stack:
            stack.callback(self.database.close)
            await stack.enter_async_context(self.committer.running())
            server = await stack.enter_async_context(bind_server("127.0.0.1:0", **LIMITS))
            await stack.enter_async_context(serve_grpc(server, self.servicer, grace_seconds=5))
            self.address = server.address
            self.channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(server.address)
            )
            yield Trainer(self.channel, self.tokens)


async def registered(stub, session_id="run", **fields) -> str:
    """Register a session and return its id."""
    response = await stub.RegisterTrainingSession(
        wire.SessionInfo(session_id=session_id, client_instance_id="i", **fields)
    )
    assert response.success, response.message
    return response.session_id


def registered_here(bridge, session_id) -> None:
    """Register a session without asking the disk."""
    registration = bridge.pipeline.register(session_id, Client(instance_id="i"), Config())
    bridge.tokens[session_id] = registration.token


def batch(index=0, *, session_id="run", sequence=0, images=(), **fields) -> wire.MetricsRequest:
    """Return a batch."""
    parts = [wire.ImageData(image_bytes=image) for image in images]
    data = wire.BatchData(epoch=1, batch_idx=index, batch_loss=0.5, images=parts, **fields)
    return wire.MetricsRequest(session_id=session_id, sequence=sequence, batch_data=data)


async def say(stream, *requests) -> None:
    """Write requests to a stream."""
    for request in requests:
        await stream.write(request)


async def hear(stream) -> wire.MetricsResponse:
    """Return the next answer of a stream."""
    async with asyncio.timeout(60):
        answer = await stream.read()
    assert answer is not grpc.aio.EOF
    return answer

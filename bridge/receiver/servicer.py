"""The three calls of MetricsService."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from bridge.errors import BridgeError, LimitError, StorageError
from bridge.protocol import LEFT_OVER_HEADER, STARTED_HEADER
from bridge.receiver.caller import caller_of
from bridge.receiver.decode import Result, decode_frame, decode_request
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.errors import answer_to
from bridge.receiver.limits import Limits
from bridge.receiver.run_info import client_of, config_of
from bridge.receiver.stream import Stream
from bridge.session import Session
from bridge.threads import ThreadLimiter
from bridge.trace_context import TraceContext
from bridge.wire import metrics_pb2 as wire
from bridge.wire.values import SESSION_INFO, has_more

SERVICE = wire.DESCRIPTOR.services_by_name["MetricsService"].full_name

STOPPING = "this bridge is stopping; reconnect soon"
UNREADABLE_INFO = "the message is not a readable SessionInfo"

TOO_MANY_VALUES = (
    "the SessionInfo holds more labels and class names than one message may (--max-message-values)"
)

Context = grpc.aio.ServicerContext[Any, Any]
Decode = Callable[[bytes, Limits], list[Result]]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What clients learn when they register, and the limits they are held to."""

    limits: Limits = field(default_factory=Limits)
    heartbeat_seconds: float = 20.0
    buffer_bytes: int = 64 << 20
    flush_seconds: float = 0.2
    """How long our SDK collects for one frame; what comes after silence it sends at once."""
    max_message_bytes: int = 32 << 20
    image_batches_per_second: float = 2.0
    max_streams: int = 2_000
    reconnect_seconds: float = 1.0
    """How long a client waits before it reconnects, when this bridge stops."""


class Servicer:
    """Serves registrations and streams, and ends the streams when the bridge stops."""

    def __init__(self, deps: StreamDependencies, config: ServerConfig) -> None:
        """Serve with the configuration given."""
        self._deps = deps
        self._config = config
        self._streams: dict[Stream, asyncio.Task[None]] = {}
        self._is_draining = False
        self._archive_threads = ThreadLimiter("archived sessions", 4)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the calls for a server.

        Requests are left undecoded: a generated servicer would kill the whole stream at one bad byte.
        """
        frames = {"StreamMetrics": decode_request, "StreamMetricsBatches": decode_frame}
        calls: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.stream_stream_rpc_method_handler(
                self._streaming(decode),
                request_deserializer=None,
                response_serializer=wire.MetricsResponse.SerializeToString,
            )
            for name, decode in frames.items()
        }
        calls["RegisterTrainingSession"] = grpc.unary_unary_rpc_method_handler(
            self._register,
            request_deserializer=None,
            response_serializer=wire.SessionResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, calls)

    async def drain(self, grace_seconds: float) -> None:
        """Have every client reconnect elsewhere, accept nothing new, and wait until all is answered."""
        self._is_draining = True
        for stream in self._streams:
            stream.drain(round(self._config.reconnect_seconds * 1000))
        if self._streams:
            await asyncio.wait(self._streams.values(), timeout=grace_seconds)

    async def _register(self, raw: bytes, context: Context) -> wire.SessionResponse:
        if self._is_draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
        if has_more(raw, SESSION_INFO, self._config.limits.values):
            self._deps.telemetry.error_answered("REGISTRATION", TOO_MANY_VALUES)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, TOO_MANY_VALUES)
        try:
            info = wire.SessionInfo.FromString(raw)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, UNREADABLE_INFO)
        try:
            return await self._register_session(info, context)
        except Exception as error:  # noqa: BLE001 -- no internal text may reach a client
            self._report(error)
            answer = answer_to(error)
            text = answer.text or str(error)
            if answer.status is None:
                return wire.SessionResponse(
                    success=False, session_id=info.session_id[:64], message=text
                )
            await context.abort(answer.status, text)
        raise AssertionError  # abort raises

    def _report(self, error: Exception) -> None:
        telemetry = self._deps.telemetry
        if isinstance(error, StorageError):
            telemetry.storage_failed("register", error)
        elif not isinstance(error, BridgeError):
            telemetry.unexpected_error("register", error)
        elif not isinstance(error, LimitError):
            telemetry.error_answered("REGISTRATION", str(error))

    async def _register_session(
        self, info: wire.SessionInfo, context: Context
    ) -> wire.SessionResponse:
        limits = self._config.limits
        client = client_of(info, _trace_context(context), limits)
        client = replace(client, **_attempt(context))
        left_out = len(info.labels) - len(client.labels)
        if left_out:
            self._deps.telemetry.dropped("label", "limit", left_out)
        config = config_of(info.config, limits)
        archived = await self._load_archived(info.session_id)
        registration = self._deps.pipeline.register(
            info.session_id, client, config, archived, caller=caller_of(context)
        )
        session = registration.session
        return wire.SessionResponse(
            success=True,
            session_id=session.id,
            message="registered",
            server_config=self._server_config(),
            resume_sequence=session.committed,
            stream_token=registration.token,
        )

    async def _load_archived(self, session_id: str) -> Session | None:
        """Look on the disk, which may hang, for a session that is not in memory."""
        deps = self._deps
        if not session_id or deps.sessions.find(session_id) is not None:
            return None
        archived = None
        if not deps.is_being_archived(session_id):
            archived = await self._archive_threads.run(lambda: deps.load_archived(session_id))
        if deps.is_being_archived(session_id):
            raise StorageError(f"{session_id} has just expired, and is not on disk yet")
        return archived

    def _server_config(self) -> wire.ServerConfig:
        config = self._config
        return wire.ServerConfig(
            max_batch_size=config.limits.images_per_batch,
            max_image_dimension=config.limits.image_dimension,
            heartbeat_interval_ms=round(config.heartbeat_seconds * 1000),
            buffer_size=config.buffer_bytes,
            flush_interval_ms=round(config.flush_seconds * 1000),
            max_message_bytes=config.max_message_bytes,
            image_batches_per_second=config.image_batches_per_second,
        )

    def _streaming(self, decode: Decode) -> Callable[[Any, Context], Any]:
        async def serve(_requests: object, context: Context) -> None:
            await self._admit(context)
            stream = Stream(self._deps, caller_of(context))
            reader = asyncio.create_task(self._read(context, stream, decode), name="stream reader")
            writer = asyncio.create_task(stream.write_to(context.write), name="stream writer")
            self._streams[stream] = writer
            self._deps.telemetry.stream_opened()
            try:
                await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                stream.finish()
                await asyncio.wait({writer})
                if stream.is_superseded:
                    context.set_code(grpc.StatusCode.ABORTED)
                    context.set_details("a newer stream of the same client has taken over")
            finally:
                del self._streams[stream]
                self._deps.telemetry.stream_closed()
                stream.close()
                reader.cancel()
                writer.cancel()
                await asyncio.gather(reader, writer, return_exceptions=True)

        return serve

    async def _admit(self, context: Context) -> None:
        if self._is_draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
        if len(self._streams) >= self._config.max_streams:
            self._deps.telemetry.error_answered("RESOURCE_EXHAUSTED", "too many streams")
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"this bridge already serves {self._config.max_streams} streams (--max-streams)",
            )

    async def _read(self, context: Context, stream: Stream, decode: Decode) -> None:
        """Read until the client has finished or is gone.

        An end of the stream says nothing about the session: only a status message ends that
        (grpc/grpc#36193: kill, cancel and close all look like a clean end first).
        """
        limits = self._config.limits
        while (raw := await context.read()) is not grpc.aio.EOF and not self._is_draining:
            stream.receive(decode(raw, limits), len(raw))
            await stream.wait_for_capacity()


def _attempt(context: Context) -> dict[str, Any]:
    """Return when the attempt began that registers, and whether its process is gone, where that is reported."""
    found = dict(context.invocation_metadata() or ())
    started = found.get(STARTED_HEADER, "")
    is_time = isinstance(started, str) and re.fullmatch(r"[0-9]{1,15}", started)
    return {
        "started_ms": int(started) if is_time else 0,
        "is_left_over": found.get(LEFT_OVER_HEADER) == "1",
    }


def _trace_context(context: Context) -> TraceContext | None:
    """Return the W3C trace context of a call, or None where it has none that is well-formed."""
    headers = context.invocation_metadata() or ()
    parsed = (
        TraceContext.parse(value)
        for key, value in headers
        if key == "traceparent" and isinstance(value, str)
    )
    return next(filter(None, parsed), None)

"""The three calls of MetricsService."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from bridge.admission import Caller, not_owned
from bridge.errors import (
    BridgeError,
    LimitError,
    PermissionDeniedError,
    StorageError,
    UnauthenticatedError,
)
from bridge.protocol import LEFT_OVER_HEADER, STARTED_HEADER
from bridge.receiver.archive_lookup import ArchiveLookup
from bridge.receiver.caller import LOOPBACK, authenticated, caller_of
from bridge.receiver.decode import Result, decode_frame, decode_request
from bridge.receiver.dependencies import StreamDependencies
from bridge.receiver.endings import (
    EXPIRED,
    NO_LONGER_ADMITTED,
    Ending,
    nothing_said,
    unread,
)
from bridge.receiver.errors import answer_to
from bridge.receiver.first_messages import FirstMessages, Turn
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.rebalance import rebalancing
from bridge.receiver.run_info import client_of, config_of
from bridge.receiver.server_config import ServerConfig
from bridge.receiver.shared_sessions import SessionsElsewhere
from bridge.receiver.stream import Stream
from bridge.receiver.stream_counts import StreamCounts
from bridge.sessions import new_name
from bridge.trace_context import TraceContext
from bridge.wire import metrics_pb2 as wire
from bridge.wire.scan import SESSION_INFO, has_more

SERVICE = wire.DESCRIPTOR.services_by_name["MetricsService"].full_name

STOPPING = "this bridge is stopping; reconnect soon"
UNREADABLE_INFO = "the message is not a readable SessionInfo"

WATCH_SECONDS = 1.0
"""How often it is looked for streams that are open and not used."""

RENEWAL_MS = 1_000
"""After which a client whose token has expired connects again, with the one that it has by then."""

TOO_MANY_VALUES = (
    "the SessionInfo holds more labels and class names than one message may (--max-message-values)"
)

Context = grpc.aio.ServicerContext[Any, Any]
Decode = Callable[[bytes, MessageLimits], list[Result]]


class Servicer:
    """Serves registrations and streams, and ends the streams when the bridge stops."""

    def __init__(self, deps: StreamDependencies, config: ServerConfig) -> None:
        """Serve with the configuration given."""
        self._deps = deps
        self._config = config
        self._streams: dict[Stream, asyncio.Task[None]] = {}
        self._counts = StreamCounts(config.max_streams, config.max_streams_per_address)
        # Whoever waits does so for longer than one that has its turn may take.
        self._first_messages = FirstMessages(
            config.max_first_messages, 2 * config.first_message_seconds
        )
        self._is_draining = False
        self._archive = ArchiveLookup(deps)
        self._elsewhere = SessionsElsewhere(deps)

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
        # As a stream of one message: nothing of a registration is in memory before it has its turn.
        calls["RegisterTrainingSession"] = grpc.stream_unary_rpc_method_handler(
            self._read_registration,
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

    async def watch(self) -> None:
        """End streams that their clients leave open without using them; runs until it is cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self._end_overdue()
            except Exception as error:  # noqa: BLE001 -- the next round may succeed
                self._deps.telemetry.unexpected_error("streams", error)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for stream, writer in tuple(self._streams.items()):
            ending = self._overdue(stream, now)
            if ending is not None and stream.ending is None:
                stream.ending = ending
                self._deps.telemetry.stream_refused(ending.reason, host=stream.caller.host)
                writer.cancel()
            elif time.time() >= stream.caller.identity.renew_at:
                stream.reconnect(RENEWAL_MS)

    def _overdue(self, stream: Stream, now: float) -> Ending | None:
        config = self._config
        if not self._deps.authentication.is_current(stream.caller.identity):
            return NO_LONGER_ADMITTED
        if stream.outgoing.blocked_seconds(now) > config.unread_seconds:
            return unread(config.unread_seconds)
        if stream.session_id:
            is_known = self._deps.sessions.find(stream.session_id) is not None
            return None if is_known else EXPIRED
        seconds = config.first_message_seconds
        is_overdue = stream.turn is not None and stream.turn.is_overdue(now, seconds)
        return nothing_said(seconds) if is_overdue else None

    async def _read_registration(self, _requests: object, context: Context) -> wire.SessionResponse:
        caller = await self._authenticated(context)
        seconds = self._config.first_message_seconds
        raw: Any = grpc.aio.EOF
        try:
            async with self._first_messages.turn(caller.host), asyncio.timeout(seconds):
                raw = await context.read()
        except LimitError as error:
            await self._refuse(context, "no_turn", str(error))
        except TimeoutError:
            text = f"the registration did not arrive within {seconds:g} s (--first-message-seconds)"
            await self._refuse(context, "no_message", text)
        if raw is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, UNREADABLE_INFO)
        return await self._register(raw, context, caller)

    async def _authenticated(self, context: Context) -> Caller:
        """Return who makes a call; ends it where that is nobody who may."""
        try:
            return await authenticated(context, self._deps.authentication)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            answer = answer_to(error)
            assert answer.status is not None  # noqa: S101 -- as the table says
            reason = answer.status.name.lower()
            self._deps.telemetry.stream_refused(reason, host=caller_of(context).host)
            await context.abort(answer.status, str(error))
        raise AssertionError  # abort raises

    async def _refuse(self, context: Context, reason: str, text: str) -> NoReturn:
        """Refuse a call for a limit of how many there may be, and how long each may take."""
        self._deps.telemetry.stream_refused(reason, host=caller_of(context).host)
        self._deps.telemetry.error_answered("RESOURCE_EXHAUSTED", text)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        raise AssertionError  # abort raises

    async def _register(self, raw: bytes, context: Context, caller: Caller) -> wire.SessionResponse:
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
            return await self._register_session(info, context, caller)
        except Exception as error:  # noqa: BLE001 -- no internal text may reach a client
            self._report(error)
            answer = answer_to(error)
            text = answer.text or str(error)
            if answer.status is None:
                seconds = getattr(error, "retry_after_seconds", 0.0)
                return wire.SessionResponse(
                    success=False,
                    session_id=info.session_id[:64],
                    message=text,
                    retry_after_ms=math.ceil(seconds * 1000),
                )
            await context.abort(answer.status, text)
        raise AssertionError  # abort raises

    def _report(self, error: Exception) -> None:
        telemetry = self._deps.telemetry
        if isinstance(error, StorageError):
            telemetry.storage_failed("register", error)
        elif not isinstance(error, BridgeError):
            telemetry.unexpected_error("register", error)
        else:
            is_limit = isinstance(error, LimitError)
            code = "RESOURCE_EXHAUSTED" if is_limit else "REGISTRATION"
            telemetry.error_answered(code, str(error))

    async def _register_session(
        self, info: wire.SessionInfo, context: Context, caller: Caller
    ) -> wire.SessionResponse:
        if info.session_id and not caller.identity.owns(info.session_id):
            raise PermissionDeniedError(not_owned(caller.identity))
        limits = self._config.limits
        client = client_of(info, _trace_context(context), limits)
        client = replace(client, **_attempt(context))
        if left_out := len(info.labels) - len(client.labels):
            self._deps.telemetry.dropped("label", "limit", left_out)
        if info.config_json and not client.run_config and info.config_json.strip() != "{}":
            self._deps.telemetry.dropped("run_config", "unreadable")
        if info.run_id and not client.run_id:
            self._deps.telemetry.dropped("run_id", "invalid")
        session_id = info.session_id or new_name(caller.identity)
        await self._elsewhere.before_registration(session_id, client)
        archived, attempts_before = await self._archive.find(info.session_id)
        registration = self._deps.pipeline.register(
            session_id,
            client,
            config_of(info.config, limits),
            archived,
            attempts_before=attempts_before,
            caller=caller,
        )
        await self._elsewhere.after_registration(registration.session)
        session = registration.session
        return wire.SessionResponse(
            success=True,
            session_id=session.id,
            message="registered",
            server_config=self._config.to_wire(),
            resume_sequence=session.committed,
            stream_token=registration.token,
            attempt=session.attempt,
            page_url=self._config.page_url(session.id, is_local=caller.host == LOOPBACK),
        )

    def _streaming(self, decode: Decode) -> Callable[[Any, Context], Any]:
        reconnect_ms = round(self._config.reconnect_seconds * 1000)

        async def serve(_requests: object, context: Context) -> None:
            caller = await self._authenticated(context)
            await self._admit(context, caller)
            stream = Stream(self._deps, caller)
            reader = asyncio.create_task(self._read(context, stream, decode), name="stream reader")
            writer = asyncio.create_task(stream.write_to(context.write), name="stream writer")
            self._streams[stream] = writer
            self._counts.add(caller)
            self._deps.telemetry.stream_opened()
            try:
                with rebalancing(self._deps, stream, self._config.rebalance_seconds, reconnect_ms):
                    await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                stream.finish()
                await asyncio.wait({writer})
                if stream.ending is not None:
                    context.set_code(stream.ending.status)
                    context.set_details(stream.ending.text)
            finally:
                del self._streams[stream]
                self._counts.remove(caller)
                self._deps.telemetry.stream_closed()
                stream.close()
                reader.cancel()
                writer.cancel()
                await asyncio.gather(reader, writer, return_exceptions=True)

        return serve

    async def _admit(self, context: Context, caller: Caller) -> None:
        if self._is_draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
        reason, text = self._counts.refusal(caller)
        if reason:
            await self._refuse(context, reason, text)

    async def _read(self, context: Context, stream: Stream, decode: Decode) -> None:
        """Read until the client has finished or is gone.

        An end of the stream says nothing about the session: only a status message ends that
        (grpc/grpc#36193: kill, cancel and close all look like a clean end first).
        """
        limits, outgoing = self._config.limits, stream.outgoing
        try:
            turn = stream.turn = await self._turn_of(stream.caller)
        except LimitError as error:
            stream.ending = Ending("no_turn", grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            self._deps.telemetry.stream_refused("no_turn", host=stream.caller.host)
            return
        try:
            while (raw := await context.read()) is not grpc.aio.EOF:
                if self._is_draining or stream.is_closing:
                    return
                await self._elsewhere.before_stream(stream, results := decode(raw, limits))
                stream.receive(results, len(raw))
                if turn is not None and stream.session_id:
                    turn.end()
                await outgoing.wait_for_capacity()
        finally:
            if turn is not None:
                turn.end()

    async def _turn_of(self, caller: Caller) -> Turn | None:
        """Return the turn of a stream, or None for a client that has registered and needs none."""
        has_registered = self._deps.pipeline.admission.has_registered(caller)
        if has_registered and not self._counts.has_many(caller):
            return None
        return await self._first_messages.take(caller.host)


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

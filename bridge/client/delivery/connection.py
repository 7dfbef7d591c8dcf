"""The way to a real bridge: register, stream, and come back whenever the way breaks."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc

from bridge.backoff import backoff_seconds
from bridge.client.clock import now_ms
from bridge.client.commands import Command, CommandInbox
from bridge.client.delivery.channel import (
    SERVICE,
    SESSION_HEADER,
    TOKEN_HEADER,
    attempt_metadata,
    open_channel,
)
from bridge.client.delivery.failure import (
    ConnectionFailure,
    RegistrationRefusedError,
    StreamBrokenError,
    is_refusal,
    reason_of,
)
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.encoder import described, text
from bridge.client.identity import Identity
from bridge.client.process_hooks import GRPC_USE
from bridge.client.settings import Destination
from bridge.client.stats import Notices, Stats
from bridge.protocol import CommandType
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import join_frame, session_prefix

log = logging.getLogger("trainbridge")

REGISTER_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 30.0
SMALLEST_MESSAGE_BYTES = 65_536

JOIN_SECONDS = 0.5
"""So long the end of a stream waits for gRPC's two threads of it: one reads the requests, one the answers."""

JOIN_POLL_SECONDS = 0.001
"""How often it looks whether one has begun at all."""

FORKED = (
    "this process was forked after its parent had connected a session, and gRPC does not work in such a"
    " child; start processes that have sessions of their own with multiprocessing's 'spawn', or fork them"
    " before the first session"
)


class Connection:
    """Takes what is in an outbox to a bridge, and commands back; runs in a thread of its own."""

    def __init__(
        self,
        destination: Destination,
        identity: Identity,
        outbox: Outbox,
        commands: CommandInbox,
        *,
        stats: Stats,
        notices: Notices,
    ) -> None:
        """Connect to nothing yet."""
        self.server_config = ServerConfig()
        self.session_id = identity.session_id
        self.disconnected_since: float | None = time.monotonic()
        """Since when there has been no connection; monotonic."""
        self.failure: ConnectionFailure | None = None
        """Why the last attempt failed; None once a stream is open."""
        self._destination = destination
        self._identity = identity
        self._outbox = outbox
        self._commands = commands
        self._stats = stats
        self._notices = notices
        self._stopping = threading.Event()
        self._backoff_skipped = threading.Event()
        self._channel: grpc.Channel | None = None
        self._stream_token = ""
        self._uses_frames = True
        self._has_answered = False
        self._reconnect_after_seconds = 0.0
        self._heartbeats = 0
        self._largest_bytes: int | None = None

    def run(self) -> None:
        """Deliver until the outbox is done, or `stop`; never raises."""
        attempt = 0
        if GRPC_USE.is_broken:
            self._give_up()
            return
        while not self._is_over():
            self._has_answered = False
            try:
                self._connect_once()
            except (grpc.RpcError, RegistrationRefusedError, StreamBrokenError) as error:
                self._on_failure(reason_of(error), is_refusal=is_refusal(error))
            except Exception as error:  # noqa: BLE001 -- whatever happens here, training goes on
                self._on_failure(f"{type(error).__name__}: {error}")
            if self._is_over():
                break
            attempt = 0 if self._has_answered else attempt + 1
            self._back_off(attempt)

    def _give_up(self) -> None:
        """Say why nothing can ever be sent from this process, and keep nobody waiting for it."""
        self.failure = ConnectionFailure(FORKED, is_refusal=False)
        self._notices.once(
            "forked", f"nothing goes to the bridge at {self._destination.target}: {FORKED}"
        )
        self._outbox.give_up()

    def skip_backoff(self) -> None:
        """Do not wait any longer before the next attempt: the run is over."""
        self._backoff_skipped.set()

    def stop(self) -> None:
        """Give up at once."""
        self._stopping.set()
        self._backoff_skipped.set()
        self._outbox.close_stream()
        channel = self._channel
        if channel is not None:
            channel.close()

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call; the session's name, so that a proxy can send all of them one way."""
        return (*self._destination.metadata, (SESSION_HEADER, self.session_id))

    def _is_over(self) -> bool:
        return self._stopping.is_set() or self._outbox.is_done

    def _back_off(self, attempt: int) -> None:
        """Wait before the next attempt, longer each time."""
        wait_seconds = self._reconnect_after_seconds + backoff_seconds(
            attempt, first_seconds=FIRST_BACKOFF_SECONDS, longest_seconds=LONGEST_BACKOFF_SECONDS
        )
        self._reconnect_after_seconds = 0.0
        if self._backoff_skipped.is_set():
            self._stopping.wait(min(wait_seconds, FIRST_BACKOFF_SECONDS))
        else:
            self._backoff_skipped.wait(wait_seconds)

    def _connect_once(self) -> None:
        """Register and stream once, on a new channel: an old one remembers its failures."""
        GRPC_USE.note_channel()
        channel = open_channel(self._destination)
        self._channel = channel
        try:
            if not self._stopping.is_set():
                self._register(channel)
                self._stream(channel)
        finally:
            self._stats.connected = False
            if self.disconnected_since is None:
                self.disconnected_since = time.monotonic()
            self._channel = None
            channel.close()

    def _register(self, channel: grpc.Channel) -> None:
        identity = self._identity
        info = wire.SessionInfo(
            session_id=self.session_id,
            client_name=identity.client_name,
            client_version=identity.client_version,
            config=identity.config.to_wire(),
            timestamp_ms=now_ms(),
            client_instance_id=identity.instance_id,
            labels=described(identity.labels),
        )
        register = channel.unary_unary(
            f"{SERVICE}/RegisterTrainingSession",
            request_serializer=wire.SessionInfo.SerializeToString,
            response_deserializer=wire.SessionResponse.FromString,
        )
        metadata = (*self._metadata, *attempt_metadata(identity))
        response = register(info, timeout=REGISTER_SECONDS, metadata=metadata)
        if not response.success:
            raise RegistrationRefusedError(response.message or "the bridge does not say why")
        self.session_id = response.session_id or self.session_id
        self._stream_token = response.stream_token
        server_config = ServerConfig.from_wire(response.server_config)
        if self._largest_bytes is not None:
            server_config = replace(
                server_config, message_bytes=min(server_config.message_bytes, self._largest_bytes)
            )
        self.server_config = server_config
        self._outbox.acknowledge(response.resume_sequence)

    def _stream(self, channel: grpc.Channel) -> None:
        """Stream in frames of many messages; a bridge that does not know them gets single ones."""
        try:
            self._stream_once(channel)
        except grpc.RpcError as error:
            if not self._uses_frames or error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                self._reduce_message_bytes(error)
                raise
            self._uses_frames = False
            self._stream_once(channel)

    def _stream_once(self, channel: grpc.Channel) -> None:
        method = "StreamMetricsBatches" if self._uses_frames else "StreamMetrics"
        streaming: grpc.StreamStreamMultiCallable[Any, wire.MetricsResponse] = (
            channel.stream_stream(
                f"{SERVICE}/{method}",
                request_serializer=None,  # encoded once, when the message was made
                response_deserializer=wire.MetricsResponse.FromString,
            )
        )
        stream = self._outbox.open_stream()
        metadata = self._metadata
        if self._stream_token:
            metadata = (*metadata, (TOKEN_HEADER, self._stream_token))
        threads: set[threading.Thread] = set()
        call = streaming(self._requests(stream, threads), metadata=metadata)
        call.add_callback(lambda: threads.add(threading.current_thread()))
        self._stats.connections += 1
        self._on_connected()
        try:
            for response in call:
                self._has_answered = True
                self._dispatch(response)
        finally:
            self._outbox.close_stream()
            call.cancel()
            _join_threads(threads)
        if not self.server_config.uses_sequences and self._outbox.is_finished:
            self._outbox.acknowledge_sent()  # it has read all and closed without complaint

    def _requests(self, stream: int, threads: set[threading.Thread]) -> Iterator[bytes]:
        """Yield frames as messages come, and a heartbeat when none come; runs in a thread of gRPC's."""
        threads.add(threading.current_thread())
        prefix = session_prefix(self.session_id)
        while True:
            server_config = self.server_config
            messages = self._outbox.take_frame(
                stream,
                window_bytes=server_config.window_bytes,
                message_bytes=server_config.message_bytes - len(prefix) - 16,
                deadline=time.monotonic() + server_config.heartbeat_seconds,
                single=not self._uses_frames,
                until_acknowledged=server_config.uses_sequences,
                fill_gaps=server_config.uses_sequences,
            )
            if messages is None:
                return
            bodies = [message.body for message in messages] or [self._heartbeat()]
            frame = join_frame(prefix, bodies) if self._uses_frames else prefix + bodies[0]
            self._stats.bytes_sent += len(frame)
            yield frame

    def _heartbeat(self) -> bytes:
        self._heartbeats += 1
        now = now_ms()
        beat = wire.Heartbeat(timestamp_ms=now, sequence_number=self._heartbeats)
        return wire.MetricsRequest(timestamp_ms=now, heartbeat=beat).SerializeToString()

    def _dispatch(self, response: wire.MetricsResponse) -> None:
        kind = response.WhichOneof("payload")
        if kind is not None:
            _HANDLERS[kind](self, getattr(response, kind))

    def _on_ack(self, ack: wire.Acknowledgment) -> None:
        self._stats.images_kept += ack.images_kept
        self._stats.images_dropped += ack.images_dropped
        if ack.sequence:
            self.server_config = (
                replace(self.server_config, uses_sequences=True)
                if not self.server_config.uses_sequences
                else self.server_config
            )
            self._outbox.acknowledge(ack.sequence)
        elif not self.server_config.uses_sequences:
            if not ack.success:
                self._notices.once("not taken", f"the bridge did not take batch {ack.batch_idx}")
            self._outbox.acknowledge_batch(ack.batch_idx)

    def _on_command(self, command: wire.ControlCommand) -> None:
        try:
            kind = CommandType(command.type)
        except ValueError:
            log.warning("unknown command type %s", command.type)
            return
        log.info("received command %s", kind.name)
        self._commands.receive(Command(kind, dict(command.parameters), command.command_id))

    def _on_error(self, error: wire.ErrorResponse) -> None:
        name = wire.ErrorResponse.ErrorCode.Name(error.code) if error.code in _CODES else "ERROR"
        said = f"the bridge says {name}: {error.message}"
        if error.code == wire.ErrorResponse.INVALID_SESSION:
            self._has_answered = False
            raise StreamBrokenError(said)
        is_again = error.code == wire.ErrorResponse.INTERNAL_ERROR and error.sequence
        if error.code == wire.ErrorResponse.BUFFER_FULL or (is_again and error.retryable):
            self._notices.once(f"again {name}", said)
            if not self._outbox.pause_and_rewind(
                error.sequence, error.retry_after_ms / 1000 or 1.0
            ):
                raise StreamBrokenError(
                    said
                )  # only a new stream may begin behind what it waits for
            return
        self._notices.once(f"{name} {error.message[:40]}", said)
        if error.code == wire.ErrorResponse.INVALID_DATA and error.sequence:
            self._outbox.mark_refused(error.sequence)

    def _on_draining(self, draining: wire.Draining) -> None:
        self._reconnect_after_seconds = draining.reconnect_after_ms / 1000
        self._outbox.close_stream()

    def _reduce_message_bytes(self, error: grpc.RpcError) -> None:
        """Send smaller messages to a bridge that has refused one for its size."""
        too_large = "larger than max" in (error.details() or "")
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and too_large:
            smaller = max(SMALLEST_MESSAGE_BYTES, self.server_config.message_bytes // 2)
            self._largest_bytes = smaller
            log.warning("the bridge refuses large messages; from now on at most %d bytes", smaller)

    def _on_connected(self) -> None:
        self._stats.connected = True
        self.disconnected_since = None
        self.failure = None
        log.info("session %s streams to %s", self.session_id, self._destination.target)

    def _on_failure(self, reason: str, *, is_refusal: bool = False) -> None:
        if self._stopping.is_set():
            return
        self.failure = ConnectionFailure(text(reason), is_refusal=is_refusal)
        if self._has_answered:
            self._notices.forget("lost")
        self._notices.once(
            "lost",
            f"no connection to the bridge at {self._destination.target} ({text(reason)}); "
            "training goes on, what it says is kept and sent later",
        )


_HANDLERS: dict[str, Callable[[Connection, Any], None]] = {
    "ack": Connection._on_ack,
    "command": Connection._on_command,
    "error": Connection._on_error,
    "draining": Connection._on_draining,
}

_CODES = set(wire.ErrorResponse.ErrorCode.values())


def _join_threads(threads: set[threading.Thread]) -> None:
    """Wait until gRPC's threads of a call that is over have ended.

    They are daemons. One that an interpreter which ends has stopped while it holds the lock of its call
    leaves it locked, and the call, which is finalised later, waits for it for ever.
    """
    deadline = time.monotonic() + JOIN_SECONDS
    while (alive := [thread for thread in tuple(threads) if thread.is_alive()]) or len(threads) < 2:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return
        if alive:
            alive[0].join(remaining)
        else:
            time.sleep(JOIN_POLL_SECONDS)

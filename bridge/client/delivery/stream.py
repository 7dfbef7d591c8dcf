"""One stream to a bridge: frames from the outbox go out, and the responses to whom they concern."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from bridge.client.clock import now_ms
from bridge.client.delivery.channel import SERVICE, Metadata
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.responses import ResponseDispatcher
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.stats import Stats
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import join_frame, session_prefix

FRAME_OVERHEAD_BYTES = 16
"""The tags and lengths around the first message of a frame, and some headroom."""

JOIN_SECONDS = 0.5
"""How long the end of a stream waits for gRPC's two threads of it: one reads requests, one gets responses."""

JOIN_POLL_SECONDS = 0.001
"""How often it checks whether they have begun at all."""


class MetricsStream:
    """One call of StreamMetricsBatches, or of StreamMetrics where the bridge does not know frames."""

    def __init__(
        self,
        outbox: Outbox,
        responses: ResponseDispatcher,
        *,
        session_id: str,
        server_config: Callable[[], ServerConfig],
        uses_frames: bool,
        heartbeats: Iterator[int],
        stats: Stats,
    ) -> None:
        """Send nothing yet; `heartbeats` numbers them across streams."""
        self._outbox = outbox
        self._responses = responses
        self._prefix = session_prefix(session_id)
        self._server_config = server_config
        self._uses_frames = uses_frames
        self._heartbeats = heartbeats
        self._stats = stats
        self._threads: set[threading.Thread] = set()
        self._call: Any = None

    def open(self, channel: grpc.Channel, metadata: Metadata) -> None:
        """Begin to send."""
        method = "StreamMetricsBatches" if self._uses_frames else "StreamMetrics"
        stream_metrics: grpc.StreamStreamMultiCallable[Any, wire.MetricsResponse] = (
            channel.stream_stream(
                f"{SERVICE}/{method}",
                request_serializer=None,  # encoded once, when the message was made
                response_deserializer=wire.MetricsResponse.FromString,
            )
        )
        requests = self._requests(self._outbox.open_stream())
        self._call = stream_metrics(requests, metadata=metadata)
        self._call.add_callback(lambda: self._threads.add(threading.current_thread()))

    def run(self) -> None:
        """Dispatch responses until the stream ends. Raises RpcError, StreamBrokenError."""
        try:
            for response in self._call:
                self._responses.dispatch(response)
        finally:
            self._outbox.close_stream()
            self._call.cancel()
            _join(self._threads)
        if not self._server_config().uses_sequences and self._outbox.is_closed:
            self._outbox.acknowledge_sent()  # the bridge has read all of it and closed without an error

    def _requests(self, stream: int) -> Iterator[bytes]:
        """Yield frames as messages come, and a heartbeat when none come; runs in a thread of gRPC's."""
        self._threads.add(threading.current_thread())
        prefix = self._prefix
        while True:
            config = self._server_config()
            messages = self._outbox.take_frame(
                stream,
                window_bytes=config.window_bytes,
                message_bytes=config.message_bytes - len(prefix) - FRAME_OVERHEAD_BYTES,
                deadline=time.monotonic() + config.heartbeat_seconds,
                single=not self._uses_frames,
                until_acknowledged=config.uses_sequences,
                fill_gaps=config.uses_sequences,
            )
            if messages is None:
                return
            bodies = [message.body for message in messages]
            bodies = bodies or [encoded_heartbeat(next(self._heartbeats))]
            frame = join_frame(prefix, bodies) if self._uses_frames else prefix + bodies[0]
            self._stats.bytes_sent += len(frame)
            yield frame


def encoded_heartbeat(number: int) -> bytes:
    """Return a MetricsRequest that says that the process is alive, and what its clock shows."""
    now = now_ms()
    heartbeat = wire.Heartbeat(timestamp_ms=now, sequence_number=number)
    return wire.MetricsRequest(timestamp_ms=now, heartbeat=heartbeat).SerializeToString()


def _join(threads: set[threading.Thread]) -> None:
    """Wait until gRPC's threads of a call that is over have ended.

    They are daemons. One that a finalizing interpreter stops while it holds the lock of its call leaves
    that locked, and the call, which is finalized later, would wait for it and never return.
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

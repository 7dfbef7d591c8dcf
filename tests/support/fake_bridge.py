"""A bridge that says what a test wants, over real gRPC."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import grpc

from bridge.protocol import TOKEN_HEADER
from bridge.wire import metrics_pb2 as wire
from bridge.wire import metrics_pb2_grpc as service

OURS = {
    "max_batch_size": 16,
    "max_image_dimension": 4096,
    "heartbeat_interval_ms": 20_000,
    "buffer_size": 64 << 20,
    "flush_interval_ms": 5,
    "max_message_bytes": 32 << 20,
    "image_batches_per_second": 2.0,
}
ORIGINAL = {
    "max_batch_size": 16,
    "max_image_dimension": 1024,
    "heartbeat_interval_ms": 20_000,
    "buffer_size": 1 << 20,
}


class FakeBridge(service.MetricsServiceServicer):
    """Applies every sequence once, as a bridge does, unless it is configured to misbehave."""

    def __init__(self, *, config=None, frames=True, uses_sequences=True):
        """Offer frames or not, acknowledge by sequence or batch by batch."""
        self.config = wire.ServerConfig(**(OURS if config is None else config))
        self.frames = frames
        self.uses_sequences = uses_sequences
        self.registrations = []
        self.metadata = []
        self.streams = []
        """The method of each stream that was opened."""
        self.received = []
        """Every request, duplicates included."""
        self.applied = []
        """Every request once."""
        self.accepted = 0
        self._applying = threading.Lock()
        """Held by one stream at a time: a client may have opened another before the last one has ended here."""
        self.refuse_registration = ""
        self.retry_after_ms = 0
        """When a refused registration may succeed."""
        self.attempt = 1
        self.page_url = ""
        self.invalid = set()
        """Sequences to answer with INVALID_DATA."""
        self.stream_token = f"proof-{uuid4().hex}" if uses_sequences else ""
        """What a stream has to show, as with a bridge: a client of another test's may find the port it knew here."""
        self.strangers = []
        """The method and metadata of each stream that was refused for want of it."""
        self.lost_at = {}
        """Sequences that are not taken, so many times, with what is answered; those behind wait for them."""
        self.full_at = 0
        """A sequence to answer with BUFFER_FULL, once, and all behind it until it is sent again."""
        self.forget_at = 0
        """A sequence at which to forget the session, until it registers again."""
        self.break_at = []
        """Sequences to break the stream at, each once, before they are applied."""
        self.known = True
        self.drain_at = 0
        self.may_read = threading.Event()
        self.may_read.set()
        """Clear it, and the bridge is frozen."""
        self.tokens = None
        """The bearer tokens that are let in; None: whoever comes is. Taking one out ends its streams at their next message."""
        self.forbidden = set()
        """Those of them that may not stream."""
        self.authorizations = []
        """The Authorization header of each call, in order."""
        self.commands = []
        """To be given with the next answer."""
        self.address = ""

    def batches(self):
        """Return epoch and index of each batch that was applied."""
        return [
            (r.batch_data.epoch, r.batch_data.batch_idx)
            for r in self.applied
            if r.WhichOneof("payload") == "batch_data"
        ]

    @property
    def delivered(self):
        """Return the messages that were applied, without heartbeats, which fill gaps too."""
        return [request for request in self.applied if not request.HasField("heartbeat")]

    def of(self, kind):
        """Return the payloads of a kind that were applied."""
        return [getattr(r, kind) for r in self.applied if r.WhichOneof("payload") == kind]

    def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
        """Take note of who comes."""
        self.registrations.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self._authenticate(context)
        if self.refuse_registration:
            return wire.SessionResponse(
                success=False,
                message=self.refuse_registration,
                retry_after_ms=self.retry_after_ms,
            )
        self.known = True
        return wire.SessionResponse(
            success=True,
            session_id=request.session_id,
            server_config=self.config,
            stream_token=self.stream_token,
            attempt=self.attempt,
            page_url=self.page_url,
            resume_sequence=self.accepted if self.uses_sequences else 0,
        )

    def StreamMetrics(self, request_iterator, context):  # noqa: N802 -- the protocol's name
        """Take one message a frame."""
        self._admit("StreamMetrics", context)
        yield from self._serve(([request] for request in request_iterator), context)

    def StreamMetricsBatches(self, request_iterator, context):  # noqa: N802 -- the protocol's name
        """Take many messages a frame."""
        self._admit("StreamMetricsBatches", context)
        if not self.frames:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        yield from self._serve((frame.requests for frame in request_iterator), context)

    def _admit(self, method, context):
        """Refuse whoever has not registered here."""
        metadata = dict(context.invocation_metadata())
        if self.stream_token and metadata.get(TOKEN_HEADER) != self.stream_token:
            self.strangers.append((method, metadata))
            context.abort(grpc.StatusCode.ABORTED, "this stream belongs to no registration here")
        self._authenticate(context)
        self.streams.append(method)

    def _authenticate(self, context):
        shown = dict(context.invocation_metadata()).get("authorization", "")
        self.authorizations.append(shown)
        self._check(shown, context)

    def _check(self, shown, context):
        """End the call of whoever is not let in; the token is repeated, as no bridge should, to see where it turns up."""
        token = shown.removeprefix("Bearer ")
        if self.tokens is not None and token not in self.tokens:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"nobody knows {token!r}")
        if token in self.forbidden:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{token!r} has not the role ingest")

    def _serve(self, frames, context):
        self.metadata.append(dict(context.invocation_metadata()))
        shown = dict(context.invocation_metadata()).get("authorization", "")
        for requests in frames:
            self.may_read.wait(30)
            self._check(shown, context)
            for request in requests:
                self.received.append(request)
                answers = list(self._answers(request, context))
                yield from answers
                if any(answer.HasField("draining") for answer in answers):
                    return

    def _answers(self, request, context):
        sequence = request.sequence
        while self.commands:
            yield wire.MetricsResponse(command=self.commands.pop(0))
        if sequence and sequence in self.break_at:
            self.break_at.remove(sequence)
            context.abort(grpc.StatusCode.UNAVAILABLE, "broken on purpose")
        if sequence and sequence == self.forget_at:
            self.forget_at = 0
            self.known = False
        if not self.known:
            yield _error(wire.ErrorResponse.INVALID_SESSION, sequence)
            return
        if sequence in self.invalid:
            yield _error(wire.ErrorResponse.INVALID_DATA, sequence)
            return
        if (lost := self._lost(sequence)) is not None:
            yield lost
            return
        if self.full_at and sequence >= self.full_at:
            if sequence == self.full_at and sequence in {r.sequence for r in self.received[:-1]}:
                self.full_at = 0
            else:
                yield _error(wire.ErrorResponse.BUFFER_FULL, sequence, retry_after_ms=20)
                return
        self._apply(request)
        yield from self._acks(request)
        if sequence and sequence == self.drain_at:
            self.drain_at = 0
            yield wire.MetricsResponse(draining=wire.Draining(reconnect_after_ms=10))

    def _lost(self, sequence):
        times, code = self.lost_at.get(sequence, (0, None))
        if times:
            self.lost_at[sequence] = (times - 1, code)
            named = sequence if code != wire.ErrorResponse.INVALID_DATA else 0
            return _error(code, named, retryable=bool(named), retry_after_ms=20 if named else 0)
        if self.lost_at and sequence > self.accepted + 1:
            expected = self.accepted + 1
            return _error(wire.ErrorResponse.BUFFER_FULL, expected, retry_after_ms=20)
        return None

    def _apply(self, request):
        with self._applying:
            self._apply_once(request)

    def _apply_once(self, request):
        if request.HasField("heartbeat"):
            self.applied.append(request)
            self.accepted = max(self.accepted, request.sequence)
        elif not self.uses_sequences or request.sequence > self.accepted:
            self.accepted = request.sequence
            self.applied.append(request)

    def _acks(self, request):
        ack = wire.Acknowledgment(success=True)
        if self.uses_sequences:
            ack.sequence = self.accepted
            ack.images_kept = len(request.batch_data.images)
            yield wire.MetricsResponse(ack=ack)
        elif request.HasField("batch_data"):
            ack.batch_idx = request.batch_data.batch_idx
            yield wire.MetricsResponse(ack=ack)


@contextmanager
def serving(bridge, address="127.0.0.1:0", **options):
    """Serve a fake bridge; its address is in `bridge.address`."""
    settings = [("grpc.so_reuseport", 0), *options.items()]
    server = grpc.server(ThreadPoolExecutor(8), options=settings)
    service.add_MetricsServiceServicer_to_server(bridge, server)
    bridge.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    server.start()
    try:
        yield bridge
    finally:
        bridge.may_read.set()
        server.stop(None).wait()


def _error(code, sequence, **fields):
    return wire.MetricsResponse(
        error=wire.ErrorResponse(code=code, message="on purpose", sequence=sequence, **fields)
    )

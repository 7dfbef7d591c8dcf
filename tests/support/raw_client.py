"""A client that speaks the protocol itself, and knows exactly what it has sent and what was acknowledged."""

import queue
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import grpc
from support.known_run import KnownRun
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

ANSWER_SECONDS = 30
TOKEN_HEADER = "trainbridge-stream-token"
FRAME_MESSAGES = 500


class RawClient:
    """One training process; it is used by one thread, beside its own that reads answers.

    With `numbered` every message has a sequence, its place among `said`, from 1. Without, it is a
    client of the original protocol.
    """

    def __init__(
        self, address: str, run: KnownRun, *, instance_id="raw", numbered=True, frames=False
    ):
        """Connect to nothing yet; `frames`: many messages in one, where there are many."""
        self.address = address
        self.run = run
        self.instance_id = instance_id if numbered else ""
        self.numbered = numbered
        self.frames = frames
        self.said: list[wire.MetricsRequest] = []
        self.sent = 0
        """So many of `said` have been sent at least once."""
        self.acknowledged = 0
        """The highest sequence that the bridge has acknowledged."""
        self.acks: list[wire.Acknowledgment] = []
        self.errors: list[wire.ErrorResponse] = []
        self.token = ""
        """What its streams show, from the last registration that was accepted."""
        self.drainings = 0
        self.unanswered: deque[int] = deque()
        """Batches sent on this stream that have no Ack of their own yet; unnumbered clients only."""
        self.answered: set[int] = set()
        """Batches that had one."""
        self.ended = threading.Event()
        """The stream is over, whoever ended it."""
        self.ended.set()
        self.drained = threading.Event()
        """The bridge has asked to connect again."""
        self.code: grpc.StatusCode | None = None
        """How the stream ended; None: without an error."""
        self._channel: grpc.Channel | None = None
        self._outgoing: queue.SimpleQueue = queue.SimpleQueue()
        self._call = None
        self._reader = threading.Thread()

    def __enter__(self):
        """Return the client."""
        return self

    def __exit__(self, *_):
        """Hang up."""
        self.cut()

    def say(self, *requests: wire.MetricsRequest) -> int:
        """Number messages, without sending them; return the last sequence."""
        for request in requests:
            if self.numbered:
                request.sequence = len(self.said) + 1
            self.said.append(request)
        return len(self.said)

    def register(self) -> wire.SessionResponse:
        """Connect anew, and register; raises grpc.RpcError."""
        self.cut()
        self._channel = grpc.insecure_channel(
            self.address, (("grpc.use_local_subchannel_pool", 1),)
        )
        info = wire.SessionInfo(
            session_id=self.run.session_id,
            client_instance_id=self.instance_id,
            config=self.run.config(),
        )
        response = self._stub().RegisterTrainingSession(info, timeout=ANSWER_SECONDS)
        self.token = response.stream_token or self.token
        return response

    def try_to_register(self) -> wire.SessionResponse | None:
        """Register; return the answer, or None where it is to be tried again."""
        try:
            response = self.register()
        except grpc.RpcError:
            return None
        return response if response.success else None

    def open(self) -> None:
        """Open a stream on the connection that `register` made, or on a new one."""
        if self._channel is None:
            self._channel = grpc.insecure_channel(
                self.address, (("grpc.use_local_subchannel_pool", 1),)
            )
        self._outgoing = queue.SimpleQueue()
        self.unanswered.clear()
        self.code = None
        for event in (self.ended, self.drained):
            event.clear()
        stub = self._stub()
        method = stub.StreamMetricsBatches if self.frames else stub.StreamMetrics
        metadata = ((TOKEN_HEADER, self.token),) if self.token else ()
        self._call = method(iter(self._outgoing.get, None), metadata=metadata)
        self._reader = threading.Thread(target=self._read, args=(self._call,), daemon=True)
        self._reader.start()

    def start(self) -> wire.SessionResponse:
        """Register and open a stream; a refusal is a failure of the test."""
        response = self.register()
        assert response.success, response.message
        self.open()
        return response

    def send(self, first: int, last: int) -> None:
        """Send what was said under these sequences, whether or not it was sent before."""
        self.put(self.said[first - 1 : last])
        self.sent = max(self.sent, last)

    def send_new(self) -> None:
        """Send what was said and has never been sent."""
        self.send(self.sent + 1, len(self.said))

    def stream(self, *requests: wire.MetricsRequest) -> None:
        """Say and send messages, and wait until all that was ever said is acknowledged."""
        self.say(*requests)
        self.send_new()
        self.settle()

    def put(self, requests: Iterable[wire.MetricsRequest]) -> None:
        """Send messages as they are."""
        requests = list(requests)
        if self.frames:
            for at in range(0, len(requests), FRAME_MESSAGES):
                frame = requests[at : at + FRAME_MESSAGES]
                self._outgoing.put(wire.MetricsRequestBatch(requests=frame))
            return
        for request in requests:
            if not request.sequence and request.HasField("batch_data"):
                data = request.batch_data
                self.unanswered.append(self.run.number(data.epoch, data.batch_idx))
            self._outgoing.put(request)

    def settle(self, seconds: float = ANSWER_SECONDS) -> None:
        """Wait until everything said is acknowledged."""
        what = f"all {len(self.said)} messages of {self.run.session_id} are acknowledged"
        if self.numbered:
            until_true(lambda: self.acknowledged >= len(self.said), seconds=seconds, what=what)
        else:
            until_true(lambda: not self.unanswered, seconds=seconds, what=what)

    def finish(self) -> None:
        """Say that nothing more comes, and wait until the bridge has answered everything."""
        self._outgoing.put(None)
        until_true(self.ended.is_set, seconds=ANSWER_SECONDS, what="the bridge ends the stream")
        self.cut()

    def cut(self) -> None:
        """Break the connection off, whatever is on it."""
        channel, self._channel = self._channel, None
        self._outgoing.put(None)
        if self._call is not None:
            self._call.cancel()
            self._reader.join(ANSWER_SECONDS)
            self._call = None
        if channel is not None:
            channel.close()

    def _stub(self) -> MetricsServiceStub:
        return MetricsServiceStub(self._channel)

    def _read(self, call) -> None:
        try:
            for response in call:
                self._take(response)
        except grpc.RpcError as error:
            self.code = error.code()
        finally:
            self.ended.set()
            self._outgoing.put(None)

    def _take(self, response: wire.MetricsResponse) -> None:
        kind = response.WhichOneof("payload")
        if kind == "ack":
            self.acks.append(response.ack)
            self.acknowledged = max(self.acknowledged, response.ack.sequence)
            self._answer(response.ack)
        elif kind == "error":
            self.errors.append(response.error)
        elif kind == "draining":
            self.drainings += 1
            self.drained.set()

    def _answer(self, ack: wire.Acknowledgment) -> None:
        """Without sequences, Acks come in the order of the batches of this stream."""
        if self.numbered:
            return
        with suppress(IndexError):
            number = self.unanswered.popleft()
            assert ack.batch_idx == self.run.place(number)[1]
            self.answered.add(number)

"""Many training clients that know the original protocol only: argv is the address, the sessions' names and --options.

Runs with code generated from metrics.proto beside it, in a process of its own, until its standard input is closed;
prints what it has sent, and of which batches it never learned what became of them.
"""

import argparse
import json
import queue
import sys
import threading
import time
from collections import deque
from pathlib import Path

import grpc
import metrics_pb2 as wire
import metrics_pb2_grpc

EPOCH_BATCHES = 100
CLASSES = 8
WINDOW = 4
"""So many batches at most wait for their Ack."""

AWAY_SECONDS = 0.1
ANSWER_SECONDS = 5
END_SECONDS = 90
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
OPTIONS = (*OWN_CONNECTION, ("grpc.max_reconnect_backoff_ms", 500))


class Stream:
    """One stream; batches are answered in the order in which they were sent."""

    def __init__(self, address):
        """Connect anew."""
        self.unanswered = deque()
        self.is_over = threading.Event()
        self.reason = ""
        self.acknowledged = []
        self._outgoing = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(address, OPTIONS)
        stub = metrics_pb2_grpc.MetricsServiceStub(self._channel)
        self._call = stub.StreamMetrics(iter(self._outgoing.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, request, number=0):
        """Send a message; `number`: that of a batch, which has an Ack of its own."""
        if number:
            self.unanswered.append(number)
        self._outgoing.put(request)

    def finish(self):
        """Say that nothing more comes; return whether the server has read everything."""
        self._outgoing.put(None)
        return self.is_over.wait(ANSWER_SECONDS) and not self.reason

    def close(self):
        """Hang up; return the batches whose Acks have not come."""
        self._call.cancel()
        self._outgoing.put(None)
        self._reader.join()
        self._channel.close()
        return list(self.unanswered)

    def _read(self):
        try:
            for response in self._call:
                self._take(response)
        except grpc.RpcError as error:
            self.reason = f"{error.code().name}: {error.details()}"
        finally:
            self.is_over.set()

    def _take(self, response):
        if response.WhichOneof("payload") == "error":
            self.reason = f"{response.error.code}: {response.error.message}"
        if response.WhichOneof("payload") != "ack" or not response.ack.success:
            return
        waiting = [(number - 1) % EPOCH_BATCHES for number in self.unanswered]
        if response.ack.batch_idx in waiting:
            number = self.unanswered[waiting.index(response.ack.batch_idx)]
            self.unanswered.remove(number)
            self.acknowledged.append(number)


class Client(threading.Thread):
    """One training: registers over a connection of its own, streams over others, and never sends a batch twice."""

    def __init__(self, address, name, rate, jpeg, images_every):
        """Do nothing before `start`."""
        super().__init__()
        self.name_of_session, self.address, self.rate = name, address, rate
        self.jpeg, self.images_every = jpeg, images_every
        self.stopping = threading.Event()
        self.sent = 0
        self.uncertain = []
        self.interruptions = []
        self.streams = self.registrations = 0
        self.has_ended = False
        self.unserved_since = None
        self.reason = ""
        self.counted_acks = 0
        self.owed_since = None

    def run(self):
        """Stream until `stopping`, and say then that the training is complete."""
        while not self.register():
            if self.stopping.wait(AWAY_SECONDS):
                return
        deadline = None
        while not self.has_ended:
            if self.stopping.is_set():
                deadline = deadline or time.monotonic() + END_SECONDS
                if time.monotonic() > deadline:
                    return
            self.one_stream()

    def register(self):
        """Register over a connection that is used for nothing else; return whether that was accepted."""
        with grpc.insecure_channel(self.address, OWN_CONNECTION) as channel:
            stub = metrics_pb2_grpc.MetricsServiceStub(channel)
            info = wire.SessionInfo(
                session_id=self.name_of_session,
                client_name="original",
                client_version="1.0",
                config=wire.TrainingConfig(total_epochs=1000, batches_per_epoch=EPOCH_BATCHES),
                timestamp_ms=now_ms(),
            )
            try:
                response = stub.RegisterTrainingSession(info, timeout=ANSWER_SECONDS)
            except grpc.RpcError as error:
                self.unserved(f"registration: {error.code().name}: {error.details()}")
                return False
        if response.success:
            self.registrations += 1
        else:
            self.unserved(f"registration: {response.message}")
        return response.success

    def one_stream(self):
        """Open a stream, and send what is due until it breaks or everything is said."""
        stream = Stream(self.address)
        self.streams += 1
        self.counted_acks, self.owed_since = 0, None
        stream.send(self.message(status_update=wire.StatusUpdate(status=wire.RUNNING)))
        began, before = time.monotonic(), self.sent
        while not stream.is_over.is_set() and not stream.reason and not self.stopping.is_set():
            is_due = self.sent - before < (time.monotonic() - began) * self.rate
            if is_due and len(stream.unanswered) < WINDOW:
                self.sent += 1
                stream.send(self.batch(self.sent), self.sent)
            self.look(stream)
            stream.is_over.wait(min(0.02, 0.2 / self.rate))
        if self.stopping.is_set() and not stream.reason:
            self.finish(stream)
        if not self.has_ended:
            self.unserved(stream.reason or "the stream has ended")
        self.uncertain += stream.close()
        if not self.has_ended:
            time.sleep(AWAY_SECONDS)

    def finish(self, stream):
        """Wait for the last Acks, and say that the training is complete."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while stream.unanswered and time.monotonic() < deadline and not stream.is_over.wait(0.02):
            self.look(stream)
        stream.send(self.message(status_update=wire.StatusUpdate(status=wire.COMPLETED)))
        self.has_ended = stream.finish() and not stream.unanswered
        self.look(stream)

    def look(self, stream):
        """Note whether what was sent is acknowledged."""
        now = time.monotonic()
        if len(stream.acknowledged) > self.counted_acks:
            self.counted_acks = len(stream.acknowledged)
            self.owed_since = None
            self.served()
        if not stream.unanswered:
            self.owed_since = None
        elif self.owed_since is None:
            self.owed_since = now
        elif now - self.owed_since > 0.2:
            self.unserved("no Ack")

    def unserved(self, reason):
        """Note that nothing is acknowledged at the moment."""
        if self.unserved_since is None:
            self.unserved_since = time.time()
        self.reason = reason

    def served(self):
        """Note that something was acknowledged."""
        now = time.time()
        if self.unserved_since is not None and now - self.unserved_since > 0.5:
            self.interruptions.append([self.unserved_since, now, self.reason])
        self.unserved_since = None

    def message(self, **payload):
        """Return a message of this session."""
        return wire.MetricsRequest(
            session_id=self.name_of_session, timestamp_ms=now_ms(), **payload
        )

    def batch(self, number):
        """Return a training step; class and loss follow from its number."""
        epoch, index = divmod(number - 1, EPOCH_BATCHES)
        one = number % CLASSES
        with_images = self.images_every and number % self.images_every == 0
        data = wire.BatchData(
            epoch=epoch,
            batch_idx=index,
            batch_loss=(256 + number % 1024) / 1024,
            images=[wire.ImageData(image_bytes=self.jpeg)] if with_images else [],
            predictions=[wire.Prediction(predicted_class=one, confidence=0.75)],
            ground_truth=[one],
        )
        return self.message(batch_data=data)

    def summary(self):
        """Return what the test compares."""
        return {
            "session_id": self.name_of_session,
            "sent": self.sent,
            "uncertain": self.uncertain,
            "has_ended": self.has_ended,
            "streams": self.streams,
            "registrations": self.registrations,
            "interruptions": self.interruptions,
            "last_reason": self.reason,
        }


def now_ms():
    """Return the client's clock."""
    return time.time_ns() // 1_000_000


def main():
    """Train until standard input is closed, and print the summaries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("sessions", nargs="+")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--images-every", type=int, default=0)
    parser.add_argument("--jpeg", type=Path)
    options = parser.parse_args()
    jpeg = options.jpeg.read_bytes() if options.jpeg else b""
    clients = [
        Client(options.address, name, options.rate, jpeg, options.images_every)
        for name in options.sessions
    ]
    for client in clients:
        client.start()
    sys.stdout.write("training\n")
    sys.stdout.flush()
    sys.stdin.read()
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join()
    sys.stdout.write(json.dumps([client.summary() for client in clients]))


if __name__ == "__main__":
    main()

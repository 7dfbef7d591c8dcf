"""Training loops in threads, which stream known runs at a steady rate and come back whenever the way breaks."""

import threading
import time

import grpc
from support.known_run import KnownRun
from support.raw_client import RawClient

from bridge.wire import metrics_pb2 as wire

TICK_SECONDS = 0.02
AWAY_SECONDS = 0.05
"""How long a loop waits before it looks again for a bridge that is away."""

REPEATED = 5
"""So many messages that a bridge has are sent to it again when it comes back."""

END_SECONDS = 60


class Loop(threading.Thread):
    """What both kinds of loops do; what they find wrong is in `faults`."""

    def __init__(self, client: RawClient, *, batches_per_second: float) -> None:
        """Stream nothing before `start`."""
        super().__init__(daemon=True)
        self.client = client
        self.batches = 0
        """Batches said so far; the run's numbers 1 to this."""
        self.faults: list[str] = []
        self._rate = batches_per_second
        self._began = 0.0
        self._stopping = threading.Event()
        self._abandoned = threading.Event()

    @property
    def run_of(self) -> KnownRun:
        """The run that is streamed."""
        return self.client.run

    @property
    def epochs(self) -> int:
        """Epochs said to be complete so far."""
        return self.batches // self.run_of.epoch_batches

    def stop(self) -> None:
        """End the session, wait until all of it is delivered, and hang up."""
        self._stopping.set()
        self.join(END_SECONDS)
        assert not self.is_alive(), f"{self.run_of.session_id} cannot deliver what it said"
        assert not self.faults, self.faults

    def abandon(self) -> None:
        """Hang up, whatever is left: nothing may look for a bridge once its test is over, as its port goes to others."""
        self._abandoned.set()
        self.join(END_SECONDS)
        assert not self.is_alive(), f"{self.run_of.session_id} does not end"

    def run(self) -> None:
        """Stream until `stop`."""
        self._began = time.monotonic()
        try:
            while not self._is_over() and not self._abandoned.is_set():
                if self.client.ended.is_set() or self.client.drained.is_set():
                    self._come_back()
                else:
                    self._go_on()
                time.sleep(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001 -- raised by `stop`, in the thread of the test
            self.faults.append(repr(error))
        finally:
            self.client.cut()

    def _due(self) -> int:
        """Return how many batches the loop has trained by now."""
        return int((time.monotonic() - self._began) * self._rate)

    def _come_back(self) -> None:
        if self.client.drained.is_set():
            self._wait_for_end()
        try:
            self._connect()
        except grpc.RpcError:
            time.sleep(AWAY_SECONDS)

    def _wait_for_end(self) -> None:
        """A draining bridge still acknowledges what it has read."""
        self.client.ended.wait(END_SECONDS)
        self.client.drained.clear()

    def _connect(self) -> None:
        raise NotImplementedError

    def _go_on(self) -> None:
        raise NotImplementedError

    def _is_over(self) -> bool:
        raise NotImplementedError


class NumberedLoop(Loop):
    """Keeps what it says, and sends it again from a little before resume_sequence, which must not matter."""

    _has_ended = False

    def _connect(self) -> None:
        client = self.client
        response = client.register()
        resume = response.resume_sequence
        if not response.success:
            self.faults.append(response.message)
        if not client.acknowledged <= resume <= client.sent:
            counts = f"of {client.sent} sent, {client.acknowledged} acknowledged"
            self.faults.append(f"resume_sequence {resume}, {counts}")
        client.open()
        client.acknowledged = max(client.acknowledged, resume)
        client.send(max(1, resume + 1 - REPEATED), client.sent)

    def _go_on(self) -> None:
        client, due = self.client, self._due()
        if not client.said:
            client.say(self.run_of.status(wire.RUNNING))
        if not self._has_ended:
            client.say(*self.run_of.requests(self.batches + 1, due))
            self.batches = max(self.batches, due)
        if self._stopping.is_set() and not self._has_ended:
            client.say(self.run_of.status(wire.COMPLETED))
            self._has_ended = True
        client.send_new()

    def _is_over(self) -> bool:
        return self._has_ended and self.client.acknowledged >= len(self.client.said)


class PreemptedLoop(threading.Thread):
    """A run whose process is replaced again and again: each one trains a little, fails, and the next one follows."""

    def __init__(self, address: str, run: KnownRun, *, batches: int) -> None:
        """Let each process train so many batches."""
        super().__init__(daemon=True)
        self.attempts: dict[int, RawClient] = {}
        """By the number that the bridge has given them, those of which all is acknowledged."""
        self.faults: list[str] = []
        self._address = address
        self._run = run
        self._batches = batches
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let the process that runs be the last one, and wait until all it has said is acknowledged."""
        self._stopping.set()
        self.join(END_SECONDS)
        assert not self.is_alive(), "an attempt cannot deliver what it said"
        assert not self.faults, self.faults

    def run(self) -> None:
        """Train in one process after the other until `stop`."""
        try:
            while not self._stopping.is_set():
                name = f"process-{len(self.attempts)}"
                with RawClient(self._address, self._run, instance_id=name) as client:
                    client.say(self._run.status(wire.RUNNING))
                    client.say(*self._run.requests(1, self._batches))
                    client.say(self._run.status(wire.FAILED))
                    self._add(self._delivered(client), client)
        except Exception as error:  # noqa: BLE001 -- raised by `stop`, in the thread of the test
            self.faults.append(repr(error))

    def _add(self, attempt: int, client: RawClient) -> None:
        if attempt in self.attempts:
            self.faults.append(f"attempt {attempt} has begun twice")
        self.attempts[attempt] = client

    def _delivered(self, client: RawClient) -> int:
        """Return the number of the attempt, once all that its process says is acknowledged."""
        attempt = 0
        while client.acknowledged < len(client.said):
            response = client.try_to_register()
            if response is None:
                time.sleep(AWAY_SECONDS)
                continue
            attempt = response.attempt
            client.open()
            client.acknowledged = max(client.acknowledged, response.resume_sequence)
            client.send(response.resume_sequence + 1, len(client.said))
            while not client.ended.is_set() and client.acknowledged < len(client.said):
                time.sleep(TICK_SECONDS)
        return attempt


class OriginalLoop(Loop):
    """Registers once, sends each batch once while there is a stream, and never again."""

    _is_registered = False
    _has_ended = False

    def _connect(self) -> None:
        client = self.client
        if client.answered and any(self._is_unknown(error) for error in client.errors):
            self.faults.append("a session with acknowledged batches is unknown")
        if not self._is_registered:
            self._is_registered = client.register().success
        client.cut()
        client.open()

    def _go_on(self) -> None:
        client = self.client
        if any(self._is_unknown(error) for error in client.errors) and not client.answered:
            client.errors.clear()
            self._is_registered = False
            client.cut()
            return
        due = max(self._due(), self.batches)
        client.put(self.run_of.requests(self.batches + 1, due))
        self.batches = due
        if self._stopping.is_set():
            client.put([self.run_of.status(wire.COMPLETED)])
            client.finish()
            self._has_ended = True

    def _is_over(self) -> bool:
        return self._has_ended

    def _is_unknown(self, error: wire.ErrorResponse) -> bool:
        return error.code == wire.ErrorResponse.INVALID_SESSION

"""The SDK's own thread: encodes captured calls as messages."""

import time
from collections.abc import Callable

from bridge.client.calls import Call, FlushCall
from bridge.client.capture.call_encoder import CallEncoder, CallObserver
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.deadlines import Deadlines
from bridge.client.clock import now_ms
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut, Reason
from bridge.client.light import LightSteps
from bridge.client.phase_report import PhaseReport
from bridge.client.resource_usage import ResourceMonitor, ResourceUsage
from bridge.client.throughput import REPORT_SECONDS, Throughput, ThroughputMeter

CALLS_AT_ONCE = 512
"""How many calls are encoded before their messages are put into the outbox."""

IDLE_SECONDS = 1.0
"""How often the thread checks what is due while the loop reports nothing."""

ARRIVAL_SECONDS = 60.0
"""How long a device may take to deliver a copy; one that has failed never does."""

POLL_SECONDS = 0.002
"""How often the thread polls what cannot wake it: a flag that a device sets, the bridge's first response."""


class Collector:
    """Takes calls from the queue every few milliseconds, and puts their messages into the outbox.

    It ends once the queue is closed and empty, and then closes the outbox.
    """

    def __init__(
        self,
        queue: CallQueue,
        capture: Capture,
        outbox: Outbox,
        config: RunConfig,
        *,
        server_config: Callable[[], ServerConfig],
        left_out: LeftOut,
        resources: ResourceMonitor,
        phases: PhaseReport,
    ) -> None:
        """Work for one session; `server_config` returns what the bridge asks for at the moment."""
        self.deadlines = Deadlines()
        self._queue = queue
        self._capture = capture
        self._outbox = outbox
        self._server_config = server_config
        self._left_out = left_out
        self._resources = resources
        self._meter = ThroughputMeter(
            epochs=config.epochs, batches_per_epoch=config.batches_per_epoch
        )
        self._encoder = Encoder(config, left_out, is_over=self.deadlines.is_too_late_for_images)
        self._calls = CallEncoder(
            self._encoder,
            capture,
            self._meter,
            server_config=server_config,
            left_out=left_out,
            phases=phases,
        )
        self._phases = phases
        self._report_at = time.monotonic() + REPORT_SECONDS
        """When performance data are due that a measurement has not made due before."""
        self._steps_reported = 0
        self._progress_at = time.monotonic()
        """When calls were last taken, or the queue was empty."""

    def run(self) -> None:
        """Work until the queue is closed and all of its messages are in the outbox."""
        self.deadlines.begin()
        self._wait_for_server_config()
        while not self._queue.is_drained:
            count = self._process()
            if count < CALLS_AT_ONCE:
                self._wait(count)
        self._outbox.close()

    def follow(self, steps: LightSteps) -> None:
        """Report these steps, of a rank that reports lightly, in place of batches."""
        self._calls.steps = steps

    def observe(self, observer: CallObserver) -> None:
        """Show every call to this, in the thread of this collector."""
        self._calls.observer = observer

    def is_answer_pending(self, command_id: str) -> bool:
        """Return whether the answer to this command has not been acknowledged yet."""
        sequence = self._calls.answer_sequence(command_id)
        return sequence is None or sequence > self._outbox.acked_through

    def abandon(self, account: LeftOut) -> int:
        """Empty the queue and count its calls as left out; return how many there were.

        Called by the thread that closes the session, which has an account of its own: the collecting
        thread may still be in the middle of an image.
        """
        self.deadlines.expire()
        calls = self._queue.abandon()
        for call in calls:
            self._calls.leave_out(call, account)
        _end_flushes(calls)
        return sum(type(call) is not FlushCall for call in calls)

    @property
    def abandoned_in_hand(self) -> int:
        """Return how many calls its own thread has left out, as it had taken them before `abandon`."""
        return self._calls.abandoned

    def _wait_for_server_config(self) -> None:
        """Leave all calls in the queue until the bridge has responded, but not for long.

        Also where the session is closed already: a short one would lose its images otherwise.
        """
        while not (
            self._server_config().is_received
            or self._queue.is_filling
            or self.deadlines.is_too_late_for_server_config()
        ):
            time.sleep(POLL_SECONDS)

    def _wait(self, count: int) -> None:
        """Let calls collect for one frame; after an idle time, process the next one at once."""
        queue = self._queue
        if queue.is_closed:
            if len(queue):
                time.sleep(POLL_SECONDS)  # copies are on their way from a device
        elif count or len(queue):
            queue.wake.wait(self._server_config().flush_seconds)
        else:
            queue.is_watched = True
            if not len(queue):
                queue.wake.wait(IDLE_SECONDS)
            queue.is_watched = False

    def _process(self) -> int:
        """Process the calls in the queue and what is due; return how many calls there were. Never raises."""
        self._queue.wake.clear()
        calls: list[Call] = []
        try:
            calls = self._take()
            if self._queue.is_closed:
                self._report_last_steps()
            self._encode(calls)
            self._report_performance()
            self._left_out.announce()
            self._capture.announce()
        except BaseException as error:  # noqa: BLE001 -- training and sending go on in any case
            self._left_out.add("session", Reason.UNREADABLE, error=error)
        return len(calls)

    def _take(self) -> list[Call]:
        """Take the calls that have arrived; a device that never delivers must not block the others forever."""
        now = time.monotonic()
        is_too_late = self.deadlines.is_too_late_for_arrivals()
        calls = self._queue.take(CALLS_AT_ONCE, only_arrived=not is_too_late)
        if calls or not len(self._queue):
            self._progress_at = now
        elif now >= self._progress_at + ARRIVAL_SECONDS:
            calls = self._queue.take(1, only_arrived=False)
        return calls

    def _encode(self, calls: list[Call]) -> None:
        """Put the messages of calls into the outbox, and end the flushes among them."""
        try:
            messages = self._calls.encode(calls, is_abandoned=self._queue.is_abandoned)
            phase = self._calls.phase_message(now_ms())
            if phase is not None:
                messages.append(phase)
            if messages:
                self._outbox.put(messages)
        finally:
            self._queue.in_hand = 0
            _end_flushes(calls)

    def _report_performance(self) -> None:
        """Report throughput and resource usage when they are due."""
        now = time.monotonic()
        due_at = min(self._meter.due_at, self._report_at)
        if now < due_at or self.deadlines.is_too_late_for_images():
            return
        steps = self._calls.steps
        throughput = self._meter.measure(now) if steps is None else steps.measure()
        if throughput is None and now < self._report_at:
            return
        self._report_at = now + REPORT_SECONDS
        self._put_performance(throughput, self._resources.read())

    def _report_last_steps(self) -> None:
        """Report the steps that a light rank has taken since its last report, before it says that it is over."""
        steps = self._calls.steps
        if steps is not None and steps.batches != self._steps_reported:
            self._calls.look(())
            self._put_performance(steps.measure(), None)

    def _put_performance(self, throughput: Throughput | None, usage: ResourceUsage | None) -> None:
        phases, steps = self._phases.state(), self._calls.steps
        self._steps_reported = steps.batches if steps is not None else 0
        self._outbox.put([self._encoder.performance(throughput, usage, now_ms(), phases, steps)])


def _end_flushes(calls: list[Call]) -> None:
    for call in calls:
        if type(call) is FlushCall:
            call.done.set()

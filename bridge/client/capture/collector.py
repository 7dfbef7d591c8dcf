"""The SDK's own thread: makes messages of what the loop has said."""

import math
import threading
import time
from collections.abc import Callable

from bridge.client.calls import (
    AnswerCall,
    BatchCall,
    Call,
    EpochCall,
    FlushCall,
    ResumedCall,
    ScalarsCall,
    StatusCall,
)
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture, number_or_lowest
from bridge.client.capture.image_sampler import Candidate, ImageSampler
from bridge.client.capture.reading import whole_number_of
from bridge.client.clock import now_ms
from bridge.client.commands import REMEMBERED
from bridge.client.delivery.message import OutgoingMessage
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut, Reason
from bridge.client.resource_usage import ResourceMonitor
from bridge.client.throughput import ThroughputMeter

CALLS_AT_ONCE = 512
"""So many calls are made messages before they are handed on."""

REPORT_SECONDS = 5.0
"""How often speed and usage are reported."""

FIRST_REPORT_SECONDS = 1.0

IDLE_SECONDS = 1.0
"""How often the thread looks around while the loop says nothing."""

SERVER_CONFIG_SECONDS = 2.0
"""So long the first images wait for the bridge to say how many it wants."""

ARRIVAL_SECONDS = 60.0
"""So long a copy that a device was asked for may take; a device that fails never delivers."""

LOOK_SECONDS = 0.002

ARRIVAL_SHARE = 0.5
"""Of the time that the end of a session may take, so much is left to copies that devices make."""

IMAGES_SHARE = 0.75
"""Of that time, so much is left to the encoding of images; then the numbers must still be delivered."""


class Collector:
    """Empties the queue every few milliseconds, encodes, and fills the outbox."""

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
    ) -> None:
        """Work for one session; `server_config` returns what the bridge asks for at the moment."""
        self._queue = queue
        self._capture = capture
        self._outbox = outbox
        self._server_config = server_config
        self._left_out = left_out
        self._encoder = Encoder(config, left_out, is_over=self._is_too_late_for_images)
        self._sampler = ImageSampler()
        self._meter = ThroughputMeter(
            epochs=config.epochs, batches_per_epoch=config.batches_per_epoch
        )
        self._answers: dict[str, int] = {}
        """The sequence of the last answer to each command."""
        self._resources = resources
        self._report_at = math.inf
        self._server_config_by = math.inf
        self._moved_at = time.monotonic()
        """When calls were last taken, or there were none."""
        self._closing = False
        self._end = FlushCall(0.0, threading.Event())
        """The last call that is worked on: a thread that goes on logging must not hold up the end."""
        self._stopped = False
        self._arrivals_by = math.inf
        self._images_by = math.inf
        self.in_hand = 0
        """Calls that are neither in the queue nor in the outbox."""

    def run(self) -> None:
        """Work until `finish`, and then until what was said before it is in the outbox; or until `stop`."""
        self._server_config_by = min(
            self._server_config_by, time.monotonic() + SERVER_CONFIG_SECONDS
        )
        self._wait_for_server_config()
        while True:
            closing = self._closing
            done = self._work()
            if self._stopped or self._end.done.is_set() or self._queue.is_closed:
                break
            if done < CALLS_AT_ONCE:
                self._rest(done, is_closing=closing)
        self._outbox.finish()

    def poke(self) -> None:
        """Look at what there is now rather than in a few milliseconds."""
        self._queue.wake.set()

    def note_cuda_devices(self) -> None:
        """Look which GPUs the loop uses; called in the loop's thread."""
        self._resources.note_cuda_devices()

    def finish(self, timeout: float) -> None:
        """Stop when everything that has been said is in the outbox; the session ends in so many seconds."""
        now = time.monotonic()
        self._arrivals_by = now + timeout * ARRIVAL_SHARE
        self._server_config_by = min(self._server_config_by, self._arrivals_by)
        self._images_by = now + timeout * IMAGES_SHARE
        if not self._closing:
            self._queue.put(self._end)
        self._closing = True
        self._queue.wake.set()

    def skip_images(self) -> None:
        """Encode numbers only from now on, and wait for nothing: there is no time for more."""
        self._arrivals_by = self._server_config_by = self._images_by = -math.inf

    def stop(self) -> None:
        """Encode nothing more behind the item that is being encoded; the rest is counted as left out."""
        self.skip_images()
        self._stopped = True
        self._closing = True
        self._queue.wake.set()

    def is_answer_pending(self, command_id: str) -> bool:
        """Return whether the bridge has not acknowledged yet what this command was answered."""
        sequence = self._answers.get(command_id)
        return sequence is None or sequence > self._outbox.acked_through

    def _wait_for_server_config(self) -> None:
        """Leave everything in the queue until the bridge has answered, but not for long.

        Also when the session is over already: a short one would lose its images otherwise.
        """
        while not (
            self._server_config().is_received
            or self._queue.is_filling
            or time.monotonic() >= self._server_config_by
        ):
            time.sleep(LOOK_SECONDS)

    def _rest(self, done: int, *, is_closing: bool) -> None:
        """Let calls collect for a frame; after nothing came, the next one is not kept waiting."""
        wake = self._queue.wake
        if is_closing:
            time.sleep(LOOK_SECONDS)  # copies are on their way from a device
        elif done or len(self._queue):
            wake.wait(self._server_config().flush_seconds)
        else:
            self._queue.is_watched = True
            if not len(self._queue):
                wake.wait(IDLE_SECONDS)
            self._queue.is_watched = False

    def _work(self) -> int:
        """Do what there is to do; return how many calls there were. Never raises."""
        self._queue.wake.clear()
        calls: list[Call] = []
        try:
            calls = self._take()
            self._hand_on(calls)
            self._report()
            self._left_out.announce()
            self._capture.announce()
        except BaseException as error:  # noqa: BLE001 -- whatever happens here, training and sending go on
            self._left_out.add("session", Reason.UNREADABLE, error=error)
        return len(calls)

    def _hand_on(self, calls: list[Call]) -> None:
        """Put the messages of calls into the outbox; then nobody has to wait for them here."""
        try:
            if calls:
                self._outbox.put(self._messages(calls))
        finally:
            self.in_hand = 0
            _end_flushes(calls)

    def _take(self) -> list[Call]:
        """Take what has arrived; a device that does not deliver must not hold everything up."""
        now = time.monotonic()
        is_too_late = now >= self._arrivals_by
        self.in_hand = min(
            len(self._queue), CALLS_AT_ONCE
        )  # never too few, for who counts meanwhile
        calls = self._queue.take(CALLS_AT_ONCE, only_arrived=not is_too_late)
        if calls or not len(self._queue):
            self._moved_at = now
        elif now >= self._moved_at + ARRIVAL_SECONDS:
            calls = self._queue.take(1, only_arrived=False)
        self.in_hand = len(calls)
        return calls

    def _messages(self, calls: list[Call]) -> list[OutgoingMessage]:
        chosen = self._chosen(calls)
        offset = time.time() - time.monotonic()
        messages = []
        for place, call in enumerate(calls):
            if type(call) is FlushCall:
                continue
            if self._stopped:
                self._leave_out(call, self._left_out)
                continue
            try:
                message = self._message(call, round((call.at + offset) * 1000), place in chosen)
            except BaseException as error:  # noqa: BLE001 -- anything may have been given
                self._left_out.add(_NAMES[type(call)], Reason.UNREADABLE, error=error)
                self._release(call, Reason.UNREADABLE, self._left_out)
                continue
            self._release(call, Reason.SAMPLED_OUT, self._left_out)
            if message is not None:
                messages.append(message)
        return messages

    def _chosen(self, calls: list[Call]) -> set[int]:
        """Return the places of the batches whose images are sent, of those that the loop has not decided on."""
        places: list[int] = []
        candidates: list[Candidate] = []
        chosen: set[int] = set()
        for place, call in enumerate(calls):
            if type(call) is not BatchCall or call.images is None:
                continue
            if call.images.is_chosen:
                chosen.add(place)
            elif call.images.is_chosen is None:
                places.append(place)
                candidates.append(Candidate(call.at, number_or_lowest(call.loss), call.epoch))
        rate = self._server_config().image_batches_per_second
        return chosen | {places[found] for found in self._sampler.choose(candidates, rate)}

    def _message(self, call: Call, clock_ms: int, is_chosen: bool) -> OutgoingMessage | None:  # noqa: FBT001
        if type(call) is BatchCall:
            return self._batch(call, clock_ms, is_chosen=is_chosen)
        if type(call) is EpochCall:
            self._meter.record_epoch(call.at)
            self._report_at = min(self._report_at, call.at)
            return self._encoder.epoch(call, clock_ms)
        if type(call) is ScalarsCall:
            return self._encoder.scalars(call, clock_ms)
        if type(call) is StatusCall:
            return self._encoder.status(call, clock_ms)
        if type(call) is AnswerCall:
            return self._answer(call, clock_ms)
        if type(call) is ResumedCall:
            self._meter.record_resume(call.at)
        return None

    def _answer(self, call: AnswerCall, clock_ms: int) -> OutgoingMessage:
        message = self._encoder.answer(call, clock_ms)
        self._answers[call.command_id] = message.sequence
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return message

    def _batch(self, call: BatchCall, clock_ms: int, *, is_chosen: bool) -> OutgoingMessage:
        epoch = whole_number_of(call.epoch)
        samples = self._encoder.samples(call)
        duration = self._meter.record_batch(call.at, epoch, samples)
        if self._report_at == math.inf:
            self._report_at = call.at + FIRST_REPORT_SECONDS
        images = call.images
        pictures = images.claim() if images is not None and is_chosen else None
        try:
            return self._encoder.batch(
                call,
                samples=samples,
                clock_ms=clock_ms,
                duration=duration,
                pictures=pictures,
                server_config=self._server_config(),
            )
        except BaseException:
            if images is not None and pictures is not None:
                self._left_out.add("images", Reason.UNREADABLE, images.count)
            raise
        finally:
            if images is not None and pictures is not None:
                self._capture.release(images, pictures)

    def _release(self, call: Call, reason: Reason, account: LeftOut) -> None:
        """Give back what a call still holds; images that nobody has claimed are left out for this reason."""
        if type(call) is BatchCall:
            self._capture.bytes_out += call.size_bytes
            images = call.images
            pictures = images.claim() if images is not None else None
            if images is not None and pictures is not None:
                self._capture.release(images, pictures)
                account.add("images", reason, images.count)
        if call.landing is not None:
            call.landing.release()

    def abandon(self, account: LeftOut) -> int:
        """Close the queue, and count what is left in it as left out; return how many calls.

        Called by the thread that closes the session, which has an account of its own: the collecting
        thread may still be in the middle of an image.
        """
        calls = self._queue.close()
        for call in calls:
            self._leave_out(call, account)
        _end_flushes(calls)
        return sum(type(call) is not FlushCall for call in calls)

    def _leave_out(self, call: Call, account: LeftOut) -> None:
        if type(call) is not FlushCall:
            account.add(_NAMES[type(call)], Reason.CLOSED)
        self._release(call, Reason.CLOSED, account)

    def _is_too_late_for_images(self) -> bool:
        return time.monotonic() >= self._images_by

    def _report(self) -> None:
        """Report speed and usage when it is time."""
        now = time.monotonic()
        if now < self._report_at or now >= self._images_by:
            return
        self._report_at = now + REPORT_SECONDS
        throughput = self._meter.measure(now)
        if throughput is None:
            return
        usage = self._resources.read()
        self._outbox.put([self._encoder.performance(throughput, usage, now_ms())])


def _end_flushes(calls: list[Call]) -> None:
    for call in calls:
        if type(call) is FlushCall:
            call.done.set()


_NAMES: dict[type, str] = {
    BatchCall: "batches",
    EpochCall: "epochs",
    ScalarsCall: "scalars",
    StatusCall: "statuses",
    AnswerCall: "answers",
    ResumedCall: "pauses",
}
"""What a user calls the making of each call."""

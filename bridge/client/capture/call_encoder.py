"""Encodes captured calls: chooses the images that are sent, and releases the memory of all of them."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.client.calls import (
    AnswerCall,
    BatchCall,
    Call,
    EpochCall,
    EventCall,
    FlushCall,
    PlanCall,
    PositionCall,
    RestateCall,
    ResumedCall,
    ScalarsCall,
    StatusCall,
)
from bridge.client.capture.capture import Capture
from bridge.client.capture.image_sampler import Candidate, ImageSampler
from bridge.client.capture.losses import number_or_lowest
from bridge.client.commands import REMEMBERED
from bridge.client.delivery.message import OutgoingMessage
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.batch_index import BatchIndex
from bridge.client.encoding.encoder import Encoder
from bridge.client.left_out import LeftOut, Reason
from bridge.client.light import LightSteps
from bridge.client.phase_report import PhaseReport
from bridge.client.throughput import ThroughputMeter

NAMES: dict[type, str] = {
    BatchCall: "batches",
    EpochCall: "epochs",
    ScalarsCall: "scalars",
    EventCall: "events",
    StatusCall: "statuses",
    AnswerCall: "answers",
    PlanCall: "plans",
    ResumedCall: "pauses",
    RestateCall: "statuses",
    PositionCall: "positions",
}
"""What each call is named in messages to the user."""


class CallObserver(Protocol):
    """Follows what a loop reports, in the SDK's own thread."""

    def see_batch(self, call: BatchCall, place: BatchIndex, samples: int) -> None:
        """Follow a batch, before what it has captured is released."""

    def see(self, call: Call) -> None:
        """Follow any other call."""


class CallEncoder:
    """Encodes calls as messages; what cannot be sent of a call is left out and counted."""

    def __init__(
        self,
        encoder: Encoder,
        capture: Capture,
        meter: ThroughputMeter,
        *,
        server_config: Callable[[], ServerConfig],
        left_out: LeftOut,
        phases: PhaseReport,
    ) -> None:
        """Count what is left out into `left_out`."""
        self._encoder = encoder
        self._capture = capture
        self._meter = meter
        self._server_config = server_config
        self._left_out = left_out
        self._sampler = ImageSampler()
        self._answers: dict[str, int] = {}
        self._phases = phases
        self.steps: LightSteps | None = None
        """Of a rank that reports lightly, whose batches are not calls."""
        self._steps_seen = 0
        self.observer: CallObserver | None = None
        """Sees every call that becomes a message."""
        self._status: StatusCall | None = None
        """The last status of the run."""
        self._position: tuple[int, int, int | None] | None = None
        """Epoch and index of the last batch."""
        self.abandoned = 0
        """Calls that were taken and left out, since nobody wanted them any more."""

    def encode(
        self, calls: list[Call], *, is_abandoned: Callable[[], bool]
    ) -> list[OutgoingMessage]:
        """Return the messages of calls; once `is_abandoned`, the remaining calls are left out."""
        self.look(calls)
        chosen = self._choose(calls)
        offset = time.time() - time.monotonic()
        messages = []
        for index, call in enumerate(calls):
            if is_abandoned():
                self.leave_out(call, self._left_out)
                self.abandoned += type(call) is not FlushCall
                continue
            message = self._encode(call, round((call.at + offset) * 1000), index in chosen)
            if message is not None:
                messages.append(message)
        return messages

    def phase_message(self, clock_ms: int) -> OutgoingMessage | None:
        """Return what says that the loop is in another phase, where a message should say so."""
        status = self._status
        if status is None or status.status.is_end or not self._phases.is_due:
            return None
        return self._encoder.phase(status, clock_ms, self._phases.state())

    def answer_sequence(self, command_id: str) -> int | None:
        """Return the sequence of the last answer to a command; None where there is none."""
        return self._answers.get(command_id)

    def leave_out(self, call: Call, account: LeftOut) -> None:
        """Count a call that was not encoded before the session ended."""
        if type(call) is not FlushCall:
            account.add(NAMES[type(call)], Reason.CLOSED)
        self._release(call, Reason.CLOSED, account)

    def look(self, calls: Sequence[Call]) -> None:
        """Take a reading of the phases, knowing whether there was a step since the last one."""
        steps = self.steps
        if steps is None:
            has_stepped = any(type(call) is BatchCall for call in calls)
            self._phases.look(has_stepped=has_stepped, batch_seconds=self._meter.batch_seconds)
            return
        before, self._steps_seen = self._steps_seen, steps.batches
        has_stepped = self._steps_seen != before
        self._phases.look(has_stepped=has_stepped, batch_seconds=steps.batch_seconds)

    def _choose(self, calls: list[Call]) -> set[int]:
        """Return the indices of the batches whose images are sent; decide on those still undecided."""
        undecided: list[int] = []
        candidates: list[Candidate] = []
        chosen: set[int] = set()
        for index, call in enumerate(calls):
            if type(call) is not BatchCall or call.images is None:
                continue
            if call.images.is_chosen:
                chosen.add(index)
            elif call.images.is_chosen is None:
                undecided.append(index)
                candidates.append(Candidate(call.at, number_or_lowest(call.loss), call.epoch))
        rate = self._server_config().image_batches_per_second
        return chosen | {undecided[i] for i in self._sampler.choose(candidates, rate)}

    def _encode(self, call: Call, clock_ms: int, is_chosen: bool) -> OutgoingMessage | None:  # noqa: FBT001
        try:
            message = self._message(call, clock_ms, is_chosen)
            if self.observer is not None and type(call) is not BatchCall:
                self.observer.see(call)
        except BaseException as error:  # noqa: BLE001 -- anything may have been given
            self._left_out.add(NAMES[type(call)], Reason.UNREADABLE, error=error)
            self._release(call, Reason.UNREADABLE, self._left_out)
            return None
        self._release(call, Reason.SAMPLED_OUT, self._left_out)
        return message

    def _message(self, call: Call, clock_ms: int, is_chosen: bool) -> OutgoingMessage | None:  # noqa: FBT001
        if type(call) is BatchCall:
            return self._batch(call, clock_ms, is_chosen=is_chosen)
        if type(call) is EpochCall:
            self._meter.record_epoch(call.at)
            return self._encoder.epoch(call, clock_ms)
        if type(call) is ScalarsCall or type(call) is EventCall:
            return self._encoder.named(call, clock_ms)
        if type(call) is AnswerCall:
            return self._answer(call, clock_ms)
        if type(call) is ResumedCall:
            self._meter.record_resume(call.at)
            return None
        return self._run_state(call, clock_ms)

    def _run_state(self, call: Call, clock_ms: int) -> OutgoingMessage | None:
        """Encode the status of the run, or what has to be said of it again."""
        if type(call) is StatusCall:
            self._status = call
        elif type(call) is PlanCall:
            self._encoder.follow_losses()
            plan = self._encoder.plan(call.epochs, call.batches_per_epoch)
            self._meter.plan(plan.epochs, plan.batches_per_epoch)
        if type(call) in (StatusCall, RestateCall, PlanCall) and self._status is not None:
            return self._encoder.status(self._status, clock_ms, self._phases.state())
        if type(call) is PositionCall and self._position is not None:
            return self._encoder.scalars(ScalarsCall(call.at, {}, *self._position), clock_ms)
        return None

    def _answer(self, call: AnswerCall, clock_ms: int) -> OutgoingMessage:
        message = self._encoder.answer(call, clock_ms)
        self._answers[call.command_id] = message.sequence
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return message

    def _batch(self, call: BatchCall, clock_ms: int, *, is_chosen: bool) -> OutgoingMessage:
        numbers = self._encoder.index(call)
        samples = self._encoder.samples(call)
        step = numbers.step if numbers.is_by_step else None
        duration = self._meter.record_batch(call.at, numbers.epoch, samples, step)
        images = call.images
        pictures = images.claim() if images is not None and is_chosen else None
        try:
            message = self._encoder.batch(
                call,
                numbers,
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
                self._capture.copies.release(images, pictures)
        self._position = numbers[:3]
        if self.observer is not None:
            self.observer.see_batch(call, numbers, samples)
        return message

    def _release(self, call: Call, reason: Reason, account: LeftOut) -> None:
        """Release the memory that a call still holds; images not claimed yet are left out for this reason."""
        if type(call) is BatchCall:
            self._capture.copies.bytes_out += call.size_bytes
            images = call.images
            pictures = images.claim() if images is not None else None
            if images is not None and pictures is not None:
                self._capture.copies.release(images, pictures)
                account.add("images", reason, images.count)
        if call.transfer is not None:
            call.transfer.release()

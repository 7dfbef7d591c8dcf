"""What the training loop's calls do: look, copy what will be sent, and return."""

import threading
import time
from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, NamedTuple

from bridge.client.calls import BatchCall, Call, EpochCall, ScalarsCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.device import CapturingError
from bridge.client.capture.host import HostBuffers
from bridge.client.capture.image_sampler import Candidate, ImageSampler
from bridge.client.capture.images import (
    Given,
    ImageCapture,
    Pictures,
    copied_images,
    given_images,
    size_of,
)
from bridge.client.capture.kinds import type_name
from bridge.client.capture.losses import (
    badness_of,
    has_arrived,
    loss_while_waiting,
    number_or_lowest,
)
from bridge.client.capture.tracing import is_traced, untraced
from bridge.client.capture.values import Values, length_of, rows_bytes
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason

COPIES_SHARE = 2
"""Copies that wait to be encoded may take up this part of the whole buffer."""

MOST_WAITING = 256
"""So many are in the heap before those that wait no longer are taken out of it."""

LOOK_SECONDS = 0.001

SMALL_ROWS_BYTES = 1 << 16
"""Predictions and classes up to this size are counted, and always taken."""


class Capture:
    """Keeps what each call says, as it is at the call; runs in the training loop, and never raises.

    A batch's images are copied only where they may be sent. Where the loss is a number the loop has, that
    is decided at once; where it still lies on a device, at the next call after it has arrived. Waiting
    copies take up a bounded number of bytes; where that is too little, the batch with the lowest loss
    gives up its images. The calls of one session come from one thread at a time.
    """

    def __init__(
        self,
        queue: CallQueue,
        limit_bytes: int,
        *,
        server_config: Callable[[], ServerConfig],
        left_out: LeftOut,
        check: Callable[[Call], None] | None = None,
        values: Values | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put calls into `queue`; `server_config` returns what the bridge asks for at the moment.

        `check` may raise for a call, which is not kept then.
        """
        self._queue = queue
        self._limit_bytes = max(1, limit_bytes // COPIES_SHARE)
        self._server_config = server_config
        self._left_out = left_out
        self._check = check
        self._values = values or Values()
        self._clock = clock
        self._buffers = HostBuffers()
        self._sampler = ImageSampler()
        self._undecided: list[tuple[Candidate, ImageCapture]] = []
        self._waiting: list[tuple[float, int, ImageCapture]] = []
        """A heap: the lowest loss comes first."""
        self.position: tuple[Any, Any] = (0, 0)
        """Epoch and index of the last batch."""
        self._count = 0
        self._unsettled = 0
        """Images of the present call that nothing has been decided about."""
        self._captured: ImageCapture | None = None
        """Those of the present call that have been copied."""
        self.was_interrupted = False
        """The program has ended a call by an exception, wherever that was at the moment."""
        self.caller: int | None = None
        """The thread that is inside a call at the moment, and may be in another library."""
        self._bytes_in = 0
        self._rows_bytes = 0
        """Of the copies of predictions and classes of the present call."""
        self.bytes_out = 0
        """Of copies that are not needed any more; counted by whoever empties the queue."""

    def batch(
        self,
        loss: Any,
        epoch: Any,
        batch: Any,
        images: Any,
        predictions: Any,
        ground_truth: Any,
        sample_count: Any,
    ) -> None:
        """Keep a batch."""
        if (
            images is predictions is ground_truth is sample_count is self._check is None
            and type(loss) is float
            and type(epoch) is int
            and type(batch) is int
        ):
            self.position = (epoch, batch)
            if not self._queue.put_numbers((self._clock(), loss, epoch, batch)):
                self._left_out.add("batches", Reason.MEMORY)
            return
        queue = self._queue
        if queue.is_full:
            self._left_out.add("batches", Reason.MEMORY)
            return
        if is_traced():
            untraced(self.batch)(
                loss, epoch, batch, images, predictions, ground_truth, sample_count
            )
            return
        self.caller = threading.get_ident()
        try:
            if queue.is_closed:
                return
            call = self._batch(
                self._clock(), loss, epoch, batch, images, predictions, ground_truth, sample_count
            )
            self._put(call)
            if queue.is_closed:  # meanwhile, by another thread, which has not seen this call
                self._leave_out_call(Reason.CLOSED)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, training goes on
            self._failed(error)
        finally:
            self._captured = None
            self.caller = None

    def epoch(
        self,
        epoch: Any,
        loss: Any,
        accuracy: Any,
        validation_loss: Any,
        validation_accuracy: Any,
        learning_rate: Any,
    ) -> None:
        """Keep the averages of an epoch."""
        if self._queue.is_closed:
            return
        if is_traced():
            averages = (loss, accuracy, validation_loss, validation_accuracy, learning_rate)
            untraced(self.epoch)(epoch, *averages)
            return
        number = self._values.number
        self.caller = threading.get_ident()
        try:
            call = EpochCall(
                self._clock(),
                number(epoch),
                number(loss),
                number(accuracy),
                number(validation_loss),
                number(validation_accuracy),
                number(learning_rate),
                self._values.seal(),
            )
            self._put(call)
        finally:
            self.caller = None

    def scalars(self, values: Any, epoch: Any, batch: Any) -> None:
        """Keep numbers by name."""
        if self._queue.is_full:
            self._left_out.add("scalars", Reason.MEMORY)
            return
        if self._queue.is_closed:
            return
        if is_traced():
            untraced(self.scalars)(values, epoch, batch)
            return
        at = self._clock()
        number = self._values.number
        self.caller = threading.get_ident()
        try:
            kept = self._named(values)
            call = ScalarsCall(at, kept, number(epoch), number(batch), self._values.seal())
            self._put(call)
        finally:
            self.caller = None

    def release(self, images: ImageCapture, pictures: Pictures) -> None:
        """Give back the memory of images that whoever empties the queue has claimed and needs no longer."""
        pictures.release()
        self.bytes_out += images.size_bytes

    def announce(self) -> None:
        """Log what the loop's calls have left out; called by the SDK's own thread."""
        self._left_out.announce()

    def wait_for_caller(self, deadline: float) -> None:
        """Wait until no other thread is inside a call, or the monotonic deadline.

        A daemon thread that is in a library's C++ code when the interpreter ends can abort the process.
        """
        while self.caller not in (None, threading.get_ident()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Let go of all copies; takes no lock."""
        self._undecided.clear()
        self._waiting.clear()
        self._buffers.clear()

    def _put(self, call: Call) -> None:
        if self._check is not None:
            self._check(call)
        self._queue.put(call)

    def _failed(self, error: BaseException) -> None:
        """Give up a batch; raise where that is what the program wants."""
        was_interrupted, self.was_interrupted = self.was_interrupted, True
        self._leave_out_call(Reason.RAISED)
        landing = self._values.seal()
        if landing is not None:
            landing.release()
        self._bytes_in -= self._rows_bytes
        self._rows_bytes = 0
        let_through(error)
        self.was_interrupted = was_interrupted
        if self._left_out.is_strict and isinstance(error, ValueError):
            raise error
        self._left_out.add("batches", Reason.UNREADABLE, error=error)

    def _leave_out_call(self, reason: Reason) -> None:
        """Count the images of the present call as left out, but for those that have been counted."""
        count, self._unsettled = self._unsettled, 0
        self._left_out.add("images", reason, count)
        if self._captured is not None:
            self._let_go(self._captured, reason)

    def _leave_out(self, reason: Reason, count: int, error: BaseException | None = None) -> None:
        """Count images of the present call as left out."""
        self._unsettled -= count
        self._left_out.add("images", reason, count, error=error)

    def _named(self, values: Any) -> Mapping[str, Any]:
        """Return numbers by name; a name that is not a text becomes what it prints as, and never another's."""
        try:
            given = dict(values)
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._left_out.add("scalars", Reason.UNREADABLE, error=error)
            return {}
        number = self._values.number
        named = {name: number(value) for name, value in given.items() if type(name) is str}
        for name, value in given.items():
            if type(name) is not str:
                self._name(named, name, value)
        return named

    def _name(self, named: dict[str, Any], name: Any, value: Any) -> None:
        try:
            text = str(name)
        except BaseException as error:  # noqa: BLE001 -- a name may be of any making too
            let_through(error)
            self._left_out.add("values", Reason.UNREADABLE, error=error)
            return
        key = f"{text} ({type_name(name)})" if text in named else text
        named[key] = self._values.number(value)

    def _batch(
        self,
        at: float,
        loss: Any,
        epoch: Any,
        batch: Any,
        images: Any,
        predictions: Any,
        ground_truth: Any,
        sample_count: Any,
    ) -> BatchCall:
        values = self._values
        limit = self._server_config().images_per_batch
        loss, epoch, batch = values.number(loss), values.number(epoch), values.number(batch)
        self.position = (epoch, batch)
        samples = values.number(sample_count)
        labelled = length_of(ground_truth, is_truth=True) or length_of(predictions)
        given = None if images is None else self._given(images, labelled or samples)
        capture = None
        if given is not None:
            capture = self._capture(Candidate(at, loss, epoch), given, limit)
        counted = (given.total if given else 0) or labelled
        if predictions is not None:
            predictions = self._rows("predictions", predictions, limit)
        if ground_truth is not None:
            ground_truth = self._rows("ground_truth", ground_truth, limit)
        landing = values.seal()
        size, self._rows_bytes = self._rows_bytes, 0
        return BatchCall(
            at,
            loss,
            epoch,
            batch,
            samples,
            counted,
            predictions,
            ground_truth,
            capture,
            landing,
            size,
        )

    def _rows(self, what: str, rows: Any, limit: int) -> Any:
        """Copy predictions or classes, where there is room for them: large ones cost images first."""
        size = rows_bytes(rows, limit)
        if size > SMALL_ROWS_BYTES and not self._make_room(size, 1, inf):
            self._left_out.add(what, Reason.MEMORY)
            return None
        self._bytes_in += size
        self._rows_bytes += size
        return self._values.rows(rows, limit, what)

    def _given(self, images: Any, samples: Any) -> Given | None:
        try:
            given = given_images(images, samples)
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._left_out.images_given += 1  # how many it was meant to be is not known
            self._left_out.add("images", Reason.UNREADABLE, error=error)
            return None
        return given

    def _capture(self, candidate: Candidate, given: Given, limit: int) -> ImageCapture | None:
        """Copy the images of a batch, where they may be sent; the others are counted as left out."""
        self._left_out.images_given += given.total
        self._unsettled = given.total
        if self._undecided:
            self._decide()
        is_chosen = self._is_chosen(candidate)
        if is_chosen is False or not given.total:
            self._leave_out(Reason.SAMPLED_OUT, given.total)
            return None
        count = min(limit, given.total)
        self._leave_out(Reason.SAMPLED_OUT, given.total - count)
        capture = self._copied(candidate, given, count)
        if capture is None:
            return None
        capture.is_chosen = is_chosen
        if is_chosen is None:
            self._undecided.append((candidate, capture))
        elif self._server_config().image_batches_per_second != inf:
            self._sampler.keep(_Waiting(self, capture))
        return capture

    def _is_chosen(self, candidate: Candidate) -> bool | None:
        """Return whether images are wanted; None while the loss, or what the bridge wants, is not known."""
        server_config = self._server_config()
        if server_config.image_batches_per_second <= 0:
            return False
        if not server_config.is_received:
            return None
        if type(candidate.loss) is not float:
            if not has_arrived(candidate.loss):
                return None
            candidate = candidate._replace(loss=number_or_lowest(candidate.loss))
        return self._sampler.wants(candidate, server_config.image_batches_per_second)

    def _decide(self) -> None:
        """Choose among the batches whose losses have arrived since, and let go of the others."""
        server_config = self._server_config()
        if not server_config.is_received:
            return
        undecided, self._undecided = self._undecided, []
        for place, (candidate, capture) in enumerate(undecided):
            if capture.is_waiting and not has_arrived(candidate.loss):
                self._undecided = undecided[place:]
                return
            loss = loss_while_waiting(capture)
            if loss is None:
                continue
            known = candidate._replace(loss=loss)
            if not self._sampler.wants(known, server_config.image_batches_per_second):
                self._let_go(capture, Reason.SAMPLED_OUT)
                continue
            capture.is_chosen = True
            if server_config.image_batches_per_second < inf:
                self._sampler.keep(_Waiting(self, capture))

    def _copied(self, candidate: Candidate, given: Given, count: int) -> ImageCapture | None:
        """Copy as many images as there is room for; the others are counted as left out."""
        try:
            badness = badness_of(candidate.loss)
            size = size_of(given, count)
            fitting = self._make_room(size, count, badness)
            pictures = None
            if fitting:
                pictures = copied_images(given, fitting, self._values, self._buffers)
        except CapturingError as error:
            self._leave_out(Reason.CAPTURING, count, error)
            return None
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._leave_out(Reason.UNREADABLE, count, error)
            return None
        capture = None
        if pictures is not None:
            size = size * fitting // count
            capture = ImageCapture(pictures, fitting, size, candidate.loss)
            self._bytes_in += size
            self._captured, self._unsettled = capture, count - fitting
            self._count += 1
            heappush(self._waiting, (badness, self._count, capture))
        self._leave_out(Reason.MEMORY, count - fitting)
        return capture

    def _make_room(self, size: int, count: int, badness: float) -> int:
        """Return how many of `count` images of `size` bytes may be copied, at the cost of lower losses."""
        if len(self._waiting) > MOST_WAITING:
            self._waiting = [entry for entry in self._waiting if entry[2].is_waiting]
            heapify(self._waiting)
        while self.held_bytes + size > self._limit_bytes and self._waiting:
            if self._waiting[0][2].is_waiting and self._waiting[0][0] >= badness:
                break
            self._let_go(heappop(self._waiting)[2], Reason.MEMORY)
        room = self._limit_bytes - self.held_bytes
        if self.held_bytes + size > self._limit_bytes // 2:
            self._queue.wake.set()
        if size <= room:
            return count
        return max(0, count * room // size, 0 if self.held_bytes else 1)

    @property
    def held_bytes(self) -> int:
        """Return how many bytes of copies wait, or are being encoded."""
        return self._bytes_in - self.bytes_out

    def _let_go(self, capture: ImageCapture, reason: Reason) -> bool:
        """Give up images that nobody has begun to encode; return whether they still were there."""
        pictures = capture.claim()
        if pictures is None:
            return False
        pictures.release()
        self._bytes_in -= capture.size_bytes
        self._left_out.add("images", reason, capture.count)
        return True


class _Waiting(NamedTuple):
    """Images that a later batch of the window may replace."""

    capture: Capture
    images: ImageCapture

    def discard(self) -> bool:
        """Let go of them, as the bridge would."""
        return self.capture._let_go(self.images, Reason.SAMPLED_OUT)

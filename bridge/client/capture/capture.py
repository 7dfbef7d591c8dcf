"""What the training loop's calls do: check their arguments, copy what will be sent, and return."""

import threading
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from bridge.client.calls import BatchCall, Call, EpochCall, ScalarsCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.events import EventCapture
from bridge.client.capture.image_copies import ImageCopies
from bridge.client.capture.image_sampler import Candidate
from bridge.client.capture.images import GivenImages, given_images
from bridge.client.capture.named_numbers import NamedNumbers
from bridge.client.capture.positions import Position, known_step, place_of
from bridge.client.capture.tracing import is_traced, untraced
from bridge.client.capture.values import Values, length_of, rows_bytes
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason

COPIES_SHARE = 2
"""Copies that wait to be encoded may take up the whole buffer divided by this."""

POLL_SECONDS = 0.001

SMALL_ROWS_BYTES = 1 << 16
"""Predictions and classes up to this size count toward the limit, but are always copied."""


class Capture:
    """Captures the arguments of each call as they are then; runs in the training loop, and never raises.

    A batch's images are copied only where they may be sent. Where the loss is a number on the host, that
    is decided at once; where it is still on a device, at the next call after it has arrived. Waiting
    copies take up a bounded number of bytes; where those do not suffice, the images of the batch with
    the lowest loss are discarded. A session is called from one thread at a time.
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

        `check` may raise for a call, which is then not queued.
        """
        self._queue = queue
        self._server_config = server_config
        self._left_out = left_out
        self._check = check
        self._values = values or Values()
        self._names = NamedNumbers(self._values, left_out)
        self._events = EventCapture(self._values, left_out)
        self._clock = clock
        self.copies = ImageCopies(
            limit_bytes // COPIES_SHARE,
            server_config=server_config,
            left_out=left_out,
            encode_soon=queue.wake.set,
        )
        self.position: Position = (None, None, None)
        """Of the last batch."""
        self.next_step = 0
        """The step of the next batch that is given neither epoch and batch nor a step."""
        self.was_interrupted = False
        """Whether an exception from outside, such as of a signal handler, has ended a call at any point."""
        self.caller: int | None = None
        """The thread that is inside a call at the moment, perhaps in the code of another library."""
        self._rows_bytes = 0
        """Size of the current call's copies of predictions and classes."""

    def batch(
        self,
        loss: Any,
        position: Position,
        tokens: Any,
        images: Any,
        predictions: Any,
        ground_truth: Any,
        sample_count: Any,
    ) -> None:
        """Capture a batch; without epoch and batch it is counted by steps."""
        epoch, batch, step = position
        is_bare = images is predictions is ground_truth is sample_count is self._check is None
        if (
            is_bare
            and step is tokens is None
            and type(loss) is float
            and type(epoch) is int
            and type(batch) is int
        ):
            self.position = position
            if not self._queue.put_numbers((self._clock(), loss, epoch, batch)):
                self._left_out.add("batches", Reason.MEMORY)
            return
        if (
            is_traced()
        ):  # before anything that differs at each call, for which it would be compiled again
            untraced(self.batch)(
                loss, position, tokens, images, predictions, ground_truth, sample_count
            )
            return
        if epoch is batch is None:
            position = self._count(step)
            if is_bare and self._put_step(loss, position[2], tokens):
                return
        queue = self._queue
        if queue.is_full:
            self._left_out.add("batches", Reason.MEMORY)
            return
        self.caller = threading.get_ident()
        try:
            if queue.is_closed:
                return
            at = self._clock()
            call = self._batch(
                at, loss, position, tokens, images, predictions, ground_truth, sample_count
            )
            self._put(call)
            if queue.is_closed:  # by another thread meanwhile, which has not counted this call
                self.copies.leave_out_call(Reason.CLOSED)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, training goes on
            self._abandon_batch(error)
        finally:
            self.copies.end_call()
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
        """Capture the averages of an epoch."""
        if is_traced():
            averages = (loss, accuracy, validation_loss, validation_accuracy, learning_rate)
            untraced(self.epoch)(epoch, *averages)
            return
        if not self._has_room("epochs"):
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

    def scalars(
        self, values: Any, epoch: Any, batch: Any, step: Any = None, split: Any = ""
    ) -> None:
        """Capture numbers by name, by default those of the last batch."""
        if is_traced():
            untraced(self.scalars)(values, epoch, batch, step, split)
            return
        if self._queue.is_full:
            self._left_out.add("scalars", Reason.MEMORY)
            return
        if self._queue.is_closed:
            return
        at = self._clock()
        number = self._values.number
        self.caller = threading.get_ident()
        try:
            named = self._names.numbers(values)
            epoch, batch, step = place_of(self.position, epoch, batch, step)
            position = (number(epoch), number(batch), number(step))
            call = ScalarsCall(at, named, *position, split, self._values.seal())
            self._put(call)
        finally:
            self.caller = None

    def event(self, name: Any, message: Any, level: Any, details: Mapping[str, Any]) -> None:
        """Capture an event."""
        if is_traced():
            untraced(self.event)(name, message, level, details)
            return
        if not self._has_room("events"):
            return
        self.caller = threading.get_ident()
        try:
            call = self._events.read(self.position, name, message, level, details)
            if call is not None:
                self._put(call)
        finally:
            self.caller = None

    def announce(self) -> None:
        """Log what the loop's calls have left out; called by the SDK's own thread."""
        self._left_out.announce()

    def wait_for_caller(self, deadline: float) -> None:
        """Wait until no other thread is inside a call, or until the monotonic deadline.

        A daemon thread that is in a library's C++ code when the interpreter ends can abort the process.
        """
        while self.caller not in (None, threading.get_ident()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Release all copies; takes no lock."""
        self.copies.close()

    def _has_room(self, what: str) -> bool:
        """Return whether a call is taken that may go beyond the limit of batches."""
        if self._queue.is_overfull and not self._queue.is_closed:
            self._left_out.add(what, Reason.MEMORY)
            return False
        return not self._queue.is_closed

    def _put(self, call: Call) -> None:
        if self._check is not None:
            self._check(call)
        self._queue.put(call)

    def _abandon_batch(self, error: BaseException) -> None:
        """Release what a failed call has captured; raise the error where it is meant for the program."""
        was_interrupted, self.was_interrupted = self.was_interrupted, True
        self.copies.leave_out_call(Reason.RAISED)
        transfer = self._values.seal()
        if transfer is not None:
            transfer.release()
        self.copies.bytes_in -= self._rows_bytes
        self._rows_bytes = 0
        let_through(error)
        self.was_interrupted = was_interrupted
        if self._left_out.is_strict and isinstance(error, ValueError):
            raise error
        self._left_out.add("batches", Reason.UNREADABLE, error=error)

    def _count(self, step: Any) -> Position:
        """Return the position of a batch that is counted by steps: the one given, or the one after the last."""
        if step is None:
            step = self.next_step
        if type(step) is not int or step < 0:
            return self._go_to((None, None, self._values.number(step)))
        self.position, self.next_step = (None, None, step), step + 1
        return self.position

    def _put_step(self, loss: Any, step: Any, tokens: Any) -> bool:
        """Queue a batch that consists of Python's own numbers only; return whether it is one."""
        if type(loss) is not float or type(step) is not int:
            return False
        if tokens is not None and type(tokens) is not int:
            return False
        if not self._queue.put_numbers((self._clock(), loss, None, None, step, tokens)):
            self._left_out.add("batches", Reason.MEMORY)
        return True

    def _go_to(self, position: Position) -> Position:
        """Keep the position of a batch, and count on from its step where that is known."""
        self.position = position
        step = known_step(position[2])
        if step is not None and step >= 0:
            self.next_step = step + 1
        return position

    def _batch(
        self,
        at: float,
        loss: Any,
        position: Position,
        tokens: Any,
        images: Any,
        predictions: Any,
        ground_truth: Any,
        sample_count: Any,
    ) -> BatchCall:
        values = self._values
        limit = self._server_config().images_per_batch
        loss = values.number(loss)
        tokens = None if tokens is None else values.number(tokens)
        epoch, batch, step = position
        if epoch is not None or batch is not None:
            is_placed = epoch is not None and batch is not None
            epoch, batch = values.number(epoch), values.number(batch)
            step = None if step is None else values.number(step)
            if is_placed:  # what is logged next is where the last batch was that was anywhere
                self._go_to((epoch, batch, step))
        samples = values.number(sample_count)
        labelled = length_of(ground_truth, is_truth=True) or length_of(predictions)
        given = None if images is None else self._given(images, labelled or samples)
        capture = None
        if given is not None:
            capture = self.copies.take(Candidate(at, loss, epoch), given, limit, values)
        counted = (given.total if given else 0) or labelled
        if predictions is not None:
            predictions = self._rows("predictions", predictions, limit)
        if ground_truth is not None:
            ground_truth = self._rows("ground_truth", ground_truth, limit)
        transfer = values.seal()
        size, self._rows_bytes = self._rows_bytes, 0
        return BatchCall(
            at,
            loss,
            epoch,
            batch,
            step,
            tokens,
            samples,
            counted,
            predictions,
            ground_truth,
            capture,
            transfer,
            size,
        )

    def _rows(self, what: str, rows: Any, limit: int) -> Any:
        """Copy predictions or classes where there is room; large ones displace waiting images."""
        size = rows_bytes(rows, limit)
        if size > SMALL_ROWS_BYTES and not self.copies.make_room(size, 1, inf):
            self._left_out.add(what, Reason.MEMORY)
            return None
        self.copies.bytes_in += size
        self._rows_bytes += size
        return self._values.rows(rows, limit, what)

    def _given(self, images: Any, samples: Any) -> GivenImages | None:
        try:
            given = given_images(images, samples)
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._left_out.images_given += 1  # how many were meant is not known
            self._left_out.add("images", Reason.UNREADABLE, error=error)
            return None
        return given

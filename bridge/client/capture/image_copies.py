"""Which batches' images are copied, and how much memory the copies take."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from bridge.client.capture.device import CapturingError
from bridge.client.capture.host import HostBuffers
from bridge.client.capture.image_sampler import Candidate, ImageSampler
from bridge.client.capture.images import GivenImages, ImageCapture, Pictures, copied_images, size_of
from bridge.client.capture.losses import (
    badness_of,
    has_arrived,
    loss_while_waiting,
    number_or_lowest,
)
from bridge.client.capture.values import Values
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason

MAX_WAITING = 256
"""How many entries the heap has before those that no longer wait are removed."""


class ImageCopies:
    """Copies the images of the batches that are chosen, and bounds the bytes of all copies that wait.

    Where that is too little, the images of the batch with the lowest loss are discarded. Used by the
    training loop only, apart from `release` and `bytes_out`.
    """

    def __init__(
        self,
        limit_bytes: int,
        *,
        server_config: Callable[[], ServerConfig],
        left_out: LeftOut,
        encode_soon: Callable[[], None],
    ) -> None:
        """Hold up to `limit_bytes`; `encode_soon` is called once half of them are in use."""
        self._limit_bytes = max(1, limit_bytes)
        self._server_config = server_config
        self._left_out = left_out
        self._encode_soon = encode_soon
        self._buffers = HostBuffers()
        self._sampler = ImageSampler()
        self._undecided: list[tuple[Candidate, ImageCapture]] = []
        self._waiting: list[tuple[float, int, ImageCapture]] = []
        """A heap: the lowest loss comes first."""
        self._count = 0
        self._uncounted = 0
        """Images of the current call that are neither copied nor counted as left out yet."""
        self._captured: ImageCapture | None = None
        """The copies of the current call."""
        self.bytes_in = 0
        """Size of all copies so far, including those of predictions and classes."""
        self.bytes_out = 0
        """Size of the copies no longer needed; counted by the thread that empties the queue."""

    @property
    def held_bytes(self) -> int:
        """Return how many bytes of copies wait, or are being encoded."""
        return self.bytes_in - self.bytes_out

    def take(
        self, candidate: Candidate, given: GivenImages, limit: int, values: Values
    ) -> ImageCapture | None:
        """Copy the images of a batch that may be sent; count the others as left out."""
        self._left_out.images_given += given.total
        self._uncounted = given.total
        if self._undecided:
            self._decide()
        is_chosen = self._is_chosen(candidate)
        if is_chosen is False or not given.total:
            self._leave_out(Reason.SAMPLED_OUT, given.total)
            return None
        count = min(limit, given.total)
        self._leave_out(Reason.SAMPLED_OUT, given.total - count)
        capture = self._copied(candidate, given, count, values)
        if capture is None:
            return None
        capture.is_chosen = is_chosen
        if is_chosen is None:
            self._undecided.append((candidate, capture))
        elif self._server_config().image_batches_per_second != inf:
            self._sampler.keep(_Waiting(self, capture))
        return capture

    def make_room(self, size: int, count: int, badness: float) -> int:
        """Return how many of `count` images of `size` bytes may be copied; discard those of lower losses for them."""
        if len(self._waiting) > MAX_WAITING:
            self._waiting = [entry for entry in self._waiting if entry[2].is_waiting]
            heapify(self._waiting)
        while self.held_bytes + size > self._limit_bytes and self._waiting:
            if self._waiting[0][2].is_waiting and self._waiting[0][0] >= badness:
                break
            self.discard(heappop(self._waiting)[2], Reason.MEMORY)
        free_bytes = self._limit_bytes - self.held_bytes
        if self.held_bytes + size > self._limit_bytes // 2:
            self._encode_soon()
        if size <= free_bytes:
            return count
        return max(0, count * free_bytes // size, 0 if self.held_bytes else 1)

    def leave_out_call(self, reason: Reason) -> None:
        """Count the images of the current call as left out, apart from those counted already."""
        count, self._uncounted = self._uncounted, 0
        self._left_out.add("images", reason, count)
        if self._captured is not None:
            self.discard(self._captured, reason)

    def end_call(self) -> None:
        """Forget the copies of the current call, which is over."""
        self._captured = None

    def release(self, images: ImageCapture, pictures: Pictures) -> None:
        """Give back the memory of claimed images; called by the thread that empties the queue."""
        pictures.release()
        self.bytes_out += images.size_bytes

    def discard(self, capture: ImageCapture, reason: Reason) -> bool:
        """Discard images unless they have been claimed; return whether they were discarded."""
        pictures = capture.claim()
        if pictures is None:
            return False
        pictures.release()
        self.bytes_in -= capture.size_bytes
        self._left_out.add("images", reason, capture.count)
        return True

    def close(self) -> None:
        """Release all copies; takes no lock."""
        self._undecided.clear()
        self._waiting.clear()
        self._buffers.clear()

    def _leave_out(self, reason: Reason, count: int, error: BaseException | None = None) -> None:
        """Count images of the current call as left out."""
        self._uncounted -= count
        self._left_out.add("images", reason, count, error=error)

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
        """Decide on the batches whose losses have arrived since; discard the images that are not wanted."""
        server_config = self._server_config()
        if not server_config.is_received:
            return
        undecided, self._undecided = self._undecided, []
        for index, (candidate, capture) in enumerate(undecided):
            if capture.is_waiting and not has_arrived(candidate.loss):
                self._undecided = undecided[index:]
                return
            loss = loss_while_waiting(capture)
            if loss is None:
                continue
            known = candidate._replace(loss=loss)
            if not self._sampler.wants(known, server_config.image_batches_per_second):
                self.discard(capture, Reason.SAMPLED_OUT)
                continue
            capture.is_chosen = True
            if server_config.image_batches_per_second < inf:
                self._sampler.keep(_Waiting(self, capture))

    def _copied(
        self, candidate: Candidate, given: GivenImages, count: int, values: Values
    ) -> ImageCapture | None:
        """Copy as many images as there is room for; count the others as left out."""
        try:
            badness = badness_of(candidate.loss)
            size = size_of(given, count)
            fitting = self.make_room(size, count, badness)
            pictures = None
            if fitting:
                pictures = copied_images(given, fitting, values, self._buffers)
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
            self.bytes_in += size
            self._captured, self._uncounted = capture, count - fitting
            self._count += 1
            heappush(self._waiting, (badness, self._count, capture))
        self._leave_out(Reason.MEMORY, count - fitting)
        return capture


class _Waiting(NamedTuple):
    """Images that a later batch of the same window may replace."""

    copies: ImageCopies
    images: ImageCapture

    def discard(self) -> bool:
        """Discard them, as the bridge would."""
        return self.copies.discard(self.images, Reason.SAMPLED_OUT)

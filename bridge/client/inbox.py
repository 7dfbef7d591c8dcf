"""What the training loop has said and nobody has looked at yet."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.client.stats import Stats
from bridge.client.words import Status

ITEM_BYTES = 512
"""What an item takes up, roughly, its arrays not counted."""

IMAGE_SHARE = 4
"""Pixels that wait to be looked at may take up this part of the whole buffer, or be one batch."""


class BatchItem(NamedTuple):
    """One call of log_batch; the arrays are references, not copies."""

    at: float
    """Monotonic, in seconds."""
    loss: Any
    epoch: Any
    batch: Any
    images: Any
    predictions: Any
    ground_truth: Any
    sample_count: Any
    image_bytes: int


class EpochItem(NamedTuple):
    """One call of log_epoch."""

    at: float
    epoch: Any
    loss: Any
    accuracy: Any
    validation_loss: Any
    validation_accuracy: Any
    learning_rate: Any


class ScalarsItem(NamedTuple):
    """One call of log_scalars."""

    at: float
    values: Mapping[str, Any]
    epoch: Any
    batch: Any


class StatusItem(NamedTuple):
    """The run says what it is doing."""

    at: float
    status: Status
    message: str


class AnswerItem(NamedTuple):
    """What became of an order."""

    at: float
    command_id: str
    applied: bool
    message: str
    epoch: Any
    batch: Any


class ResumedItem(NamedTuple):
    """Training goes on after a pause."""

    at: float


Item = BatchItem | EpochItem | ScalarsItem | StatusItem | AnswerItem | ResumedItem


class Inbox:
    """A bounded queue that never makes the training loop wait: appending to a deque takes no lock."""

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Hold items and the arrays they refer to up to a part of `limit_bytes`."""
        self._items: deque[Item] = deque()
        self._limit_items = max(64, limit_bytes // ITEM_BYTES)
        self._limit_images = max(1, limit_bytes // IMAGE_SHARE)
        self._stats = stats
        self._image_bytes_in = 0
        self._image_bytes_out = 0
        self.wake = threading.Event()
        """Ends the rest of whoever takes items."""
        self.is_watched = False
        """The next item sets `wake`; else it need not cost the loop that."""

    def put_batch(
        self, loss: Any, epoch: Any, batch: Any, images: Any, predictions: Any, ground_truth: Any,
        sample_count: Any,
    ) -> None:  # fmt: skip
        """Keep a batch; runs in the training loop, so there is nothing in it that need not be."""
        items = self._items
        if len(items) >= self._limit_items:
            self._stats.dropped += 1
            return
        size = 0
        if images is not None:
            size = size_of(images)
            waiting = self._image_bytes_in - self._image_bytes_out
            if waiting and waiting + size > self._limit_images:
                count = count_of(images)  # first: another thread counts here too
                self._stats.images_shed += count
                images = None
                size = 0
            self._image_bytes_in += size
        items.append(
            BatchItem(
                time.monotonic(), loss, epoch, batch, images, predictions, ground_truth,
                sample_count, size,
            )
        )  # fmt: skip
        if self.is_watched:
            self.wake.set()

    def put(self, item: Item) -> None:
        """Keep an item, one of those that are rare and never dropped here."""
        self._items.append(item)
        if self.is_watched:
            self.wake.set()

    def put_scalars(self, item: ScalarsItem) -> None:
        """Keep scalars, unless there is no room."""
        if len(self._items) >= self._limit_items:
            self._stats.dropped += 1
            return
        self.put(item)

    def take(self, limit: int) -> list[Item]:
        """Hand over the oldest items; runs in the SDK's own thread."""
        items = self._items
        taken: list[Item] = []
        while items and len(taken) < limit:
            item = items.popleft()
            if type(item) is BatchItem:
                self._image_bytes_out += item.image_bytes
            taken.append(item)
        return taken

    @property
    def is_filling(self) -> bool:
        """Tell whether it is time to take items."""
        return len(self._items) > self._limit_items // 2

    def close(self) -> None:
        """Let go of everything and keep nothing from now on; takes no lock, so it works after a fork."""
        self._items = deque(maxlen=0)
        self.is_watched = (
            False  # in a fork nobody watches, and the lock of `wake` may be held for ever
        )

    def __len__(self) -> int:
        """Count the items that wait."""
        return len(self._items)


def size_of(images: Any) -> int:
    """Return how many bytes the images keep in memory; 0 where nothing tells. Never raises."""
    try:
        if type(images) is list or type(images) is tuple:
            return sum([_size_of_one(image) for image in images])
        return int(images.nbytes)
    except Exception:  # noqa: BLE001 -- whatever was given is looked at later, in another thread
        return 0


def _size_of_one(image: Any) -> int:
    if type(image) is bytes:
        return len(image)
    size = getattr(image, "nbytes", None)
    return 0 if size is None else int(size)


def count_of(samples: Any) -> int:
    """Return how many samples these are; 0 where nothing tells. Never raises."""
    try:
        return len(samples)
    except Exception:  # noqa: BLE001 -- see size_of
        return 0

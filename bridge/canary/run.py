"""The known run: every value that is sent, as a function of the batch's number."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bridge.canary.picture import jpeg

EPOCH_BATCHES = 20
CLASSES = 4

IMAGES_EVERY = 5
"""Every so many batches one has images: they stay in the bridge's store, and the canary sings for ever."""

LOSS_STEPS = 1_024
"""Losses are whole numbers of these, so their sums are exact in whatever order they are added."""

CONFIDENCE_STEPS = 64

Cell = tuple[str, str]
"""True and predicted class, as /metrics writes them."""

NO_CELLS: Mapping[Cell, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is: its batch within its epoch, and its place in the batch."""

    epoch: int
    batch: int
    position: int

    @property
    def number(self) -> int:
        """The number of its batch within the run."""
        return self.epoch * EPOCH_BATCHES + self.batch


@dataclass(frozen=True, slots=True)
class Sample:
    """One prediction, and what would have been right."""

    predicted_class: int
    confidence: float
    true_class: int


def loss_of(number: int) -> float:
    """Return the loss of a batch, between 0.25 and 1.25; neighbours differ."""
    return (LOSS_STEPS // 4 + _mixed(number, 0) % LOSS_STEPS) / LOSS_STEPS


def sample_of(number: int, position: int) -> Sample:
    """Return what is predicted of a sample; about one in four is wrong."""
    mixed = _mixed(number, position + 1)
    true_class = mixed % CLASSES
    miss = max(0, mixed // 16 % 16 - 12)
    confidence = (CONFIDENCE_STEPS // 2 + mixed // 256 % (CONFIDENCE_STEPS // 2)) / CONFIDENCE_STEPS
    return Sample((true_class + miss) % CLASSES, confidence, true_class)


def has_images(number: int) -> bool:
    """Tell whether a batch comes with images, where a run has any."""
    return number % IMAGES_EVERY == 0


def image_of(session_id: str, place: Place) -> bytes:
    """Return a JPEG that no other place of no other session has."""
    text = f"{session_id} {place.epoch}-{place.batch} {place.position}"
    return jpeg(place.number << 4 | place.position, text)


def epoch_loss_of(epoch: int) -> float:
    """Return the average loss of an epoch."""
    first = epoch * EPOCH_BATCHES
    return sum(map(loss_of, range(first, first + EPOCH_BATCHES))) / EPOCH_BATCHES


def _mixed(number: int, salt: int) -> int:
    """Return 16 bits that look like chance (multiplicative hashing, Knuth)."""
    return ((number * 31 + salt + 1) * 2_654_435_761 & 0xFFFFFFFF) >> 16

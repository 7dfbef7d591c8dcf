"""The known run: every value that is sent follows from the number of its batch."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.canary.verdict import Counts, What

EPOCH_BATCHES = 20
IMAGES_EVERY = 5
"""One batch in so many has images: they stay in the bridge's store, and a canary runs without end."""

SCALAR, SPLIT = "canary_loss", "validation"
"""What is logged by name before each epoch is said to be complete: its average loss."""

CLASSES = ("zero", "one", "two", "three")

IMAGE = bytes.fromhex(
    f"ffd8 ffdb 0043 00 {'08' * 64}"  # one quantization table
    "ffc0 000b 08 0008 0008 01 011100"  # 8x8 pixels of one component
    f"ffc4 0014 00 01 {'00' * 15} 00  ffc4 0014 10 01 {'00' * 15} 00"  # DC and AC code: only 0
    "ffda 0008 01 0100 003f00 3f ffd9"  # one grey block
)
"""A baseline JPEG; what makes an image of it unlike all others is a comment segment (ITU-T T.81, B.2.4.5)."""


@dataclass(frozen=True)
class KnownRun:
    """Batches are numbered from 1 through all epochs, epochs from 1, and batches within an epoch from 0."""

    session_id: str
    epoch_batches: int = EPOCH_BATCHES
    samples: int = 1
    """Predictions, true classes and, where it has any, images of a batch."""
    images_every: int = IMAGES_EVERY
    """One batch in so many has images; 0: none."""

    def place(self, number: int) -> tuple[int, int]:
        """Return epoch and batch."""
        epoch, batch = divmod(number - 1, self.epoch_batches)
        return epoch + 1, batch

    def number(self, epoch: int, batch: int) -> int:
        """Return the number of a batch."""
        return (epoch - 1) * self.epoch_batches + batch + 1

    def loss(self, number: int) -> float:
        """Return the loss of a batch, between 0.25 and 1.25; neighbours differ.

        It is a multiple of 1/1024, so that sums are exact in whatever order losses are added.
        """
        return (256 + _mixed(number, 0) % 1024) / 1024

    def epoch_loss(self, epoch: int) -> float:
        """Return the average loss of an epoch."""
        first = self.number(epoch, 0)
        return sum(map(self.loss, range(first, first + self.epoch_batches))) / self.epoch_batches

    def truths(self, number: int) -> list[int]:
        """Return the true classes of a batch."""
        return [mixed % len(CLASSES) for mixed in self._mixed(number)]

    def predictions(self, number: int) -> list[int]:
        """Return the predicted classes of a batch; about one in five is wrong."""
        mixed = self._mixed(number)
        return [(one + max(0, one // 16 % 16 - 12)) % len(CLASSES) for one in mixed]

    def confidences(self, number: int) -> list[float]:
        """Return the confidences of the predictions, between 0.5 and 1."""
        return [(32 + mixed // 256 % 32) / 64 for mixed in self._mixed(number)]

    def images(self, number: int) -> list[bytes]:
        """Return the JPEGs of a batch; no other position, batch or session has the same ones."""
        has_images = self.images_every > 0 and number % self.images_every == 0
        count = self.samples if has_images else 0
        return [self._image(number, position) for position in range(count)]

    def amounts(self, number: int) -> Iterator[tuple[What, str, float]]:
        """Yield what a batch adds to each of the values that are compared, as `Shown.values` has them."""
        yield What.BATCH, "samples", self.samples
        yield What.LOSS, "sum", self.loss(number)
        yield What.PREDICTION, "confidences", self.samples
        yield What.PREDICTION, "confidence sum", sum(self.confidences(number))
        for truth, predicted in zip(self.truths(number), self.predictions(number), strict=True):
            yield What.PREDICTION, f"{truth}/{predicted}", 1

    def counts(self, *, batches: int, epochs: int, images: int) -> Counts:
        """Return how much there is of everything in so many batches, epochs and images."""
        predictions = batches * self.samples
        return dict(zip(What, (batches, batches, epochs, predictions, images), strict=True))

    def _mixed(self, number: int) -> list[int]:
        return [_mixed(number, sample) for sample in range(1, self.samples + 1)]

    def _image(self, number: int, position: int) -> bytes:
        epoch, batch = self.place(number)
        text = f"{self.session_id} {epoch}-{batch} {position}".encode()
        return IMAGE[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + IMAGE[2:]


def _mixed(number: int, salt: int) -> int:
    """Return 16 bits that look random (multiplicative hashing, Knuth)."""
    return ((number * 31 + salt + 1) * 2_654_435_761 & 0xFFFFFFFF) >> 16

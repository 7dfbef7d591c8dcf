"""A training run in which everything follows from the number of a batch, so that books can be checked exactly."""

from collections.abc import Iterator
from dataclasses import dataclass

from support.jpegs import jpeg

from bridge.wire import metrics_pb2 as wire

CLASSES = ("zero", "one", "two")
COMMENT = b"\xff\xfe"
"""Marks a segment of a JPEG that decoders pass over (ITU-T T.81, table B.1)."""


@dataclass(frozen=True)
class KnownRun:
    """Batches are numbered from 1, through all epochs; losses and confidences add up without rounding."""

    session_id: str
    per_epoch: int = 100
    width: int = 2
    """Samples of a batch: so many predictions, truths and, where it is pictured, images."""
    pictured: int = 1
    """Each so manieth batch has images; 0: none."""

    def place(self, number: int) -> tuple[int, int]:
        """Return epoch, from 1, and index within it, from 0."""
        epoch, index = divmod(number - 1, self.per_epoch)
        return epoch + 1, index

    def number(self, epoch: int, index: int) -> int:
        """Return which batch has this place."""
        return (epoch - 1) * self.per_epoch + index + 1

    def ends_epoch(self, number: int) -> bool:
        """Tell whether the batch is the last one of its epoch."""
        return number % self.per_epoch == 0

    def loss(self, number: int) -> float:
        """Return a multiple of 1/1024 between 0 and 4."""
        return (number * 37 % 4096 + 1) / 1024

    def truths(self, number: int) -> list[int]:
        """Return the true classes."""
        return [(number + position) % len(CLASSES) for position in range(self.width)]

    def predictions(self, number: int) -> list[int]:
        """Return the predicted classes."""
        return [(number // 2 + position) % len(CLASSES) for position in range(self.width)]

    def confidences(self, number: int) -> list[float]:
        """Return multiples of 1/16."""
        return [((number + position) % 16 + 1) / 16 for position in range(self.width)]

    def has_images(self, number: int) -> bool:
        """Tell whether a batch is pictured."""
        return self.pictured > 0 and number % self.pictured == 0

    def images(self, number: int) -> list[bytes]:
        """Return JPEGs, no two of which are the same, whichever run or batch they are from."""
        if not self.has_images(number):
            return []
        return [self._image(number, position) for position in range(self.width)]

    def _image(self, number: int, position: int) -> bytes:
        plain = jpeg(8, 8, number % 256)
        text = f"{self.session_id} {number} {position}".encode()
        length = (len(text) + 2).to_bytes(2, "big")
        return plain[:2] + COMMENT + length + text + plain[2:]

    def batch(self, number: int) -> wire.MetricsRequest:
        """Return a batch as a message, without a sequence."""
        epoch, index = self.place(number)
        guesses = zip(self.predictions(number), self.confidences(number), strict=True)
        data = wire.BatchData(
            epoch=epoch,
            batch_idx=index,
            batch_loss=self.loss(number),
            images=[wire.ImageData(image_bytes=image) for image in self.images(number)],
            predictions=[
                wire.Prediction(predicted_class=kind, confidence=sure) for kind, sure in guesses
            ],
            ground_truth=self.truths(number),
            sample_count=self.width,
        )
        return wire.MetricsRequest(session_id=self.session_id, batch_data=data)

    def epoch(self, number: int) -> wire.MetricsRequest:
        """Return the averages of an epoch as a message."""
        data = wire.EpochData(epoch=number, average_loss=number / 1024, average_accuracy=0.5)
        return wire.MetricsRequest(session_id=self.session_id, epoch_data=data)

    def status(self, status: wire.TrainingStatus) -> wire.MetricsRequest:
        """Return a status as a message."""
        data = wire.StatusUpdate(status=status)
        return wire.MetricsRequest(session_id=self.session_id, status_update=data)

    def config(self) -> wire.TrainingConfig:
        """Return what is told of the run at registration."""
        return wire.TrainingConfig(
            batches_per_epoch=self.per_epoch, batch_size=self.width, class_names=CLASSES
        )

    def requests(self, first: int, last: int) -> Iterator[wire.MetricsRequest]:
        """Yield batches `first` to `last`, and behind the last one of each epoch its averages."""
        for number in range(first, last + 1):
            yield self.batch(number)
            if self.ends_epoch(number):
                yield self.epoch(number // self.per_epoch)

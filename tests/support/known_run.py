"""The canary's known run as messages of the protocol, with more images than a canary sends."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.canary import run as canary
from bridge.canary.run import CLASSES
from bridge.wire import metrics_pb2 as wire

SCALAR = "perplexity"
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class KnownRun(canary.KnownRun):
    """Batches are numbered from 1, through all epochs; losses and confidences add up without rounding."""

    epoch_batches: int = 100
    samples: int = 2
    images_every: int = 1
    reports_every: int = 0
    """Behind every so many batches comes what `reports` yields; 0: never."""

    def ends_epoch(self, number: int) -> bool:
        """Return whether a batch is the last one of its epoch."""
        return number % self.epoch_batches == 0

    def batch(self, number: int) -> wire.MetricsRequest:
        """Return a batch as a message, without a sequence."""
        epoch, index = self.place(number)
        pairs = zip(self.predictions(number), self.confidences(number), strict=True)
        data = wire.BatchData(
            epoch=epoch,
            batch_idx=index,
            batch_loss=self.loss(number),
            images=[wire.ImageData(image_bytes=image) for image in self.images(number)],
            predictions=[
                wire.Prediction(predicted_class=predicted, confidence=confidence)
                for predicted, confidence in pairs
            ],
            ground_truth=self.truths(number),
            sample_count=self.samples,
        )
        return wire.MetricsRequest(session_id=self.session_id, batch_data=data)

    def epoch(self, number: int) -> wire.MetricsRequest:
        """Return the averages of an epoch as a message."""
        data = wire.EpochData(
            epoch=number, average_loss=self.epoch_loss(number), average_accuracy=0.5
        )
        return wire.MetricsRequest(session_id=self.session_id, epoch_data=data)

    def status(self, status: wire.TrainingStatus) -> wire.MetricsRequest:
        """Return a status as a message."""
        data = wire.StatusUpdate(status=status)
        return wire.MetricsRequest(session_id=self.session_id, status_update=data)

    def config(self) -> wire.TrainingConfig:
        """Return the configuration that the run is registered with."""
        return wire.TrainingConfig(
            batches_per_epoch=self.epoch_batches, batch_size=self.samples, class_names=CLASSES
        )

    def requests(self, first: int, last: int) -> Iterator[wire.MetricsRequest]:
        """Yield batches `first` to `last`, and behind the last one of each epoch its averages."""
        for number in range(first, last + 1):
            yield self.batch(number)
            if self.has_reports(number):
                yield from self.reports(number)
            if self.ends_epoch(number):
                yield self.epoch(number // self.epoch_batches)

    def has_reports(self, number: int) -> bool:
        """Return whether numbers and phases come behind a batch."""
        return self.reports_every > 0 and number % self.reports_every == 0

    def reports(self, number: int) -> Iterator[wire.MetricsRequest]:
        """Yield a number of each split, and how long the loop has been in which phase by now."""
        epoch, index = self.place(number)
        for split in SPLITS:
            data = wire.ScalarData(
                epoch=epoch,
                batch_idx=index,
                values={SCALAR: self.scalar(number, split)},
                global_step=number,
                split=split,
            )
            yield wire.MetricsRequest(session_id=self.session_id, scalar_data=data)
        performance = wire.PerformanceData(
            phase="training", phase_seconds=self.phase_seconds(number)
        )
        yield wire.MetricsRequest(session_id=self.session_id, performance_data=performance)

    def scalar(self, number: int, split: str) -> float:
        """Return what is logged of a split behind a batch; its sums are not rounded."""
        return self.loss(number) + SPLITS.index(split)

    def phase_seconds(self, number: int) -> dict[str, float]:
        """Return the seconds in each phase up to a batch, without rounding."""
        return {"training": number / 4, "data": number / 8, "checkpoint": number / 32}

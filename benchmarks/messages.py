"""What the benchmarks send: small batches, and batches with real JPEGs."""

import io
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from PIL import Image

from bridge.wire import metrics_pb2 as wire

IMAGES_PER_BATCH = 16
CLASSES = 10

SIDE_OF_30_KB = 222
"""Noise of so many pixels a side makes a JPEG of about 30 KB."""


@cache
def jpegs(side: int = SIDE_OF_30_KB, count: int = IMAGES_PER_BATCH) -> tuple[bytes, ...]:
    """Return different JPEG files of noise, the same ones every time."""
    noise = np.random.default_rng(side)
    return tuple(
        _jpeg(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)
    )


def _jpeg(pixels: "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return file.getvalue()


class Batches:
    """Makes the batches of one session, encoded, one after the other."""

    def __init__(
        self, session_id: str, *, images: Sequence[bytes] = (), numbered: bool = True
    ) -> None:
        """Put the same images into every batch; `numbered`: with a sequence, as our SDK does."""
        self._numbered = numbered
        self._request = wire.MetricsRequest(session_id=session_id, timestamp_ms=1_700_000_000_000)
        data = self._request.batch_data
        data.images.extend(wire.ImageData(image_bytes=image) for image in images)
        data.ground_truth.extend(index % CLASSES for index in range(len(images)))
        data.predictions.extend(
            wire.Prediction(predicted_class=index % CLASSES, confidence=0.9)
            for index in range(len(images))
        )
        self._count = 0

    def next(self) -> bytes:
        """Return the next batch."""
        return self._next().SerializeToString()

    def frame(self, count: int) -> bytes:
        """Return the next so many batches as one frame."""
        frame = wire.MetricsRequestBatch()
        for _ in range(count):
            frame.requests.append(self._next())
        return frame.SerializeToString()

    def _next(self) -> wire.MetricsRequest:
        self._count += 1
        if self._numbered:
            self._request.sequence = self._count
        data = self._request.batch_data
        data.epoch, data.batch_idx = divmod(self._count - 1, 1_000)
        data.batch_loss = 1 / self._count
        return self._request


def staggered(count: int, seconds: float) -> Iterator[float]:
    """Yield when each of several streams starts, spread evenly over some seconds."""
    for place in range(count):
        yield seconds * place / count

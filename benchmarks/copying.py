"""What a call costs that copies its images, and how many calls do."""

import math
import random
import time
from collections.abc import Iterator

import numpy as np
from figures import MICROSECONDS, median
from processes import BenchmarkError
from row import Row

from bridge.client.calls import BatchCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.left_out import LeftOut, Reason

SHAPE = (16, 224, 224, 3)
MOST_MEMCPYS = 1.5

CALLS = 100
"""In one window."""

RATE = 1.0
"""Batches with images that a bridge takes a second, and so the length of a window."""

BUFFER_BYTES = 64 << 20

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class Loop:
    """A capture without a bridge behind it, whose clock stands still between two windows."""

    def __init__(self) -> None:
        """Begin in the first window."""
        self._queue = CallQueue(BUFFER_BYTES)
        self._left_out = LeftOut()
        self._now = 0.0
        server_config = ServerConfig(is_received=True, image_batches_per_second=RATE)
        self._capture = Capture(
            self._queue,
            BUFFER_BYTES,
            server_config=lambda: server_config,
            left_out=self._left_out,
            clock=lambda: self._now,
        )
        self._kept = 0

    def next_window(self) -> None:
        """Let time go by."""
        self._now += 1 / RATE

    def call(self, loss: float, images: Pixels) -> None:
        """Give images, as log_batch does."""
        self._capture.batch(loss, (0, 0, None), None, images, None, None, None)

    def take(self) -> int:
        """Do what the SDK's thread does but for encoding; return how many of the calls have copied images."""
        calls = [call for call in self._queue.take(CALLS) if type(call) is BatchCall]
        copied = [call.images for call in calls if call.images is not None]
        for images in copied:
            pictures = images.claim()
            if pictures is not None:
                self._kept += images.count
                self._capture.copies.release(images, pictures)
        return len(copied)

    def check(self) -> None:
        """Check that what was given is what was kept and what was left out."""
        left_out = self._left_out.of("images", *Reason)
        if not self._kept or self._left_out.images_given != self._kept + left_out:
            raise BenchmarkError(f"{self._kept} images kept: {self._left_out.counts}")


def copying_rows(*, quick: bool) -> Iterator[Row]:
    """Time the calls that copy, and count them."""
    yield _time_row(50 if quick else 500)
    yield _count_row(20 if quick else 500)


def _time_row(rounds: int) -> Row:
    """Time a call that copies, and a copy into warm memory, in turns."""
    images = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    warm = np.empty_like(images)
    loop, clock = Loop(), time.perf_counter
    calls, copies = [], []
    for round_ in range(rounds + 5):
        loop.next_window()
        before = clock()
        np.copyto(warm, images)
        between = clock()
        loop.call(float(round_), images)
        after = clock()
        copies.append(between - before)
        calls.append(after - between)
        if loop.take() != 1:
            raise BenchmarkError("a call that should have copied its images did not")
    loop.check()
    figure, floor = (median(taken[5:]) * MICROSECONDS for taken in (calls, copies))
    return Row(
        name=f"log_batch, a call that copies {'x'.join(map(str, SHAPE))}, p50",
        regime="full speed, in turns",
        figure=figure,
        unit="us",
        target=f"<= {MOST_MEMCPYS} x floor",
        met=figure <= MOST_MEMCPYS * floor,
        floor=("np.copyto, warm", floor),
    )


def _count_row(windows: int) -> Row:
    """Count the calls of a window that copy, where losses come in random order."""
    images = np.zeros((16, 32, 32, 3), np.uint8)
    source = random.Random(1)
    loop = Loop()
    copied = 0
    for _ in range(windows):
        loop.next_window()
        for _ in range(CALLS):
            loop.call(source.random(), images)
        copied += loop.take()
    loop.check()
    figure, expected = copied / windows, math.log(CALLS)
    return Row(
        name=f"log_batch, calls that copy, of {CALLS} in a window",
        regime="random losses",
        figure=figure,
        unit="calls",
        target="<= ln(n) + 1",
        met=figure <= expected + 1,
        floor=(f"ln({CALLS})", expected),
    )

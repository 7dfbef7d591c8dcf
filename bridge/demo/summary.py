"""What was sent against what has arrived, in every place that shows it."""

import io
import time
from dataclasses import dataclass

from PIL import Image

from bridge.client import Stats
from bridge.demo.bridge_process import RunningBridge
from bridge.demo.training import LoopCounts

SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures from several places that must be the same."""

    what: str
    figures: dict[str, int]

    @property
    def agrees(self) -> bool:
        """Return whether they are."""
        return len(set(self.figures.values())) == 1

    def __str__(self) -> str:
        """Return it as one line."""
        mark, separator = ("ok ", " = ") if self.agrees else ("NOT", " / ")
        figures = separator.join(f"{number} {where}" for where, number in self.figures.items())
        return f"  {mark}  {self.what}: {figures}"


def compare(
    bridge: RunningBridge, session_id: str, counts: LoopCounts, stats: Stats
) -> list[Comparison]:
    """Compare the loop's own counts with the SDK's, the bridge's series, its index and its images."""
    _settle(bridge, session_id, stats)
    readable, indexed = _images(bridge, session_id)

    def total(series: str, **labels: str) -> int:
        return bridge.total(series, session_id=session_id, **labels)

    return [
        Comparison(
            "batches",
            {
                "sent": counts.batches,
                "counted on /metrics": total("training_batches_total"),
                "acknowledged": stats.batches_acknowledged,
            },
        ),
        Comparison(
            "epochs",
            {
                "finished": counts.epochs,
                "counted on /metrics": total("training_epochs_completed_total"),
            },
        ),
        Comparison(
            "images",
            {
                "kept": total("training_images_total", result="stored"),
                "in the index": indexed,
                "readable as JPEG": readable,
            },
        ),
    ]


def _settle(bridge: RunningBridge, session_id: str, stats: Stats) -> None:
    """Wait until the bridge has decided about every image, which takes half a second after the last."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while bridge.total("training_images_total", session_id=session_id) < stats.images_sent:
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)


def _images(bridge: RunningBridge, session_id: str) -> tuple[int, int]:
    """Return how many images open as JPEG, and how many there should be."""
    client = bridge.client
    contents = [
        client.image(session_id, batch.epoch, batch.batch, image.position)
        for batch in client.batches(session_id)
        for image in batch.images
    ]
    return sum(map(_is_jpeg, contents)), len(contents)


def _is_jpeg(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except OSError:
        return False
    return True

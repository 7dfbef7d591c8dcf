"""What was sent against what has arrived, looked up at every door."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from bridge.client import Stats
from bridge.demo.bridge_process import RunningBridge
from bridge.demo.training import Told

SETTLE_SECONDS = 15.0
PAGE = 200


@dataclass(frozen=True, slots=True)
class Line:
    """Figures from several places that must be the same."""

    what: str
    figures: dict[str, int]

    @property
    def agrees(self) -> bool:
        """Tell whether they are."""
        return len(set(self.figures.values())) == 1

    def __str__(self) -> str:
        """Say so in one line."""
        mark = "ok " if self.agrees else "NOT"
        told = " = " if self.agrees else " / "
        return f"  {mark}  {self.what}: " + told.join(
            f"{number} {where}" for where, number in self.figures.items()
        )


def summary(bridge: RunningBridge, session_id: str, told: Told, stats: Stats) -> list[Line]:
    """Compare the loop's own counts with the SDK's, the bridge's series, its index and its images."""
    _settle(bridge, session_id, stats)
    readable, indexed = _images(bridge, session_id)
    return [
        Line(
            "batches",
            {
                "sent": told.batches,
                "counted on /metrics": bridge.total(
                    "training_batches_total", session_id=session_id
                ),
                "acknowledged": stats.batches_acknowledged,
            },
        ),
        Line(
            "epochs",
            {
                "finished": told.epochs,
                "counted on /metrics": bridge.total(
                    "training_epochs_completed_total", session_id=session_id
                ),
            },
        ),
        Line(
            "images",
            {
                "kept": bridge.total(
                    "training_images_total", session_id=session_id, result="stored"
                ),
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
    paths = list(_paths(bridge, session_id))
    return sum(_is_jpeg(bridge.get(path)) for path in paths), len(paths)


def _paths(bridge: RunningBridge, session_id: str) -> Iterator[str]:
    after = ""
    while True:
        page = bridge.json(f"/api/v1/sessions/{session_id}/images?limit={PAGE}{after}")
        for batch in page["batches"]:
            place = f"/sessions/{session_id}/batches/{batch['epoch']}-{batch['batch']}"
            yield from (f"{place}/{image['position']}.jpg" for image in batch["images"])
            after = f"&after={batch['epoch']}-{batch['batch']}"
        if not page["next"]:
            return


def _is_jpeg(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except OSError:
        return False
    return True

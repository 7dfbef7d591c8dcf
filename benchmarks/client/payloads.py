"""What a training loop gives at each step."""

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

IMAGES = 16
CLASSES = 10
LOSSES = 4_096
"""Different ones, so that a sampler has something to choose by."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The loss, and maybe images with scores and classes."""

    name: str
    images: Any = ()

    def losses(self) -> Sequence[float]:
        """Return the losses of the steps, in no order."""
        source = random.Random(3)
        return [source.random() for _ in range(LOSSES)]

    def arguments(self) -> Mapping[str, Any]:
        """Return the images as log_batch takes them."""
        if not len(self.images):
            return {}
        noise = np.random.default_rng(2)
        return {
            "images": self.images,
            "predictions": noise.normal(size=(IMAGES, CLASSES)).astype(np.float32),
            "ground_truth": np.arange(IMAGES) % CLASSES,
        }


LOSS = "loss only"
SMALL = f"{IMAGES} images 32x32"
LARGE = f"{IMAGES} images 224x224"
JPEGS = f"{IMAGES} ready JPEGs"

NAMES = (LOSS, SMALL, LARGE, JPEGS)


def payload_of(name: str) -> Payload:
    """Return a payload by its name."""
    if name == LOSS:
        return Payload(name)
    side = 224 if name == LARGE else 32
    noise = np.random.default_rng(1)
    pixels = noise.integers(0, 256, (IMAGES, side, side, 3), dtype=np.uint8)
    return Payload(name, [_jpeg(image) for image in pixels] if name == JPEGS else pixels)


def _jpeg(pixels: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return file.getvalue()

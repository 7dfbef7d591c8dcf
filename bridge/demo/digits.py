"""Handwritten digits as numbers to learn from and as pictures to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

SIDE_PIXELS = 96
VALIDATION_DIVISOR = 5
"""One digit in so many is held out."""

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Digits:
    """Some digits: numbers 0..1 of shape (N, 64), their classes (N,), and pictures (N, 96, 96)."""

    pixels: NDArray[np.float64]
    classes: NDArray[np.int64]
    pictures: NDArray[np.uint8]

    def __len__(self) -> int:
        """Count the digits."""
        return len(self.classes)

    def take(self, chosen: "NDArray[np.int64] | slice") -> "Digits":
        """Return some of them."""
        return Digits(self.pixels[chosen], self.classes[chosen], self.pictures[chosen])


def load(random: np.random.Generator) -> tuple[Digits, Digits]:
    """Return digits to train on, and digits held out; they come with scikit-learn, so nothing is downloaded."""
    bunch = load_digits()
    order = random.permutation(len(bunch.target))
    shades = bunch.data[order]
    pictures = np.stack([_enlarged(shade) for shade in shades])
    digits = Digits(shades / 16, bunch.target[order].astype(np.int64), pictures)
    held_out = len(digits) // VALIDATION_DIVISOR
    return digits.take(slice(held_out, None)), digits.take(slice(held_out))


def _enlarged(shade: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return an 8x8 digit of shades 0..16 as dark ink on light paper."""
    ink = (255 - shade.reshape(8, 8) * (255 / 16)).astype(np.uint8)
    picture = Image.fromarray(ink).resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BICUBIC)
    return np.asarray(picture)

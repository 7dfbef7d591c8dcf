"""Pictures as scripts give them to other trackers, as those that a session takes."""

import io
import os
import sys
from pathlib import Path
from typing import Any

from bridge.client.capture.kinds import Image, Kind, kind_of

LAYOUTS = {
    "HW": "HW",
    "CHW": "HWC",
    "HWC": "HWC",
    "WH": "HW",
    "NHW": "NHW",
    "NCHW": "NHWC",
    "NHWC": "NHWC",
    "CNHW": "NHWC",
}
"""Layouts of the axes, as letters, and the ones that a session takes for certain."""


def arranged(array: Any, dataformats: str) -> list[Any]:
    """Return the pictures of an array with this layout of its axes, each (H, W) or (H, W, C).

    Raises ValueError for a layout that is not one of pictures, or not that of the array.
    """
    layout = str(dataformats).upper()
    if kind_of(array) in (Kind.SEQUENCE, Kind.OTHER, Kind.CONSTANT):
        raise ValueError(f"a {type(array).__name__} is not a picture; give an array or a tensor")
    wanted = LAYOUTS.get(layout)
    if wanted is None:
        raise ValueError(
            f"{layout[:16]!r} is not a layout of pictures; give one of {', '.join(LAYOUTS)}"
        )
    if len(array.shape) != len(layout):
        raise ValueError(
            f"an array of {len(array.shape)} dimensions is not {layout}; say its layout with dataformats="
        )
    axes = tuple(layout.index(letter) for letter in wanted)
    if axes != tuple(range(len(axes))):
        array = array.permute(*axes) if hasattr(array, "permute") else array.transpose(axes)
    return list(array) if wanted.startswith("N") else [array]


def figure_file(figure: Any) -> bytes:
    """Return a figure of Matplotlib as a JPEG file."""
    file = io.BytesIO()
    figure.savefig(file, format="jpeg")
    return file.getvalue()


def close_figure(figure: Any) -> None:
    """Free a figure, as the one who drew it expects."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)


def picture_of(given: Any) -> Any:
    """Return what a session takes for one picture: of an array, a tensor, a figure, a Pillow image or a path.

    Raises OSError for a path that cannot be read, and ValueError without Pillow.
    """
    if isinstance(given, str | os.PathLike):
        return _opened(Path(given))
    if hasattr(given, "savefig"):
        return figure_file(given)
    return given


def own_copy(picture: Any) -> Any:
    """Return a picture that no longer changes, whatever the script does with its own."""
    kind = kind_of(picture)
    if kind is Kind.TORCH:
        return picture.detach().clone()
    if kind in (Kind.NUMPY, Kind.PICTURE):
        return picture.copy()
    return bytes(picture) if kind is Kind.BUFFER else picture


def _opened(path: Path) -> Any:
    if path.suffix.lower() in (".jpg", ".jpeg"):
        return path.read_bytes()
    if Image is None:
        raise ValueError(f"{path.name} needs Pillow: pip install 'trainbridge[images]'")
    with Image.open(path) as image:
        return image.convert("RGB")

"""What scripts log beside numbers: pictures, distributions, and what a bridge does not show."""

from collections.abc import Mapping
from typing import Any

from bridge.client.capture.kinds import Kind, kind_of
from bridge.client.capture.quantiles import quantiles_of, quantiles_of_bins
from bridge.client.compat import pictures

KEEP = "a bridge does not show it; keep wandb beside this for it"


class Image:
    """A picture: an array, a tensor, a Pillow image, a figure, or the path of a file."""

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Any = None,
        masks: Any = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        """Keep the picture as it is now. What cannot be read is counted where it is logged."""
        self.left_out = [
            what
            for what, given in (("captions", caption), ("boxes", boxes), ("masks", masks))
            if given
        ]
        """What it was given that a bridge does not show with pictures."""
        self.error: Exception | None = None
        self.picture: Any = None
        try:
            picture = data_or_path.picture if isinstance(data_or_path, Image) else data_or_path
            self.picture = pictures.own_copy(_rows_first(pictures.picture_of(picture)))
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self.error = error


class Histogram:
    """A distribution, which is kept as its quantiles."""

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        """Take numbers, or counts and edges. What cannot be read is counted where it is logged."""
        self.quantiles: Mapping[str, float] = {}
        self.error: Exception | None = None
        try:
            if np_histogram is not None:
                counts, edges = np_histogram
                self.quantiles = quantiles_of_bins(counts, edges)
            else:
                self.quantiles = quantiles_of(sequence)
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self.error = error


class NotShown:
    """Something that a bridge has no place for: it takes every call, and is left out where it is logged."""

    why = KEEP

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        """Keep nothing."""

    def __getattr__(self, name: str) -> Any:
        """Return a call that does nothing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


class Table(NotShown):
    """A table."""

    why = "a table: report numbers of it by name, or an event with them as details"


class Video(NotShown):
    """A video."""

    why = "a video: log some of its pictures as wandb.Image"


class Audio(NotShown):
    """Sound."""


class Html(NotShown):
    """A page."""


class Object3D(NotShown):
    """Points or a mesh."""


class Molecule(NotShown):
    """A molecule."""


class Plotly(NotShown):
    """A diagram."""

    why = "a diagram: log its numbers, or a picture of it as wandb.Image"


class Artifact(NotShown):
    """Files with a version."""

    why = "an artifact: a bridge keeps no files; save them where your checkpoints go, or keep wandb for them"


class Diagrams:
    """Takes every call for a ready diagram."""

    def __getattr__(self, name: str) -> Any:
        """Return a call that makes something that is not shown."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Plotly


def _rows_first(picture: Any) -> Any:
    """Return a picture as the original reads one: a tensor has its channels first."""
    if kind_of(picture) is Kind.TORCH and picture.dim() == 3:
        return pictures.arranged(picture, "CHW")[0]
    return picture


def _nothing(*_arguments: Any, **_options: Any) -> None:
    """Take anything."""

"""Arrange predictions as a confusion matrix."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.addresses import images_link
from bridge.web.dependencies import Confusion
from bridge.web.formatting import class_name

OTHER = "other"
"""The label of all classes above the cap, right or wrong among themselves."""

LEVELS = 9
"""Shades of a cell, beside none at all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one class was taken for another, or for itself."""

    actual: str
    predicted: str
    count: float
    share: float
    """Of all samples of the true class."""
    is_right: bool
    link: str
    """To the newest images of it; "": there are none to look for."""

    @property
    def level(self) -> int:
        """How dark the cell is: rare mistakes still show."""
        return math.ceil(math.sqrt(self.share) * LEVELS) if self.share > 0 else 0


@dataclass(frozen=True, slots=True)
class Row:
    """One true class."""

    name: str
    cells: tuple[Cell, ...]
    recall: float


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """True classes down, predicted ones across."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    total: float
    right: float
    mistakes: tuple[Cell, ...]
    """The most frequent ones first."""

    @property
    def accuracy(self) -> float:
        """The share of right predictions among those whose classes are told apart."""
        return self.right / self.total if self.total else math.nan


def confusion_matrix(
    session_id: str, confusion: Confusion, class_names: Sequence[str]
) -> ConfusionMatrix | None:
    """Return the matrix, or None where nothing was predicted."""
    if not any(confusion.values()):
        return None
    labels = sorted({label for pair in confusion for label in pair}, key=_order(class_names))
    names = _names(labels, class_names)
    rows = tuple(
        _row(session_id, label, labels, dict(zip(labels, names, strict=True)), confusion)
        for label in labels
    )
    cells = [cell for row in rows for cell in row.cells]
    mistakes = sorted(
        (cell for cell in cells if cell.count and not cell.is_right),
        key=lambda cell: cell.count,
        reverse=True,
    )
    right = sum(cell.count for cell in cells if cell.is_right)
    known = sum(confusion.values()) - confusion.get((OTHER, OTHER), 0)
    return ConfusionMatrix(names, rows, known, right, tuple(mistakes[:5]))


def _row(
    session_id: str,
    actual: str,
    labels: Sequence[str],
    names: dict[str, str],
    confusion: Confusion,
) -> Row:
    counts = {predicted: confusion.get((actual, predicted), 0.0) for predicted in labels}
    total = sum(counts.values())
    cells = tuple(
        Cell(
            names[actual],
            names[predicted],
            counted,
            counted / total if total else 0.0,
            actual == predicted != OTHER,
            _link(session_id, actual, predicted) if counted else "",
        )
        for predicted, counted in counts.items()
    )
    return Row(names[actual], cells, counts[actual] / total if total else math.nan)


def _link(session_id: str, actual: str, predicted: str) -> str:
    """Return the way to the images of a cell; those of many classes together cannot be asked for."""
    if OTHER in (actual, predicted):
        return ""
    return images_link(session_id, actual=actual, predicted=predicted)


def _order(class_names: Sequence[str]) -> Callable[[str], tuple[int, int, str]]:
    places = {name: place for place, name in enumerate(class_names)}

    def key(label: str) -> tuple[int, int, str]:
        if label.isdigit() and len(label) < 10:
            return 0, int(label), label
        if label in places:
            return 0, places[label], label
        return 1, 0, label

    return key


def _names(labels: Sequence[str], class_names: Sequence[str]) -> tuple[str, ...]:
    """Return what to call each class; those that share a name have their number beside it."""
    names = [_name(label, class_names) for label in labels]
    times = Counter(names)
    return tuple(
        f"{name} ({label})" if times[name] > 1 else name
        for name, label in zip(names, labels, strict=True)
    )


def _name(label: str, class_names: Sequence[str]) -> str:
    is_number = label.isascii() and label.isdigit() and len(label) < 10
    return class_name(int(label), class_names) if is_number else label

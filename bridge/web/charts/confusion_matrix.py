"""Arrange predictions as a confusion matrix."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.addresses import images_link
from bridge.web.dependencies import Confusion
from bridge.web.formatting import class_name

OTHER = "other"
"""The label that all classes above the limit share, whether predicted right or wrong."""

MAX_LABEL_DIGITS = 9
"""A longer number is a name: classes are 32 bits wide."""

SHADES = 9
"""Of a cell, besides an empty one's."""

MAX_MISTAKES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one class was predicted for another, or for itself."""

    actual: str
    predicted: str
    count: float
    share: float
    """Of all samples of the true class."""
    is_right: bool
    link: str
    """To the newest images of it; "": none can be looked up."""

    @property
    def level(self) -> int:
        """The shade of the cell; by the square root, so that rare mistakes still show."""
        return math.ceil(math.sqrt(self.share) * SHADES) if self.share > 0 else 0


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
    """The most frequent ones, most frequent first."""

    @property
    def accuracy(self) -> float:
        """The share of right predictions, where classes have a label of their own."""
        return self.right / self.total if self.total else math.nan


def confusion_matrix(
    session_id: str, confusion: Confusion, class_names: Sequence[str]
) -> ConfusionMatrix | None:
    """Return the matrix, or None where nothing was predicted."""
    if not any(confusion.values()):
        return None
    labels = sorted({label for pair in confusion for label in pair}, key=_by_class(class_names))
    names = dict(zip(labels, _distinct_names(labels, class_names), strict=True))
    rows = tuple(_row(session_id, label, names, confusion) for label in labels)
    cells = [cell for row in rows for cell in row.cells]
    right = sum(cell.count for cell in cells if cell.is_right)
    known = sum(confusion.values()) - confusion.get((OTHER, OTHER), 0)
    return ConfusionMatrix(tuple(names.values()), rows, known, right, _most_frequent(cells))


def _row(session_id: str, actual: str, names: dict[str, str], confusion: Confusion) -> Row:
    counts = {predicted: confusion.get((actual, predicted), 0.0) for predicted in names}
    total = sum(counts.values())
    cells = tuple(
        Cell(
            names[actual],
            names[predicted],
            count,
            count / total if total else 0.0,
            actual == predicted != OTHER,
            _link(session_id, actual, predicted) if count else "",
        )
        for predicted, count in counts.items()
    )
    return Row(names[actual], cells, counts[actual] / total if total else math.nan)


def _most_frequent(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    mistakes = [cell for cell in cells if cell.count and not cell.is_right]
    return tuple(sorted(mistakes, key=lambda cell: -cell.count)[:MAX_MISTAKES])


def _link(session_id: str, actual: str, predicted: str) -> str:
    """Return the link to the images of a cell; those of many classes together cannot be looked up."""
    if OTHER in (actual, predicted):
        return ""
    return images_link(session_id, actual=actual, predicted=predicted)


def _by_class(class_names: Sequence[str]) -> Callable[[str], tuple[int, int, str]]:
    """Return a sort key: classes by their number, whatever else by its label."""
    positions = {name: position for position, name in enumerate(class_names)}

    def key(label: str) -> tuple[int, int, str]:
        if _is_number(label):
            return 0, int(label), label
        if label in positions:
            return 0, positions[label], label
        return 1, 0, label

    return key


def _distinct_names(labels: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """Return the name of each class, with its number where several share a name."""
    names = [
        class_name(int(label), class_names) if _is_number(label) else label for label in labels
    ]
    times = Counter(names)
    return [
        f"{name} ({label})" if times[name] > 1 else name
        for name, label in zip(names, labels, strict=True)
    ]


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit() and len(label) <= MAX_LABEL_DIGITS

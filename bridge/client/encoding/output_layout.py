"""Whether what a model puts out are classes, pairs, columns, or rows of scores."""

import math
from collections.abc import Iterable
from typing import Any

try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.sample_rows import CLASS_RANGE, Vector, has_length, vector_of
from bridge.client.encoding.scalars import HALF_ROUNDING, number_of

SUM_ROUNDING = 1e-2
"""How far from 1 the sum of many half-precision probabilities may be."""


def are_columns(first: Any, second: Any) -> bool:
    """Return whether a tuple of two is (classes, confidences) or (values, indices), not two rows of scores.

    They are columns where only one of them holds integers. Two of the same type are rows where
    each sums to 1, and where they cannot be classes and confidences.
    """
    if holds_integers(first) != holds_integers(second):
        return True
    classes, confidences = _row_of(first), _row_of(second)
    if classes is None or confidences is None or not _may_be_classes(classes):
        return False
    if len(classes) != len(confidences):
        return True
    is_sure = sums_to_one(classes) and sums_to_one(confidences)
    return not is_sure and are_ratios(confidences)


def is_distribution(total: float, lowest: float) -> bool:
    """Return whether a row of scores with this sum and this lowest is one of probabilities, apart from rounding."""
    return abs(total - 1) < SUM_ROUNDING and lowest >= -HALF_ROUNDING


def sums_to_one(row: Vector) -> bool:
    """Return whether scores of one sample are probabilities, apart from rounding."""
    if not len(row):
        return False
    if np is None:
        return is_distribution(sum(row), min(row))
    with np.errstate(all="ignore"):  # infinities of both signs
        return is_distribution(float(np.sum(row)), float(np.min(row)))


def holds_integers(values: Any) -> bool:
    """Return whether an array or a list holds integers, or booleans, only."""
    if hasattr(values, "dtype"):
        return str(values.dtype.kind) != "f"
    if has_length(values):
        return all(map(holds_integers, values))
    return isinstance(values, int)


def _may_be_classes(row: Vector) -> bool:
    if np is None:
        return are_whole(row)
    vector = np.asarray(row)
    return bool(((np.rint(vector) == vector) & (vector >= 0) & (vector < CLASS_RANGE.stop)).all())


def _row_of(part: Any) -> "Vector | None":
    """Return scores of one sample; None for what has more dimensions, or does not hold numbers."""
    try:
        return vector_of(part, "predictions")
    except ValueError:
        return None


def are_pairs(rows: list[Any]) -> bool:
    """Return whether these are (class, confidence) of each sample rather than scores of two classes."""
    if not all(isinstance(row, tuple) and len(row) == 2 for row in rows):
        return False
    classes = [row[0] for row in rows]
    if holds_integers(classes):
        return True
    scores = [_row_of(row) for row in rows]
    is_sure = all(row is not None and sums_to_one(row) for row in scores)
    return not is_sure and are_whole(classes)


def are_ratios(values: Vector) -> bool:
    """Return whether all are 0..1, apart from rounding, or NaN."""
    if np is None:
        numbers = map(float, values)
        return all(math.isnan(one) or abs(one - 0.5) <= 0.5 + HALF_ROUNDING for one in numbers)
    vector = np.asarray(values, np.float64)
    return bool((np.isnan(vector) | (abs(vector - 0.5) <= 0.5 + HALF_ROUNDING)).all())


def is_pair(part: Any) -> bool:
    """Return whether this is (class, confidence) of one sample rather than a column of two."""
    return (
        isinstance(part, tuple)
        and len(part) == 2
        and are_whole(part[:1])
        and isinstance(part[1], float)
        and (isinstance(part[0], int) or not part[1].is_integer())
    )


def are_integers(values: Iterable[Any]) -> bool:
    """Return whether all are Python integers."""
    return all(isinstance(value, int) for value in values)


def are_whole(values: Iterable[Any]) -> bool:
    """Return whether all are integers, or other numbers that are whole and not negative."""
    return all(isinstance(value, int) or _is_whole(value) for value in values)


def _is_whole(value: Any) -> bool:
    try:
        number = number_of(value)
    except ValueError:
        return False
    return number.is_integer() and 0 <= number < CLASS_RANGE.stop

"""From what a model puts out to a class and a confidence for each sample."""

import math
from typing import Any

try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.output_layout import (
    SUM_ROUNDING,
    are_columns,
    are_integers,
    are_pairs,
    are_ratios,
    are_whole,
    is_pair,
    sums_to_one,
)
from bridge.client.encoding.sample_rows import (
    CLASS_RANGE,
    Vector,
    class_of,
    first_rows,
    has_length,
    largest_of,
    number_in,
    vector_of,
)
from bridge.client.encoding.scalars import HALF_ROUNDING, ratio_of

NOT_REPORTED = 0.0
"""The confidence of a prediction that came without one; the protocol's value for it."""

NO_CLASS = -1
"""The class of a sample whose scores hold NaN: the model names none."""

Predictions = list[tuple[int, float]]
"""Class and confidence, 0..1, of each sample."""


def predictions_of(outputs: Any, limit: int) -> Predictions:
    """Return class and confidence of the first `limit` samples.

    Takes scores (N, classes), which are logits unless every row sums to 1; floats (N,) or (N,1),
    the scores of class 1 against class 0: probabilities if all are 0..1, else logits; integers,
    booleans, and floats that are all whole and not negative, (N,) or (N,1): classes, as are one-hot
    booleans (N, classes); two arrays (classes, confidences) or, as torch.max and torch.topk return
    them, (values, indices), which `are_columns` distinguishes from two rows of scores; a list of pairs
    (class, confidence). Raises ValueError for all else.
    """
    if (
        np is not None
        and type(outputs) is np.ndarray
        and outputs.ndim == 2
        and outputs.dtype.kind in "fi"
    ):
        usual = _of_finite_scores(outputs[:limit])
        if usual is not None:
            return usual
    columns = _columns_of(outputs, limit)
    if columns is not None:
        return _of_columns(*columns)
    return _of_rows(first_rows(_joined(outputs), limit, "predictions"))


def _of_rows(rows: list[Any]) -> Predictions:
    if rows and getattr(getattr(rows[0], "dtype", None), "kind", "") == "b":
        marked = [_marked(place, row, "predictions") for place, row in enumerate(rows)]
        return [(number, NOT_REPORTED) for number in marked]
    if rows and are_pairs(rows):
        return [(class_of(row[0], "predictions"), ratio_of(row[1], "confidence")) for row in rows]
    if any(has_length(row) for row in rows):
        return _of_scores([vector_of(row, "predictions") for row in rows])
    return _of_singles(rows)


def classes_of(truth: Any, limit: int) -> list[int]:
    """Return the true classes of the first `limit` samples.

    Takes classes (N,) or (N,1), and rows (N, classes): one-hot, or soft labels, whose largest
    counts. Raises ValueError for all else, such as rows that mark several classes.
    """
    if np is not None and type(truth) is np.ndarray and truth.ndim == 1 and truth.dtype.kind == "i":
        classes: list[int] = truth[:limit].tolist()
        if all(number in CLASS_RANGE for number in classes):
            return classes
    return [
        _marked(place, row, "ground_truth") if has_length(row) else class_of(row, "ground_truth")
        for place, row in enumerate(first_rows(truth, limit, "ground_truth"))
    ]


def _of_finite_scores(scores: "np.ndarray[Any, Any]") -> Predictions | None:
    """Return what rows of finite scores (N, classes) say, all at once; None for anything else."""
    if scores.shape[1] < 2 or not len(scores):
        return None
    scores = scores.astype(np.float64)
    with np.errstate(all="ignore"):  # infinities of both signs
        totals = scores.sum(axis=1)
    if not np.isfinite(totals).all():
        return None
    best = scores.argmax(axis=1)
    highest = scores[np.arange(len(scores)), best]
    if (abs(totals - 1) < SUM_ROUNDING).all() and (scores >= -HALF_ROUNDING).all():
        confidences = highest.clip(max=1)
    else:
        with np.errstate(all="ignore"):  # finite scores may lie further apart than float64 reaches
            confidences = 1 / np.exp(scores - highest[:, None]).sum(axis=1)
    return list(zip(best.tolist(), confidences.tolist(), strict=True))


def _columns_of(outputs: Any, limit: int) -> tuple[list[Any], list[Any]] | None:
    """Return classes and confidences where they were given as two arrays or lists, or None."""
    if not (isinstance(outputs, tuple) and len(outputs) == 2 and all(map(has_length, outputs))):
        return None
    if any(is_pair(part) for part in outputs) or not are_columns(*outputs):
        return None
    first, second = (
        [_best_of_several(row) for row in first_rows(part, limit, "predictions")]
        for part in outputs
    )
    if not are_integers(first) and are_integers(second):
        first, second = second, _confidences(first)
    if len(first) != len(second):
        raise ValueError(f"predictions: {len(first)} classes with {len(second)} confidences")
    return first, second


def _joined(outputs: Any) -> Any:
    """Return one list where outputs are two, of pairs: what a device has reduced two parts of a batch to."""
    if not (isinstance(outputs, tuple) and len(outputs) == 2):
        return outputs
    are_lists = all(isinstance(part, list) and part and all(map(is_pair, part)) for part in outputs)
    return [*outputs[0], *outputs[1]] if are_lists else outputs


def _best_of_several(row: Any) -> Any:
    """Return the first of the k best, as torch.topk sorts them."""
    best = row[0] if has_length(row) and getattr(row, "shape", None) != () else row
    return best.item() if hasattr(best, "item") else best


def _confidences(values: list[Any]) -> list[Any]:
    """Return the largest outputs of a model as confidences, which logits are not."""
    return values if are_ratios(values) else [NOT_REPORTED] * len(values)


def _of_columns(classes: list[Any], confidences: list[Any]) -> Predictions:
    return [
        (class_of(number, "predictions"), ratio_of(confidence, "confidence"))
        for number, confidence in zip(classes, confidences, strict=True)
    ]


def _of_singles(values: list[Any]) -> Predictions:
    if are_whole(values):
        return [(class_of(value, "predictions"), NOT_REPORTED) for value in values]
    scores = [number_in(value, "predictions") for value in values]
    if are_ratios(scores):
        return [_binary(ratio_of(score)) for score in scores]
    return [_binary(_sigmoid(score)) for score in scores]


def _binary(probability: float) -> tuple[int, float]:
    if math.isnan(probability):
        return NO_CLASS, probability
    return (1, probability) if probability >= 0.5 else (0, 1 - probability)


def _sigmoid(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)  # NaN comes here and stays


def _of_scores(rows: list[Vector]) -> Predictions:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"predictions: rows of {sorted(lengths)} scores; give as many in each")
    if lengths == {1}:
        return _of_singles([float(row[0]) for row in rows])
    are_probabilities = all(sums_to_one(row) for row in rows if not math.isnan(largest_of(row)[1]))
    return [_best(row, are_probabilities=are_probabilities) for row in rows]


def _best(row: Vector, *, are_probabilities: bool) -> tuple[int, float]:
    place, highest = largest_of(row)
    if math.isnan(highest) or highest == -math.inf:
        return NO_CLASS, math.nan
    if are_probabilities:
        return place, min(highest, 1.0)
    if highest == math.inf:
        return place, 1 / sum(bool(score == math.inf) for score in row)
    if np is None:
        return place, 1 / sum(math.exp(score - highest) for score in row)
    with np.errstate(all="ignore"):  # as above: -inf is what is meant
        return place, 1 / float(np.exp(np.subtract(row, highest)).sum())


def _marked(place: int, values: Any, name: str) -> int:
    """Return which class a one-hot or soft label names."""
    row = vector_of(values, name)
    if len(row) == 1:
        return class_of(float(row[0]), name)
    best, highest = largest_of(row)
    if math.isnan(highest):
        raise ValueError(f"{name}: row {place} holds NaN")
    marks = [float(value) for value in row if value != 0]
    if all(mark.is_integer() for mark in marks) and marks != [1.0]:
        raise ValueError(f"{name}: row {place} marks {len(marks)} classes; give one a sample")
    return best

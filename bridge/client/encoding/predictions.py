"""From what a model puts out to a class and a confidence for each sample."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.scalars import HALF_ROUNDING, number_of, ratio_of

__all__ = [
    "HALF_ROUNDING",
    "NOT_REPORTED",
    "NO_CLASS",
    "Predictions",
    "are_columns",
    "classes_of",
    "holds_integers",
    "is_distribution",
    "number_of",
    "prediction_rows",
    "predictions_of",
    "ratio_of",
]

NOT_REPORTED = 0.0
"""The confidence of a prediction that came without one; the protocol's value for it."""

NO_CLASS = -1
"""The class of a sample whose scores hold NaN: the model names none."""

CLASS_RANGE = range(-(1 << 31), 1 << 31)
"""What the protocol has room for."""

SUM_ROUNDING = 1e-2
"""So far from 1 the sum of many half-precision probabilities may be."""

Predictions = list[tuple[int, float]]
"""Class and confidence, 0..1, of each sample."""

Vector: TypeAlias = "Sequence[float] | np.ndarray[Any, Any]"
"""The scores of one sample; without NumPy there are only lists."""

NUMBERS = "give class numbers, e.g. class_names.index(name)"


def prediction_rows(shape: tuple[int, ...], kind: str = "f", *, name: str = "predictions") -> int:
    """Return how many samples an array of predictions or labels has, by its shape and type alone.

    Takes (N,), (N,1), (N, classes), any of them with further dimensions of 1, and () for a batch of
    one sample. `kind` is NumPy's letter for the type (`dtype.kind`). Raises ValueError, which calls
    the array by `name` and says what to give instead.
    """
    if kind not in _NUMBER_KINDS:
        raise ValueError(f"{name}: values of kind {kind!r} are not numbers; {NUMBERS}")
    if len(shape) > 2 and math.prod(shape[2:]) != 1:
        part = "[:, -1]" if len(shape) == 3 else f"[:{', :' * (len(shape) == 4)}, 0, 0]"
        values = "labels" if name == "ground_truth" else "logits"
        raise ValueError(
            f"{name}: shape {tuple(shape)} has {len(shape)} dimensions; give one class or one row "
            f"of scores a sample, e.g. those of one position: {values}{part}"
        )
    if 0 in shape[1:]:
        raise ValueError(f"{name}: shape {tuple(shape)} has no classes")
    return shape[0] if shape else 1


def predictions_of(outputs: Any, limit: int) -> Predictions:
    """Return class and confidence of the first `limit` samples.

    Takes scores (N, classes), which are logits unless every row sums to 1; floats (N,) or (N,1),
    the scores of class 1 against class 0: probabilities if all are 0..1, else logits; integers,
    booleans, and floats that are all whole and not negative, (N,) or (N,1): classes, as are one-hot
    booleans (N, classes); two arrays (classes, confidences) or, as torch.max and torch.topk return
    them, (values, indices), which `are_columns` tells from two rows of scores; a list of pairs
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
    return _of_rows(_first(_joined(outputs), limit, "predictions"))


def _of_rows(rows: list[Any]) -> Predictions:
    if rows and getattr(getattr(rows[0], "dtype", None), "kind", "") == "b":
        marked = [_marked(place, row, "predictions") for place, row in enumerate(rows)]
        return [(number, NOT_REPORTED) for number in marked]
    if rows and _are_pairs(rows):
        return [(_class_of(row[0], "predictions"), ratio_of(row[1], "confidence")) for row in rows]
    if any(_has_length(row) for row in rows):
        return _of_scores([_vector(row, "predictions") for row in rows])
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
        _marked(place, row, "ground_truth") if _has_length(row) else _class_of(row, "ground_truth")
        for place, row in enumerate(_first(truth, limit, "ground_truth"))
    ]


_NUMBER_KINDS = frozenset("biuf")


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


def _first(values: Any, limit: int, name: str) -> list[Any]:
    """Return the first samples as Python's numbers, as pairs, or as rows of scores."""
    if isinstance(values, (str, bytes, bytearray, dict, set)):
        raise ValueError(f"{name}: a {type(values).__name__} holds no classes; {NUMBERS}")
    if hasattr(values, "shape"):
        return _rows_of_array(values, limit, name)
    if not hasattr(values, "__len__"):
        return [values]  # a batch of one sample
    return [
        _row_of_array(value, name) if hasattr(value, "shape") else value for value in values[:limit]
    ]


def _row_of_array(array: Any, name: str) -> Any:
    """Return one sample's class or scores."""
    sides = [side for side in array.shape if side != 1]
    return _rows_of_array(array.reshape(1, *(sides or [1])), 1, name)[0]


def _rows_of_array(array: Any, limit: int, name: str) -> list[Any]:
    shape = tuple(array.shape)
    count = min(prediction_rows(shape, array.dtype.kind, name=name), limit)
    if not shape:
        return [array.item()]
    if math.prod(shape[1:]) == 1:
        return list(array[:count].reshape(count).tolist())
    return list(array[:count].reshape(count, shape[1]))


def _has_length(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def _columns_of(outputs: Any, limit: int) -> tuple[list[Any], list[Any]] | None:
    """Return classes and confidences where they were given as two arrays or lists, or None."""
    if not (isinstance(outputs, tuple) and len(outputs) == 2 and all(map(_has_length, outputs))):
        return None
    if any(_is_pair(part) for part in outputs) or not are_columns(*outputs):
        return None
    first, second = (
        [_best_of_several(row) for row in _first(part, limit, "predictions")] for part in outputs
    )
    if not _are_integers(first) and _are_integers(second):
        first, second = second, _confidences(first)
    if len(first) != len(second):
        raise ValueError(f"predictions: {len(first)} classes with {len(second)} confidences")
    return first, second


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
    is_sure = _sums_to_one(classes) and _sums_to_one(confidences)
    return not is_sure and _are_ratios(confidences)


def is_distribution(total: float, lowest: float) -> bool:
    """Return whether a row of scores with this sum and this lowest is one of probabilities, apart from rounding."""
    return abs(total - 1) < SUM_ROUNDING and lowest >= -HALF_ROUNDING


def _sums_to_one(row: Vector) -> bool:
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
    if _has_length(values):
        return all(map(holds_integers, values))
    return isinstance(values, int)


def _may_be_classes(row: Vector) -> bool:
    if np is None:
        return _are_whole(row)
    vector = np.asarray(row)
    return bool(((np.rint(vector) == vector) & (vector >= 0) & (vector < CLASS_RANGE.stop)).all())


def _row_of(part: Any) -> "Vector | None":
    """Return scores of one sample; None for what has more dimensions, or is no numbers."""
    try:
        return _vector(part, "predictions")
    except ValueError:
        return None


def _are_pairs(rows: list[Any]) -> bool:
    """Return whether these are (class, confidence) of each sample rather than scores of two classes."""
    if not all(isinstance(row, tuple) and len(row) == 2 for row in rows):
        return False
    classes = [row[0] for row in rows]
    if holds_integers(classes):
        return True
    scores = [_row_of(row) for row in rows]
    is_sure = all(row is not None and _sums_to_one(row) for row in scores)
    return not is_sure and _are_whole(classes)


def _are_ratios(values: Vector) -> bool:
    """Return whether all are 0..1, apart from rounding, or NaN."""
    if np is None:
        numbers = map(float, values)
        return all(math.isnan(one) or abs(one - 0.5) <= 0.5 + HALF_ROUNDING for one in numbers)
    vector = np.asarray(values, np.float64)
    return bool((np.isnan(vector) | (abs(vector - 0.5) <= 0.5 + HALF_ROUNDING)).all())


def _joined(outputs: Any) -> Any:
    """Return one list where outputs are two, of pairs: what a device has reduced two parts of a batch to."""
    if not (isinstance(outputs, tuple) and len(outputs) == 2):
        return outputs
    are_lists = all(
        isinstance(part, list) and part and all(map(_is_pair, part)) for part in outputs
    )
    return [*outputs[0], *outputs[1]] if are_lists else outputs


def _is_pair(part: Any) -> bool:
    """Return whether this is (class, confidence) of one sample rather than a column of two."""
    return (
        isinstance(part, tuple)
        and len(part) == 2
        and _are_whole(part[:1])
        and isinstance(part[1], float)
        and (isinstance(part[0], int) or not part[1].is_integer())
    )


def _best_of_several(row: Any) -> Any:
    """Return the first of the k best, as torch.topk sorts them."""
    best = row[0] if _has_length(row) and getattr(row, "shape", None) != () else row
    return best.item() if hasattr(best, "item") else best


def _confidences(values: list[Any]) -> list[Any]:
    """Return the largest outputs of a model as confidences, which logits are not."""
    return values if _are_ratios(values) else [NOT_REPORTED] * len(values)


def _of_columns(classes: list[Any], confidences: list[Any]) -> Predictions:
    return [
        (_class_of(number, "predictions"), ratio_of(confidence, "confidence"))
        for number, confidence in zip(classes, confidences, strict=True)
    ]


def _of_singles(values: list[Any]) -> Predictions:
    if _are_whole(values):
        return [(_class_of(value, "predictions"), NOT_REPORTED) for value in values]
    scores = [_number(value, "predictions") for value in values]
    if _are_ratios(scores):
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
    are_probabilities = all(_sums_to_one(row) for row in rows if not math.isnan(_largest(row)[1]))
    return [_best(row, are_probabilities=are_probabilities) for row in rows]


def _best(row: Vector, *, are_probabilities: bool) -> tuple[int, float]:
    place, highest = _largest(row)
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


def _largest(row: Vector) -> tuple[int, float]:
    """Return where the largest score is and what it is; NaN where one is NaN."""
    if np is not None:
        place = int(np.argmax(row))  # the first NaN where there is one
        return place, float(row[place])
    if any(math.isnan(score) for score in row):
        return 0, math.nan
    place = max(range(len(row)), key=row.__getitem__)
    return place, row[place]


def _marked(place: int, values: Any, name: str) -> int:
    """Return which class a one-hot or soft label names."""
    row = _vector(values, name)
    if len(row) == 1:
        return _class_of(float(row[0]), name)
    best, highest = _largest(row)
    if math.isnan(highest):
        raise ValueError(f"{name}: row {place} holds NaN")
    marks = [float(value) for value in row if value != 0]
    if all(mark.is_integer() for mark in marks) and marks != [1.0]:
        raise ValueError(f"{name}: row {place} marks {len(marks)} classes; give one a sample")
    return best


def _vector(row: Any, name: str) -> Vector:
    """Return a row of scores as floats."""
    if not _has_length(row):
        raise ValueError(f"{name}: {row!r:.32} among rows of scores is not a row")
    if np is None:
        return [_number(value, name) for value in row]
    try:
        vector = np.asarray(row)
    except ValueError:
        raise ValueError(f"{name}: a row of scores holds rows of several lengths") from None
    if vector.dtype.kind == "O" and vector.ndim == 1:
        vector = np.array([_number(value, name) for value in vector])
    prediction_rows((1, *vector.shape), vector.dtype.kind, name=name)
    return vector.reshape(-1).astype(np.float64)


def _class_of(value: Any, name: str) -> int:
    """Return a class number; floats are one where they are whole."""
    number = _number(value, name)
    if not number.is_integer():
        raise ValueError(f"{name}: {number:.6g} is not the number of a class")
    if int(value) not in CLASS_RANGE:
        raise ValueError(f"{name}: class {int(value)} is beyond the protocol's 32 bits")
    return int(value)


def _number(value: Any, name: str) -> float:
    if isinstance(value, str):
        raise ValueError(f"{name}: the text {value[:32]!r} is not a number; {NUMBERS}")
    try:
        return number_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _are_integers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) for value in values)


def _are_whole(values: Iterable[Any]) -> bool:
    """Return whether all are integers, or other numbers that are whole and not negative."""
    return all(isinstance(value, int) or _is_whole(value) for value in values)


def _is_whole(value: Any) -> bool:
    try:
        number = number_of(value)
    except ValueError:
        return False
    return number.is_integer() and 0 <= number < CLASS_RANGE.stop

"""What arrays and lists of classes or scores hold, sample by sample."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

from bridge.client.encoding.scalars import number_of

CLASS_RANGE = range(-(1 << 31), 1 << 31)
"""The class numbers that the protocol has room for."""

Vector: TypeAlias = "Sequence[float] | np.ndarray[Any, Any]"
"""The scores of one sample; without NumPy there are only lists."""

NUMBERS = "give class numbers, e.g. class_names.index(name)"

_NUMBER_KINDS = frozenset("biuf")


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


def first_rows(values: Any, limit: int, name: str) -> list[Any]:
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


def has_length(value: Any) -> bool:
    """Return whether this is a list or an array rather than one value."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def largest_of(row: Vector) -> tuple[int, float]:
    """Return where the largest score is and what it is; NaN where one is NaN."""
    if np is not None:
        place = int(np.argmax(row))  # the first NaN where there is one
        return place, float(row[place])
    if any(math.isnan(score) for score in row):
        return 0, math.nan
    place = max(range(len(row)), key=row.__getitem__)
    return place, row[place]


def vector_of(row: Any, name: str) -> Vector:
    """Return a row of scores as floats."""
    if not has_length(row):
        raise ValueError(f"{name}: {row!r:.32} among rows of scores is not a row")
    if np is None:
        return [number_in(value, name) for value in row]
    try:
        vector = np.asarray(row)
    except ValueError:
        raise ValueError(f"{name}: a row of scores holds rows of several lengths") from None
    if vector.dtype.kind == "O" and vector.ndim == 1:
        vector = np.array([number_in(value, name) for value in vector])
    prediction_rows((1, *vector.shape), vector.dtype.kind, name=name)
    return vector.reshape(-1).astype(np.float64)


def class_of(value: Any, name: str) -> int:
    """Return a class number; floats are one where they are whole."""
    number = number_in(value, name)
    if not number.is_integer():
        raise ValueError(f"{name}: {number:.6g} is not the number of a class")
    if int(value) not in CLASS_RANGE:
        raise ValueError(f"{name}: class {int(value)} is beyond the protocol's 32 bits")
    return int(value)


def number_in(value: Any, name: str) -> float:
    """Return a number as a float. Raises ValueError, which calls it by `name`."""
    if isinstance(value, str):
        raise ValueError(f"{name}: the text {value[:32]!r} is not a number; {NUMBERS}")
    try:
        return number_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None

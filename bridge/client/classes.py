"""From what a model puts out to a class and a confidence for each sample."""

import math
from collections.abc import Sequence
from typing import Any

from bridge.client.jpeg import as_array

try:
    import numpy as np
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]

NOT_TOLD = 0.0
"""The confidence of a prediction that came without one; proto3's value for what is left out."""

Predictions = list[tuple[int, float]]
"""Class and confidence, 0..1, of each sample."""


def predictions_of(outputs: Any, limit: int) -> Predictions:
    """Return class and confidence of the first `limit` samples.

    Takes scores (N, classes), which are logits unless every row is a distribution; (N, 1) or floats
    (N,), the score of class 1 against class 0; integers (N,), the classes alone; a list of
    (class, confidence); or a tuple of two arrays, classes and confidences.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(outputs, tuple) and len(outputs) == 2 and _has_length(outputs[0]):
        classes, confidences = (_listed(part, limit) for part in outputs)
        return [(int(a), float(b)) for a, b in zip(classes, confidences, strict=True)]
    if hasattr(outputs, "shape") and len(outputs.shape) == 2:
        return _best_of_array(as_array(outputs[:limit]).astype("float64"))
    rows = _listed(outputs, limit)
    if not rows:
        return []
    if isinstance(rows[0], tuple):
        return [(int(a), float(b)) for a, b in rows]
    if not _has_length(rows[0]):
        return [_binary(row) if isinstance(row, float) else (int(row), NOT_TOLD) for row in rows]
    return _best_of_rows(rows)


def classes_of(truth: Any, limit: int) -> list[int]:
    """Return the true classes of the first `limit` samples, given as classes or one-hot rows."""
    rows = _listed(truth, limit)
    return [
        max(range(len(row)), key=row.__getitem__) if _has_length(row) else int(row) for row in rows
    ]


def _has_length(value: Any) -> bool:
    return hasattr(value, "__len__") and (not hasattr(value, "shape") or len(value.shape) > 0)


def _listed(values: Any, limit: int) -> Sequence[Any]:
    """Return the first values as Python's own numbers and lists."""
    first = values[:limit]
    if hasattr(first, "shape"):
        listed: Sequence[Any] = as_array(first).tolist()
        return listed
    return [value.tolist() if hasattr(value, "tolist") else value for value in first]


def _best_of_array(scores: "np.ndarray[Any, Any]") -> Predictions:
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"predictions: shape {scores.shape} is neither (N, classes) nor (N,)")
    if scores.shape[1] == 1:
        return [_binary(score) for score in scores[:, 0].tolist()]
    is_distribution = bool((scores >= 0).all() and (abs(scores.sum(axis=1) - 1) < 1e-3).all())
    if not is_distribution:
        with np.errstate(invalid="ignore", over="ignore"):  # scores may be infinite or no numbers
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
    best = scores.argmax(axis=1)
    confidences = scores[np.arange(len(scores)), best]
    return list(zip(best.tolist(), confidences.tolist(), strict=True))


def _best_of_rows(rows: Sequence[Sequence[float]]) -> Predictions:
    """Do the same for lists, which there may be without NumPy."""
    if any(len(row) == 1 for row in rows):
        return [_binary(row[0]) for row in rows]
    are_distributions = all(min(row) >= 0 and abs(sum(row) - 1) < 1e-3 for row in rows)
    found = []
    for row in rows:
        best = max(range(len(row)), key=row.__getitem__)
        whole = 1.0 if are_distributions else sum(math.exp(score - row[best]) for score in row)
        found.append((best, row[best] if are_distributions else 1 / whole))
    return found


def _binary(score: float) -> tuple[int, float]:
    """Read one score as the probability of class 1, or as its logit where it cannot be one."""
    if not 0 <= score <= 1:
        score = 1 / (1 + math.exp(-score)) if score > -700 else 0.0
    return (1, score) if score >= 0.5 else (0, 1 - score)

"""What a device has reduced is read like the full scores."""

from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402 -- only where PyTorch is there
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as arrays  # noqa: E402

from bridge.client.capture.reading import value_of  # noqa: E402
from bridge.client.capture.values import BestRows, best_rows  # noqa: E402
from bridge.client.encoding.predictions import predictions_of  # noqa: E402

INFINITE = st.sampled_from([float("inf"), float("-inf"), float("nan"), 0.0, 1.0])
LOGITS = st.floats(-100, 100, width=32)
SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, -1e-5, 1.00001])


class Arrived(NamedTuple):
    """A copy that has arrived."""

    array: np.ndarray
    has_arrived: bool = True


def reduced(scores):
    """Return the predictions of scores of which only the reduction is copied."""
    parts = best_rows(torch.from_numpy(scores)).numpy()
    return predictions_of(value_of(BestRows(Arrived(parts))), 16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(
    scores=st.one_of(
        arrays.arrays(np.float64, (3, 4), elements=values)
        for values in (LOGITS, SHARES, INFINITE, LOGITS | INFINITE, SHARES | INFINITE)
    ),
    is_softmax=st.booleans(),
)
def test_the_reduction_says_what_the_whole_says(dtype, scores, is_softmax):
    """Infinite logits, rows with NaN, probabilities, rounding: class and confidence are the same."""
    if is_softmax and np.isfinite(scores).all():
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    scores = scores.astype(dtype)

    expected = predictions_of(scores, 16)
    found = reduced(scores)

    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [confidence for _, confidence in found] == pytest.approx(
        [confidence for _, confidence in expected], rel=1e-5, nan_ok=True
    )


def test_near_logits_far_from_zero_keep_their_confidence():
    """The difference of two logits counts, not what 32 bits leave of their sum."""
    scores = np.array([[1e5, 1e5 - 1.0, 0.0]], np.float32)

    assert reduced(scores)[0][1] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)

"""From what a model puts out to classes and confidences."""

import math

import numpy as np
import pytest

from bridge.client.classes import NOT_TOLD, classes_of, predictions_of

PROBABILITIES = [[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]
LOGITS = [[math.log(part) + 3 for part in row] for row in PROBABILITIES]
EXPECTED = [(1, pytest.approx(0.7)), (0, pytest.approx(0.5))]


@pytest.mark.parametrize("scores", [PROBABILITIES, LOGITS])
@pytest.mark.parametrize("kind", [list, np.array])
def test_scores(scores, kind):
    """Probabilities are read as they are, logits through softmax; arrays or lists."""
    assert predictions_of(kind(scores), 16) == EXPECTED


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (np.array([2, 1]), [(2, NOT_TOLD), (1, NOT_TOLD)]),
        ([2, 1], [(2, NOT_TOLD), (1, NOT_TOLD)]),
        ([(2, 0.5), (1, 0.25)], [(2, 0.5), (1, 0.25)]),
        ((np.array([2, 1]), np.array([0.5, 0.25])), [(2, 0.5), (1, 0.25)]),
        (np.array([0.75, 0.25]), [(1, 0.75), (0, 0.75)]),
        (np.array([[0.75], [0.25]]), [(1, 0.75), (0, 0.75)]),
        ([[0.75], [0.25]], [(1, 0.75), (0, 0.75)]),
        (np.array([math.log(3), -1e9]), [(1, pytest.approx(0.75)), (0, 1.0)]),
        ([], []),
        (np.zeros((0, 3)), []),
    ],
)
def test_other_ways_to_say_it(outputs, expected):
    """Classes alone, pairs, and one score for two classes."""
    assert predictions_of(outputs, 16) == expected


def test_only_the_first_are_read():
    """As many as the bridge takes."""
    assert len(predictions_of(np.zeros((100, 3)), 16)) == 16
    assert len(classes_of(range(100), 16)) == 16


def test_huge_and_missing_scores():
    """Overflow does not happen, and not-a-number stays what it is."""
    (huge, missing) = predictions_of(np.array([[1e30, -1e30], [math.nan, 0.0]]), 16)

    assert huge == (0, 1.0)
    assert math.isnan(missing[1])


@pytest.mark.parametrize(
    "truth", [[2, 0], np.array([2, 0]), np.eye(3)[[2, 0]], [[0, 0, 1], [1, 0, 0]]]
)
def test_truths(truth):
    """Classes, or one-hot rows."""
    assert classes_of(truth, 16) == [2, 0]


@pytest.mark.parametrize("outputs", [np.zeros((2, 3, 4)), np.zeros((2, 0)), "text", 7, [None]])
def test_what_is_no_prediction(outputs):
    """An error says so, to be counted by whoever asked."""
    with pytest.raises((TypeError, ValueError, AttributeError)):
        predictions_of(outputs, 16)

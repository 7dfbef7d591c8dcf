"""What a model puts out is read by stated rules, with NumPy and without."""

import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.client.encoding import output_layout, predictions, sample_rows
from bridge.client.encoding.predictions import classes_of, predictions_of
from bridge.client.encoding.sample_rows import prediction_rows
from bridge.client.encoding.scalars import number_of, ratio_of

SCORES = [
    [[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]],
    [[3.0, -1.0, 8.0], [0.0, 0.0, 0.0]],
    [[float("inf"), 0.0], [float("-inf"), float("-inf")]],
    [[float("nan"), 1.0], [0.25, 0.75]],
    [[0.75], [0.25]],
    [(2, 0.5), (1, 0.25)],
    [(0.0, 1.0), (1.0, 0.0)],
    ([0.1, 0.9], [0.8, 0.2]),
    ([0.0, 1.0], [1.0, 0.0]),
    ([3.0, 1.0], [0.0, 2.0]),
    ([2, 1], [0.5, 0.25]),
    ([0.5, 0.25], [2, 1]),
    ([8.5, 0.25], [2, 1]),
    ([2.0, 1.0], [0.5, 1.0000001]),
    [[float("inf"), float("-inf")], [0.25, 0.75]],
    [[1.0000001, -1e-7], [0.25, 0.75]],
    [1.0000001, 0.25],
    [Fraction(3), Decimal(1)],
    ([Decimal(3), Decimal(1)], [0.5, 0.25]),
    [0.75, 0.25],
    [3, 1],
]


@pytest.mark.parametrize("scores", SCORES, ids=str)
def test_lists_are_read_alike_without_numpy(scores, monkeypatch):
    """NumPy is an extra, and nothing but speed hangs on it."""
    expected = predictions_of(scores, 16)
    for module in (output_layout, predictions, sample_rows):
        monkeypatch.setattr(module, "np", None)

    found = predictions_of(scores, 16)

    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [c for _, c in found] == pytest.approx([c for _, c in expected], nan_ok=True)


@pytest.mark.parametrize(
    "values", [[None], ["cat"], [[0.1, None]], [[0.1, "0.9"]], [[0.1], 3, "x"]]
)
@pytest.mark.parametrize("read", [predictions_of, classes_of])
def test_what_is_not_a_number_is_never_taken_for_one(read, values):
    """A hole is not NaN, and text that looks like a number is text."""
    with pytest.raises(ValueError, match="not"):
        read(values, 16)


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_one_score_never_leaves_the_range(scores):
    """Whatever floats: each sample gets a class, and a confidence of at least a half or none."""
    for number, confidence in predictions_of(np.array(scores), 16):
        assert number >= 0 or np.isnan(confidence) or confidence == 0
        assert confidence == 0 or np.isnan(confidence) or 0.5 <= confidence <= 1


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_rows_scores_are_its_own(rows):
    """A row with NaN names no class, and takes nothing from the confidences of the others."""
    found = predictions_of(np.array(rows), 16)

    for row, (number, confidence) in zip(rows, found, strict=True):
        assert (number == -1) == bool(np.isnan(confidence))
        if number >= 0:
            assert row[number] == max(row)
            assert 1 / 3 - 1e-2 <= confidence <= 1 + 1e-2


ROW = st.lists(st.floats(), min_size=3, max_size=3)


@given(st.lists(ROW, min_size=1, max_size=5))
@example([[0.0, 2.3e296, -1.7976931348623157e308]])
def test_any_scores_have_a_confidence_that_is_one(rows):
    """Infinite and huge ones too, without a warning; an array and a list of rows say the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predictions_of(np.array(rows), 16)
        listed = predictions_of(rows, 16)

    for (number, confidence), (again, other) in zip(found, listed, strict=True):
        assert number == again
        assert confidence == pytest.approx(other, nan_ok=True)
        assert np.isnan(confidence) or 0 <= confidence <= 1


@pytest.mark.parametrize("type_", [float, Decimal, Fraction, np.longdouble, np.float32, np.int64])
@given(classes=st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_a_whole_number_of_any_type_is_a_class(type_, classes):
    """Alone, in pairs, in columns, and as labels."""
    numbers = list(map(type_, classes))
    expected = [(number, 0.25) for number in classes]

    assert [number for number, _ in predictions_of(numbers, 16)] == classes
    assert predictions_of([(number, 0.25) for number in numbers], 16) == expected
    assert predictions_of((numbers, [0.25] * len(numbers)), 16) == expected
    assert classes_of(numbers, 16) == classes


@given(
    arrays.arrays(float, st.tuples(st.just(2), st.integers(2, 40)), elements=st.floats(0.01, 0.99))
)
def test_two_rows_are_read_as_an_array_of_two(rows):
    """Probabilities and logits say as a tuple of two what they say in one array."""
    for scores in (rows / rows.sum(axis=1, keepdims=True), np.log(rows)):
        found, expected = predictions_of(tuple(scores), 16), predictions_of(scores, 16)

        assert [number for number, _ in found] == [number for number, _ in expected]
        assert [c for _, c in found] == pytest.approx([c for _, c in expected])


def test_only_the_first_are_read():
    """As many as the bridge takes, of arrays, lists and pairs of them."""
    assert len(predictions_of(np.zeros((100, 3)), 16)) == 16
    assert len(predictions_of((np.zeros(100, int), np.zeros(100)), 16)) == 16
    assert classes_of(range(100), 16) == list(range(16))


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((), 1), ((8,), 8), ((8, 1), 8), ((8, 10), 8), ((8, 10, 1, 1), 8), ((0, 3), 0)],
)
def test_samples_are_counted_by_the_shape(shape, rows):
    """Nothing but the shape is needed."""
    assert prediction_rows(shape) == rows


@pytest.mark.parametrize(
    ("shape", "kind", "name", "words"),
    [
        (
            (8, 512, 32_000),
            "f",
            "predictions",
            "predictions: shape (8, 512, 32000) has 3 dimensions",
        ),
        ((8, 512, 32_000), "f", "predictions", "logits[:, -1]"),
        ((16, 21, 128, 128), "f", "predictions", "logits[:, :, 0, 0]"),
        ((16, 128, 128), "i", "ground_truth", "ground_truth: shape (16, 128, 128)"),
        ((8,), "U", "ground_truth", "class_names.index(name)"),
        ((8, 0), "f", "predictions", "has no classes"),
    ],
)
def test_outputs_of_more_dimensions_are_refused_by_their_shape(shape, kind, name, words):
    """Dense outputs are refused before anything of them is copied, with what to give instead."""
    with pytest.raises(ValueError, match=re.escape(words)):
        prediction_rows(shape, kind, name=name)


def test_an_accuracy_is_called_by_its_name():
    """A percentage is refused under the name of the argument."""
    with pytest.raises(ValueError, match=r"^validation_accuracy: 98 is not .*; give 0\.98$"):
        ratio_of(98, "validation_accuracy")


@given(st.floats() | st.integers(-(2**60), 2**60))
def test_a_number_is_itself_in_every_wrapping(value):
    """A scalar, and an array of one element of whichever shape, are the number in them."""
    wrapped = [
        value,
        np.array(value),
        np.array([value]),
        np.array([[[value]]]),
        np.array([value])[0],
    ]

    assert [number_of(one) for one in wrapped] == pytest.approx([float(value)] * 5, nan_ok=True)

"""Tests of pairs of classes."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.sinks.metrics.classes import Classes

CLASSES = Classes(cap=4)
NUMBERS = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 6)


@given(NUMBERS, NUMBERS)
def test_pairs_are_bounded_and_say_truly_whether_they_are_right(actual, predicted):
    """Any two numbers fall into one of few pairs, and `correct` is about the numbers themselves."""
    text = CLASSES.text(actual, predicted)

    assert len(CLASSES.pairs) == 5 * 5 + 1
    assert CLASSES.pairs[text] == tuple(
        str(number) if 0 <= number < 4 else "other" for number in (actual, predicted)
    )
    assert f'correct="{str(actual == predicted).lower()}"' in text


def test_the_diagonal_is_of_the_classes_known():
    """Right predictions of every class start somewhere, those above the cap together."""
    assert [CLASSES.pairs[text] for text in CLASSES.diagonal(2)] == [("0", "0"), ("1", "1")]
    assert [CLASSES.pairs[text][0] for text in CLASSES.diagonal(9)] == [
        *("0", "1", "2", "3", "other")
    ]
    assert list(CLASSES.diagonal(0)) == []

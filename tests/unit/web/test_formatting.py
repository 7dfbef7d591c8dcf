"""Numbers and times as people read them."""

import math

import pytest

from bridge.web import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, formatting.NOT_KNOWN),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "4.94e-324"),
        (0.0004962430, "4.96e-4"),
        (0.5, "0.5000"),
        (0.000312, "3.12e-4"),
        (12.3456, "12.35"),
        (12_345.6, "12,346"),
        (1e300, "1.00e300"),
        (-2.5, "-2.500"),
    ],
)
def test_numbers(value, text):
    """Four significant digits, at any size."""
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, formatting.NOT_KNOWN),
        (math.nan, formatting.NOT_KNOWN),
        (-1, formatting.NOT_KNOWN),
        (0, "0 s"),
        (0.0412, "41 ms"),
        (0.0000412, "<1 ms"),
        (5.25, "5.2 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    """The two largest units are enough."""
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (1e255, "1e255"), (20_000.0, "2e4"), (0.00001, "1e-5"), (0.0, "0")],
)
def test_labels_of_axes(value, text):
    """Short, without trailing zeros."""
    assert formatting.short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(999, "999"), (99_999, "99,999"), (1_234_567, "1.23 M"), (math.inf, formatting.NOT_KNOWN)],
)
def test_counts(value, text):
    """Whole while short, rounded when long."""
    assert formatting.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512 B"), (3 * 2**30, "3 GiB"), (None, formatting.NOT_KNOWN)]
)
def test_sizes(value, text):
    """Bytes in the largest unit that fits."""
    assert formatting.size(value) == text


def test_times_of_any_clock():
    """No number a clock can give makes a page fail."""
    assert formatting.moment(1_700_000_000) == "2023-11-14 22:13:20 UTC"
    for at in (math.nan, math.inf, 2.0**63, -(2.0**63)):
        assert formatting.moment(at)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "cat"), (1, "1"), (2, "2"), (-1, "-1"), (None, formatting.NOT_KNOWN)]
)
def test_classes(number, text):
    """A class without a name is its number."""
    assert formatting.class_name(number, ("cat", "")) == text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("there is nothing here", "There is nothing here."),
        ("Choose one.", "Choose one."),
        ("batch_size must be whole", "batch_size must be whole."),
    ],
)
def test_error_messages_become_sentences(message, text):
    """Pages show what the API says in the form of a sentence; a parameter keeps its name."""
    assert formatting.sentence(message) == text


@pytest.mark.parametrize(
    ("ratio", "places", "text"),
    [
        (0.0, 0, "0%"),
        (0.0004, 0, "<1%"),
        (0.0004, 1, "<0.1%"),
        (0.004, 1, "0.4%"),
        (0.9996, 0, ">99%"),
        (0.9996, 1, ">99.9%"),
        (0.994, 0, "99%"),
        (1.0, 1, "100.0%"),
        (-0.25, 0, "-25%"),
        (3.5, 0, "350%"),
    ],
)
def test_only_nothing_is_zero_percent_and_only_all_is_a_hundred(ratio, places, text):
    """A run that is not finished is never at 100%, and one that has begun is never at 0%."""
    assert formatting.percent(ratio, places) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.04, "0.04"), (2.25, "2.2"), (9.0, "9"), (480.4, "480")]
)
def test_a_slow_rate_is_not_zero(value, text):
    """A loop with a frame every 25 seconds has a rate."""
    assert formatting.count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, formatting.NOT_KNOWN),
        (-1.0, formatting.NOT_KNOWN),
        (0.0, "1 s"),
        (59.4, "59 s"),
        (123.0, "2 min 3 s"),
        (754.0, "13 min"),
        (3_580.0, "1 h 0 min"),
        (12_345.0, "3 h 26 min"),
    ],
)
def test_an_estimate_is_not_too_precise(seconds, text):
    """The seconds of a quarter of an hour are noise."""
    assert formatting.remaining(seconds) == text


@pytest.mark.parametrize("value", [1e17, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324])
@pytest.mark.parametrize("name", sorted(set(formatting.FILTERS) - {"sentence"}))
def test_no_number_is_longer_than_its_place(name, value):
    """Whatever a client sends: no row of hundreds of digits, and never a word of Python's."""
    text = formatting.FILTERS[name](value)

    assert len(text) <= 26
    assert not {"inf", "nan"} & set(text.split("%"))


@pytest.mark.parametrize(
    ("values", "factor", "labels"),
    [
        ([0.5, 0.6, 0.7], 1, ["0.5", "0.6", "0.7"]),
        ([0.002998, 0.002999, 0.003], 1, ["0.002998", "0.002999", "0.003"]),
        ([0.1, 0.2], 100, ["10", "20"]),
        ([1.0, 1.0], 1, ["1", "1"]),
        ([1.0, 1.0 + 1e-12], 1, ["1", "1"]),
        ([], 1, []),
    ],
)
def test_labels_of_an_axis_differ(values, factor, labels):
    """Two lines of the grid are not the same number; where too many digits would be needed, they stay short."""
    assert formatting.axis_labels(values, factor) == labels

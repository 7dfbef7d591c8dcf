"""Tests of label text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.sinks.metrics.labels import (
    OWN_LABELS_LIMIT,
    VALUE_LIMIT,
    metric_label,
    own_labels,
    quoted,
)

ANY_TEXT = st.text(st.characters(), max_size=300)
"""Lone surrogates and control characters included."""


@given(ANY_TEXT)
def test_a_value_stays_between_its_quotes(value):
    """Whatever a client sends is one line of valid UTF-8 without a quote that ends the label."""
    text = quoted(value)

    text.encode()
    assert "\n" not in text
    assert "\0" not in text
    assert len(json.loads(f'"{text}"')) <= VALUE_LIMIT


def test_a_value_is_escaped_as_the_formats_say():
    """Backslash, quote and newline come out as two characters each."""
    assert quoted('a\\b"c\nd') == 'a\\\\b\\"c\\nd'


def test_a_lone_surrogate_becomes_a_question_mark():
    """A text that cannot be encoded costs one character, not the page."""
    assert quoted("a\ud800b") == "a?b"


@given(ANY_TEXT)
def test_a_metric_name_needs_no_escaping(name):
    """The name of a user's number can stand in a query and in a link as it is."""
    text = metric_label(name[:64])

    assert text.isascii()
    assert text.isprintable()
    assert text.count('"') == 2
    assert "%" not in text


def test_own_labels_get_a_prefix():
    """A label called job or pod cannot meet one of Prometheus' own."""
    text, left_out = own_labels({"job": "a", "team name": "b"})

    assert text == ',label_job="a",label_team_name="b"'
    assert left_out == 0


def test_own_labels_that_become_the_same_are_one():
    """Two names never make the same label twice, and the one left out is counted."""
    text, left_out = own_labels({"a_b": "2", "a.b": "1"})

    assert text == ',label_a_b="1"'
    assert left_out == 1


def test_own_labels_are_bounded():
    """A client with thousands of labels gets the first few."""
    text, left_out = own_labels({f"name{i:04}": "x" * 10_000 for i in range(1_000)})

    assert text.count("=") == OWN_LABELS_LIMIT
    assert left_out == 1_000 - OWN_LABELS_LIMIT
    assert len(text) < OWN_LABELS_LIMIT * (VALUE_LIMIT + 100)

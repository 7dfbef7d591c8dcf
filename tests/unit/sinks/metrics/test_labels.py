"""Tests of label text."""

import json
import re
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.sinks.metrics.labels import (
    NAME_LIMIT,
    OWN_LABELS_LIMIT,
    VALUE_LIMIT,
    clean_name,
    metric_label,
    own_labels,
    quoted,
)

ANY_TEXT = st.text(st.characters(), max_size=300)
"""Lone surrogates and control characters included."""


@given(ANY_TEXT)
@example("a\x85b\u2028c\u2029d\x0be\x1cf\x9fg")
def test_a_value_stays_between_its_quotes(value):
    """Whatever a client sends is one line of valid UTF-8 without a quote that ends the label."""
    text = quoted(value)

    text.encode()
    assert len(text.splitlines()) <= 1
    assert not {category(one) for one in text} & {"Cc", "Zl", "Zp"}
    assert len(json.loads(f'"{text}"')) <= VALUE_LIMIT


def test_a_value_is_escaped_as_the_formats_say():
    """Backslash, quote and newline come out as two characters each."""
    assert quoted('a\\b"c\nd') == 'a\\\\b\\"c\\nd'


def test_a_lone_surrogate_becomes_a_question_mark():
    """A text that cannot be encoded costs one character, not the page."""
    assert quoted("a\ud800b") == "a?b"


@given(ANY_TEXT)
def test_a_metric_name_needs_no_escaping(name):
    """The name of a user's number can stand in a query, a regular expression and a link as it is."""
    text = clean_name(name)

    text.encode()
    assert 0 < len(text) <= NAME_LIMIT
    assert not set(text) & set("\"\\%$&?#+*()[]{}|^<>'`,;=@! \n\t")
    assert all(not one.isspace() and category(one)[0] in "LNMP" for one in text.replace("~", ""))
    assert metric_label(name) == f',name="{text}"}} '


CLOSE = st.sampled_from(["a b", "a_b", "a.b", "a/b", "A b", "", "_", "__", " ", "损失", "精度", "é", "e\u0301", "~", "a~b", "x" * 64, "x" * 65, "x" * 4_096 + "a", "x" * 4_096 + "b", "\ud800", "?", "a\0", "a\u200b"])  # fmt: skip  # a list of values


@given(st.sets(st.one_of(ANY_TEXT, CLOSE, CLOSE.map(clean_name)), max_size=30))
def test_two_names_are_two_series(names):
    """Whatever cleaning and cutting leave of them: blanks, scripts, normal forms, upper case, the empty name, a cut end."""
    assert len({metric_label(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name", ["loss/train", "grad_norm", "a.b:c-d", "损失", "Überlauf", "9", "x" * 64]
)
def test_a_good_name_stays_as_it_is(name):
    """In any script, so that a board shows what the user wrote."""
    assert clean_name(name) == name


def test_a_changed_name_is_always_the_same():
    """On every bridge, and after a restart or an upgrade: its series goes on."""
    assert clean_name("a b") == "a_b~c8687a08aa"
    assert clean_name("") == "_~e3b0c44298"


def test_own_labels_get_a_prefix():
    """A label called job or pod cannot meet one of Prometheus' own."""
    text, left_out = own_labels({"job": "a", "team name": "b"})

    assert text == ',label_job="a",label_team_name="b"'
    assert left_out == 0


OWN = re.compile(r',(label_[A-Za-z0-9_]+)="([^"]*)"')


@given(st.sets(st.one_of(ANY_TEXT, CLOSE), max_size=OWN_LABELS_LIMIT))
def test_two_own_labels_are_two_labels(names):
    """None takes another's place, whatever their names have in common, and every label is a valid one."""
    values = {name: str(number) for number, name in enumerate(names)}

    text, left_out = own_labels(values)

    assert left_out == 0
    assert sorted(value for _, value in OWN.findall(text)) == sorted(values.values())
    assert len({label for label, _ in OWN.findall(text)}) == len(names)
    assert "".join(found[0] for found in OWN.finditer(text)) == text


def test_own_labels_that_would_be_the_same_stay_apart():
    """The one that needed no change keeps its name; where both did, both have a suffix."""
    text, _ = own_labels({"a_b": "2", "a.b": "1", "c d": "3", "c/d": "4", "团队": "5"})

    labels = {value: label for label, value in OWN.findall(text)}
    assert labels["2"] == "label_a_b"
    assert re.fullmatch("label_a_b_[0-9a-f]{10}", labels["1"])
    assert re.fullmatch("label_c_d_[0-9a-f]{10}", labels["3"])
    assert re.fullmatch("label_c_d_[0-9a-f]{10}", labels["4"])
    assert re.fullmatch("label____[0-9a-f]{10}", labels["5"])
    assert own_labels({"c/d": "4"})[0] == ',label_c_d="4"'


def test_own_labels_are_bounded():
    """A client with thousands of labels gets the first few."""
    text, left_out = own_labels({f"name{i:04}": "x" * 10_000 for i in range(1_000)})

    assert text.count("=") == OWN_LABELS_LIMIT
    assert left_out == 1_000 - OWN_LABELS_LIMIT
    assert len(text) < OWN_LABELS_LIMIT * (VALUE_LIMIT + 100)

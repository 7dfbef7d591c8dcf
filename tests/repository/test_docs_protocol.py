"""docs/protocol.md says what the protocol is."""

import re

import pytest
from support.descriptors import enums_of, fields_of, methods_of
from support.markdown import tables_under
from support.tools import ROOT

from bridge.wire import metrics_pb2

FILE = metrics_pb2.DESCRIPTOR
MESSAGES = dict(FILE.message_types_by_name)
FIRST_ADDITION = 16

PAGE = (ROOT / "docs" / "protocol.md").read_text()
SECTIONS = {
    title.removesuffix(" **+**"): rows
    for title, rows in tables_under(PAGE).items()
    if title.removesuffix(" **+**") in MESSAGES
}
NEW = set(re.findall(r"### (\w+) \*\*\+\*\*", PAGE))


def test_every_message_has_a_section():
    """No message is missing, and none is described that does not exist."""
    assert set(SECTIONS) == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_fields_are_as_documented(name):
    """Each field stands in its message's table with its number and type."""
    documented = {plain(field): (int(number), kind) for field, number, kind, _ in SECTIONS[name]}

    assert documented == fields_of(MESSAGES[name])


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - NEW))
def test_additions_are_marked(name):
    """In an original message a plus marks the fields from 16 up, and only those."""
    for field, number, *_ in SECTIONS[name]:
        assert field.startswith("**+**") == (int(number) >= FIRST_ADDITION), field


def test_enums_are_as_documented():
    """Each value of each enum is there with its number."""
    documented = {}
    for enum, value, number in tables_under(PAGE)["Enums"]:
        documented.setdefault(enum, {})[plain(value)] = int(number)

    assert documented == enums_of(FILE)


def test_calls_are_as_documented():
    """Each call is there with what it takes and answers."""
    documented = {
        plain(call): (taken, answer) for call, taken, answer, _ in tables_under(PAGE)["Calls"]
    }

    assert documented == methods_of(FILE.services_by_name["MetricsService"])


def plain(cell):
    """Return a name without its mark."""
    return cell.removeprefix("**+** ")

"""Spans that wait for the OTLP endpoint, in a database of one bridge or of several."""

import pytest

from bridge.storage.outbox import SpanOutbox, WaitingSpan


@pytest.fixture
def outbox(database):
    """Return the outbox of it, which holds five spans at most."""
    return SpanOutbox(database, limit=5)


def add(database, outbox, *names, json="{}"):
    """Commit spans, and return how many were dropped for them."""
    with database.group() as group:
        return outbox.add(group, [WaitingSpan(name, "run", json) for name in names])


def waiting(outbox):
    """Return the JSON of what waits, oldest first."""
    return [json for _, json in outbox.take_oldest(99)]


def test_spans_leave_in_the_order_in_which_they_came(database, outbox):
    """They wait until they are removed, however often they are taken."""
    for name in ("one", "two", "three"):
        add(database, outbox, name, json=name)

    taken = outbox.take_oldest(2)
    assert [json for _, json in taken] == ["one", "two"]
    assert outbox.take_oldest(2) == taken

    outbox.remove(number for number, _ in taken)

    assert (waiting(outbox), outbox.count()) == (["three"], 1)


def test_a_span_that_is_added_again_replaces_what_waits(database, outbox):
    """The same id is sent once, as it was described last."""
    add(database, outbox, "one", json="first")
    add(database, outbox, "one", json="second")

    assert waiting(outbox) == ["second"]


def test_the_oldest_are_dropped_for_the_newest(database, outbox):
    """Those that were dropped are counted, and as many as the limit says wait."""
    assert add(database, outbox, *"abcd") == 0
    assert add(database, outbox, *"efg") == 2
    assert add(database, outbox) == 0

    assert outbox.count() == 5


def test_an_outbox_without_damage_keeps_everything(database, outbox):
    """Looking for damaged numbers removes no span, and the next one finds its number."""
    add(database, outbox, "one", json="one")

    assert outbox.discard_misnumbered() == 0
    add(database, outbox, "two", json="two")

    assert waiting(outbox) == ["one", "two"]

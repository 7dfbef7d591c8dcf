"""What happened is drawn once, with the way to what it is about."""

import pytest

from grafana.annotations import alerts, attempts, begins, commands, epochs, events, rises

ALL = (epochs(), attempts(), commands(), events(), alerts())


@pytest.mark.parametrize("annotation", ALL, ids=lambda one: one["name"])
def test_a_line_can_be_hidden_and_has_a_colour(annotation):
    """Each kind by its switch; no two look alike."""
    assert annotation["enable"] is True
    assert annotation["hide"] is False
    assert [one["iconColor"] for one in ALL].count(annotation["iconColor"]) == 1


@pytest.mark.parametrize("annotation", ALL[:4], ids=lambda one: one["name"])
def test_a_line_leads_to_the_bridge_of_its_session(annotation):
    """Texts know labels only, so the address is one."""
    assert 'href="{{public_url}}/' in annotation["textFormat"]
    assert "group_left (public_url)" in annotation["target"]["expr"]


def test_a_new_value_is_seen_once():
    """Not again after a gap, as when a bridge starts anew, nor when the session moves to another one."""
    query = begins("training_epoch", "epoch")

    assert query.startswith('count_values by (session_id, public_url) ("epoch", ')
    assert "unless on (session_id, epoch)" in query
    assert "[1h] offset $__interval" in query


def test_the_first_of_a_counter_is_seen():
    """A series that begins at 1 has not increased, and yet something has happened."""
    query = rises("training_events_total", "name")

    assert "increase(training_events_total[$__interval]) > 0" in query
    assert "unless on (session_id, name) last_over_time(training_events_total[1h] offset" in query

"""Every state of a session has a colour and a word, wherever it is shown."""

from bridge.model import Status
from bridge.protocol import STALLED_PHASE
from grafana.panels import table
from grafana.promql import chosen
from grafana.states import MAPPINGS, PHASES, STALLED, STATES, STATUSES, doing, last_status, status


def test_every_status_of_a_session_has_a_code():
    """A status that is added to the protocol is one more colour of the boards."""
    shown = {state.word for state in STATUSES}

    assert shown == {*map(str, Status), "disconnected", "lost"} - {"unknown"}


def test_no_two_states_are_shown_by_one_code():
    """It is all that panels know, and a stalled session counts as that whatever else it is."""
    codes = [state.code for state in STATES]

    assert len(set(codes)) == len(codes) == len(MAPPINGS[0]["options"])
    assert max(codes) == STALLED.code
    assert STALLED.word == STALLED_PHASE


def test_a_hang_a_validation_and_a_pause_differ():
    """By colour and word, in the table as on the time line."""
    looks = [
        (option["text"], option["color"])
        for code, option in MAPPINGS[0]["options"].items()
        if option["text"] in ("running", "validation", "paused", "stalled", "lost", "disconnected")
    ]

    assert len({word for word, _ in looks}) == 6
    assert len({color for word, color in looks if word != "lost"}) == 5


def test_the_queries_are_about_series_of_bridges():
    """Each of them can be narrowed to what a board has chosen."""
    for query in (status(), doing(), last_status()):
        assert 'session_id=~"$session"' in chosen(query)
    assert all(f'phase="{phase.word}"' in doing() for phase in PHASES)
    assert table("A", "b", doing())["targets"][0]["instant"]

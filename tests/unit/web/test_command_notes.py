"""What is said of a command that has no answer."""

import pytest

from bridge.commands import Command, State
from bridge.lifecycle import Connected, Disconnected, Ended
from bridge.model import Batch, Client, Config, Stage
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.web.command_notes import EXPIRED_UNSENT, NO_STEP, NOT_CONNECTED, RUN_ENDED, note_of
from bridge.web.session_view import session_view


@pytest.mark.parametrize(
    ("state", "events", "now", "note"),
    [
        (State.QUEUED, [], 101.0, ""),
        (State.SENT, [(Batch(0, 1, 0.5), 110.0)], 120.0, ""),
        (State.SENT, [(Batch(0, 1, 0.5), 99.0)], 200.0, NO_STEP),
        (State.SENT, [(Batch(0, 1, 0.5), 160.0)], 161.0, "gone on for 1 min 0 s without an answer"),
        (State.QUEUED, [(Disconnected(), 99.0)], 200.0, NOT_CONNECTED),
        (State.SENT, [(Ended(Stage.ENDED), 150.0)], 200.0, RUN_ENDED),
        (State.REFUSED, [(Ended(Stage.ENDED), 150.0)], 200.0, ""),
        (State.APPLIED, [(Batch(0, 1, 0.5), 160.0)], 161.0, ""),
        (State.EXPIRED, [], 161.0, EXPIRED_UNSENT),
    ],
)
def test_the_reason_is_what_can_be_seen(state, events, now, note):
    """A loop that goes on without an answer does not look for commands; one that stands still may yet."""
    session = Session("run-1", Client(), Config(), now=0.0)
    session.apply(Connected(), 1.0)
    for event, at in events:
        session.apply(event, at)
    command = Command("id", "run-1", CommandType.PAUSE_TRAINING, {}, 100.0, state)

    said = note_of(command, session_view(session, now))

    assert note in said
    assert bool(said) == bool(note)


def test_when_the_last_step_came_outlives_a_restart():
    """A snapshot holds it, and one of an older version does without."""
    session = Session("run-1", Client(), Config(), now=0.0)
    session.apply(Batch(0, 1, 0.5), 50.0)
    snapshot = snapshot_of(session)

    assert session_from(snapshot).stepped_at == 50.0
    del snapshot["stepped_at"]
    assert session_from(snapshot).stepped_at == 0.0

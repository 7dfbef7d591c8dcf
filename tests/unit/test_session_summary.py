"""What lists say of a session is the same from its summary as from itself."""

import math

import pytest
from support.pages import NOON

from bridge.lifecycle import Absent, Connected, Disconnected, Ended, SentElsewhere
from bridge.model import Batch, Client, Config, Epoch, Scalars, Stage, Status, StatusChange
from bridge.session import Session
from bridge.session_snapshot import snapshot_of
from bridge.session_summary import session_from_summary, summary_of
from bridge.storage.packed import packed, unpacked
from bridge.web.session_catalog import row_of

CASES = {
    "registered": [],
    "connected": [Connected()],
    "with a batch": [Connected(), Batch(3, 7, 0.25)],
    "with a loss that is not finite": [Connected(), Batch(0, 0, math.nan)],
    "with scalars alone": [Connected(), Scalars(0, 0, {"a": 1.0})],
    "with an epoch alone": [Connected(), Epoch(1, 0.5, None)],
    "paused": [Connected(), StatusChange(Status.PAUSED)],
    "disconnected": [Connected(), Batch(0, 0, 0.5), Disconnected()],
    "not heard of": [Connected(), Batch(0, 0, 0.5), Disconnected(), Absent()],
    "sent elsewhere": [Connected(), Batch(0, 0, 0.5), SentElsewhere(), Disconnected()],
    "completed": [Connected(), StatusChange(Status.COMPLETED), Ended(Stage.ENDED)],
    "lost": [Connected(), Batch(0, 0, 0.5), Ended(Stage.LOST)],
}


def session_of(events):
    """Return a session to which these have happened."""
    client = Client("tests", "1", labels={"team": "vision"}, run_id="night", rank=3, world_size=8)
    session = Session(
        "run-1", client, Config(model_name="m", dataset_name="d"), now=NOON, attempt=2
    )
    for number, event in enumerate(events):
        session.apply(event, NOON + number)
        session.updated_at = NOON + number
    return session


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_a_list_is_the_same(case):
    """Whatever has happened to the session."""
    session = session_of(CASES[case])
    summary = unpacked(packed(summary_of(snapshot_of(session))))
    assert row_of(session_from_summary(summary)) == row_of(session)


def test_a_summary_is_small():
    """Lists read thousands of them."""
    session = session_of([Connected(), *(Batch(0, number, 0.5) for number in range(5_000))])
    assert len(packed(summary_of(snapshot_of(session)))) < 500

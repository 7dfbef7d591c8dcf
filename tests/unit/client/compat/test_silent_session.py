"""A session that reports nothing: a script that is switched off trains as before."""

import pytest

from bridge.client import CommandType, Stats, Status, TrainingSession
from bridge.client.compat.silent_session import SilentSession


def test_it_has_all_that_a_session_has():
    """So that no attribute is missing in a script that is switched off."""
    public = {name for name in dir(TrainingSession) if not name.startswith("_")}
    assert not public - set(dir(SilentSession()))


def test_a_loop_goes_round():
    """Over its loader, in phases, with callbacks; nothing is logged, counted or obeyed."""
    seen = []
    with SilentSession() as session:
        session.on(CommandType.SAVE_CHECKPOINT, lambda _given: None)
        session.controls(lr=lambda _rate: None)
        for epoch, batch in session.track([1, 2], epochs=2):
            with session.phase("validation"):
                seen.append((epoch, batch))
            session.log_batch(0.5, images=object())
            session.log_scalars({"a": 1})
            session.event("x")
            session.wait_while_paused()
        session.log_epoch(0, loss=0.5)
        session.log_status(Status.PAUSED)
        session.alert("y")

    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert session.stats == Stats()
    assert (session.should_stop, session.agree_to_stop(), session.step) == (False, False, None)
    assert (session.flush(), session.close()) == (0, 0)
    with pytest.raises(AttributeError):
        session.log_bach(0.5)

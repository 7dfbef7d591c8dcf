"""What the integrations of frameworks share: the phase of validation, and the exception that ends a loop."""

import copy

import pytest

from bridge.client import TrainingSession
from bridge.client.integrations.owned_session import OwnedSession, readable, reports_errors
from bridge.client.testing import RecordingBridge


def test_validation_ends_with_the_run():
    """A validation that is begun twice is one, and what ends in the middle of one leaves a session of others usable."""
    phases = []
    with TrainingSession(RecordingBridge()) as session:
        owned = OwnedSession(session, {})
        for step in (owned.begin_validation, owned.begin_validation, owned.end):
            step()
            phases.append([name for name, _ in session._phases.read().active])
        session.log_batch(1.0, step=0)
        assert not session.stats.faults

    assert phases == [["startup", "validation"], ["startup", "validation"], ["startup"]]


def test_validation_without_a_session_is_nobodys():
    """Before training begins there is nothing to report a phase to, and a copy is in no phase."""
    owned = OwnedSession(None, {})

    owned.begin_validation()
    owned.end_validation()

    assert copy.copy(owned).session is None


class Callback:
    """A callback that keeps what ended its run."""

    ended_by = None

    def end(self, error):
        """End the run."""
        self.ended_by = error


def test_callbacks_learn_of_the_exception_that_ends_a_loop():
    """Those of one kind do, the exception goes on as it was, and a loop that returns ends nothing."""
    ours, others = Callback(), object()

    def train(callbacks, *, error=None):
        """Train, or fail."""
        if error is not None:
            raise error
        return "trained"

    wrapped = reports_errors(train, lambda callbacks, **_: callbacks, Callback)
    assert wrapped([ours, others]) == "trained"
    assert ours.ended_by is None

    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as raised:
        wrapped([ours, others], error=error)

    assert raised.value is error is ours.ended_by
    assert wrapped.__name__ == "train"


def test_an_exception_goes_on_as_it_was_whatever_callbacks_do(caplog):
    """They may be those of a trainer that is half made, or raise themselves."""

    class Broken(Callback):
        def end(self, error):
            raise OSError("closed")

    def train(*_callbacks):
        raise LookupError("no data")

    for callbacks_of in (lambda *given: given, lambda *_given: None):
        with pytest.raises(LookupError, match="no data"):
            reports_errors(train, callbacks_of, Callback)(Broken())

    assert "OSError: closed" in caplog.text


def test_what_a_framework_cannot_say_costs_that_fact_alone(caplog):
    """It is logged; an interrupt is the program's own, and goes on."""

    def raises(error):
        raise error

    known = readable(
        model=lambda: "resnet", epochs=lambda: raises(NotImplementedError("no length"))
    )

    assert known == {"model": "resnet"}
    assert "epochs of this run is not reported, training goes on" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        readable(model=lambda: raises(KeyboardInterrupt()))

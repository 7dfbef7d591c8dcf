"""What an on-call engineer must be able to distinguish: runs that hang, validate, move, are preempted, fail or are killed."""

import contextlib
import json
import signal

import pytest
from support.bridges import running_bridge
from support.prometheus import running_prometheus
from support.proxy import proxying
from support.troubled_loops import STEPS, troubled
from support.waiting import until_true

SECONDS = 90
QUICK = ("--heartbeat-seconds", "1")
ATTEMPTS = 4

EXPECTED = {
    ("TrainingStalled", "hung"),
    ("TrainingDisconnected", "killed"),
    ("TrainingFailed", "failed"),
}


def details(bridge, session_id):
    """Return a session as the API shows it."""
    return json.loads(bridge.get(f"/api/v1/sessions/{session_id}"))


def until_stepping(bridge, session_id, steps=STEPS):
    """Wait until a bridge has so many batches of a session."""
    until_true(
        lambda: bridge.total("training_batches_total", session_id=session_id) >= steps,
        seconds=SECONDS,
        what=f"{session_id} makes {steps} steps",
    )


@contextlib.contextmanager
def preempted(bridge, session_id):
    """Have a run end by SIGTERM three times, and come back each time; the last one goes on."""
    for attempt in range(1, ATTEMPTS):
        with troubled(bridge.grpc, session_id, "go_on") as process:
            until_true(lambda a=attempt: is_in_attempt(bridge, session_id, a), seconds=SECONDS)
            until_stepping(bridge, session_id)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == -signal.SIGTERM
    with troubled(bridge.grpc, session_id, "go_on"):
        until_true(lambda: is_in_attempt(bridge, session_id, ATTEMPTS), seconds=SECONDS)
        until_stepping(bridge, session_id)
        yield


def is_in_attempt(bridge, session_id, attempt):
    """Return whether a session has come to an attempt."""
    return bridge.total("training_attempt", session_id=session_id) == attempt


@contextlib.contextmanager
def killed(bridge, session_id):
    """Have a run end by SIGKILL."""
    with troubled(bridge.grpc, session_id, "go_on") as process:
        until_stepping(bridge, session_id)
        process.kill()
        process.wait()
    yield


@contextlib.contextmanager
def moved(old, new, session_id):
    """Have a run go from one bridge to another."""
    with proxying(old.grpc) as proxy, troubled(proxy.address, session_id, "go_on"):
        until_stepping(old, session_id)
        proxy.lead_to(new.grpc)
        until_stepping(new, session_id)
        yield


@pytest.mark.timeout(400)
def test_runs_that_look_alike_are_distinguished(tmp_path):
    """Alerts name the run that hangs, the one that was killed and the one that failed, and never another; pages say why."""
    (tmp_path / "prometheus").mkdir()
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(running_bridge(tmp_path / "old", *QUICK))
        new = stack.enter_context(running_bridge(tmp_path / "new", *QUICK))
        prometheus = stack.enter_context(
            running_prometheus(tmp_path / "prometheus", [old.http, new.http])
        )
        for session_id, way in (("hung", "hang"), ("validates", "validate"), ("failed", "fail")):
            stack.enter_context(troubled(old.grpc, session_id, way))
            until_stepping(old, session_id)
        stack.enter_context(killed(old, "killed"))
        stack.enter_context(moved(old, new, "moved"))
        stack.enter_context(preempted(old, "preempted"))

        fired = 'last_over_time(ALERTS{alertstate="firing"}[1h])'
        until_true(lambda: alerts(prometheus.query(fired)) >= EXPECTED, seconds=SECONDS)

        assert alerts(prometheus.query(fired)) == EXPECTED
        assert details(old, "hung")["phase"] == "training"
        assert details(old, "validates")["phase"] == "validation"
        assert details(old, "killed")["state"] == "disconnected"
        assert details(old, "preempted")["attempt"] == ATTEMPTS
        assert old.total("training_phase_seconds_total", session_id="preempted", phase="lost") > 0
        assert has_every_step(old, new, "moved")


def alerts(samples):
    """Return which alerts have fired, and for which sessions."""
    return {(s["metric"]["alertname"], s["metric"]["session_id"]) for s in samples}


def has_every_step(old, new, session_id):
    """Return whether two bridges have, between them, each step of a run up to where it is.

    A step that the first one had taken without an Ack as the connection broke is at both.
    """
    before = details(old, session_id)
    after = details(new, session_id)
    return before["batches"] + after["batches"] >= after["step"] + 1

"""BridgeClient reads curves, events, comparisons and annotations, and follows sessions and commands."""

import math
import threading

import pytest
from support.pages import deps_in, running
from support.served_app import served_app
from support.waiting import until_true

from bridge.client import BridgeClient, CommandType
from bridge.client.frames import rows_of
from bridge.client.query import ProblemError, QueryError
from bridge.client.query_logged import CurvePoint
from bridge.client.query_reading import thinned
from bridge.lifecycle import Ended
from bridge.model import (
    Batch,
    CommandResult,
    Level,
    Occurrence,
    Scalars,
    Stage,
    Status,
    StatusChange,
)


@pytest.fixture
def deps(tmp_path):
    """What the server answers from."""
    deps, shelf = deps_in(tmp_path)
    yield deps
    shelf.database.close()


@pytest.fixture
def client(deps):
    """A client of a server with these dependencies."""
    with served_app(deps) as url:
        yield BridgeClient(url)


@pytest.fixture
def session(deps):
    """A session with three values of two numbers."""
    session = running(deps, "run-1")
    for step in range(3):
        now = session.registered_at + step
        session.apply(Scalars(1, step, {"lr": 0.1 * step, "norm": 1.0}), now)
        session.apply(Scalars(1, step, {"lr": 7.0}, split="validation"), now)
    return session


def test_curves_are_lists(client, session):
    """Chosen by name and split; every value is there, with where it was."""
    curves = client.curves("run-1", names=["lr"], split="")
    (curve,) = curves

    assert (curve.name, curve.split, curve.by) == ("lr", None, "step")
    assert curve.values == pytest.approx([0.0, 0.1, 0.2])
    assert len(curve.steps) == 3
    assert {(one.name, one.split) for one in client.curves("run-1")} == {
        ("lr", None),
        ("norm", None),
        ("lr", "validation"),
    }
    assert client.curves("run-1", names="nothing") == ()


def test_curves_since_then(client, session):
    """What came before is left out, and no more points are returned than were asked for."""
    late = client.curves("run-1", names="lr", split="", since=session.registered_at + 0.5)
    few = client.curves("run-1", names="lr", split="", points=1)

    assert late[0].values == pytest.approx([0.1, 0.2])
    assert few[0].values == pytest.approx([0.1])
    assert (few[0].points[0].low, few[0].points[0].high) == pytest.approx((0.0, 0.2))


def test_points_without_a_finite_value_stay_gaps():
    """What was not finite is counted, and in no mean."""
    gap = CurvePoint(x=0, at=0.0, step=0, count=0, nonfinite=2)
    value = CurvePoint(x=1, at=1.0, step=1, count=1, mean=4.0, low=4.0, high=4.0)

    assert next(thinned([gap, gap], 1)).mean is None
    merged = next(thinned([gap, value], 1))
    assert (merged.x, merged.mean, merged.count, merged.nonfinite) == (0, 4.0, 1, 2)
    with pytest.raises(ValueError, match="points must be 1 or more, not 0"):
        list(thinned([value], 0))


def test_events_and_annotations(client, session):
    """As the loop has reported them, and as charts show them."""
    now = session.registered_at + 5
    session.apply(Occurrence("checkpoint", "saved", Level.WARNING, {"file": "a.pt"}, 1, 2), now)
    (event,) = client.events("run-1")
    (annotation,) = client.annotations(["run-1"], kinds=["event"])

    assert (event.at, event.name, event.level) == (now, "checkpoint", "warning")
    assert event.details == {"file": "a.pt"}
    assert (event.epoch, event.batch) == (1, 2)
    assert (annotation.kind, annotation.session_id) == ("event", "run-1")
    assert (annotation.time, annotation.time_end) == (round(now * 1000), None)
    assert client.events("run-1", since=now + 1) == ()
    assert list(client.annotations(["run-1"], kinds=["event"], since=now + 1)) == []


def test_sessions_are_compared(deps, client, session):
    """With the best of each, a curve of each, and which are unknown."""
    session.apply(Batch(1, 9, math.nan), session.registered_at)
    compared = client.compare(["run-1", "nobody"], curve="norm")

    assert [one.session_id for one in compared.sessions] == ["run-1"]
    assert compared.sessions[0].best.loss == 0.5
    assert compared.sessions[0].nonfinite_losses == 1
    assert compared.unknown == ("nobody",)
    assert [point.mean for point in compared.curve.lines[0].points] == [1.0, 1.0, 1.0]
    with pytest.raises(ProblemError, match="curve must be one that these sessions have"):
        client.compare(["run-1"], curve="no such")


def test_rows_of_frames(client, session):
    """A point of a curve is a row, with its name beside it."""
    rows = list(rows_of(client.curves("run-1", names="lr")))

    assert len(rows) == 6
    assert {row["split"] for row in rows} == {None, "validation"}
    assert {"step", "time", "value", "low", "high", "count", "nonfinite"} <= rows[0].keys()


def test_a_session_is_watched_to_its_end(client, session):
    """Each change once; the last one is how it ended."""
    seen = []

    def train():
        until_true(lambda: len(seen) == 1)
        session.apply(StatusChange(Status.COMPLETED), session.registered_at)
        session.apply(Ended(Stage.ENDED), session.registered_at)

    thread = threading.Thread(target=train)
    thread.start()
    for state in client.watch("run-1", interval_seconds=0.01):
        seen.append(state)  # noqa: PERF402 -- the thread looks while it grows
    thread.join()

    assert seen[-1].state == "completed"
    assert len(set(map(repr, seen))) == len(seen)


def test_a_command_is_waited_for(deps, client, session):
    """Until the loop has answered, or for so many seconds."""
    assert client.submit_command("run-1", CommandType.PAUSE_TRAINING, wait=0.01).state == "queued"

    def answer():
        command = until_true(lambda: deps.commands.find("run-1", "mine"))
        deps.commands.answer("run-1", CommandResult(command.id, True, "", 1, 2))

    thread = threading.Thread(target=answer)
    thread.start()
    answered = client.submit_command("run-1", "STOP_TRAINING", command_id="mine", wait=60)
    thread.join()
    assert (answered.state, answered.result.batch) == ("applied", 2)


def test_a_command_of_a_run_that_is_over_is_not_waited_for(deps, client, session):
    """Nobody is left to answer."""
    command = client.submit_command("run-1", "STOP_TRAINING")
    session.apply(Ended(Stage.LOST), session.registered_at)

    with pytest.raises(QueryError, match="has ended without an answer"):
        client.answered(command, 60)

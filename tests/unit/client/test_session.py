"""What a training loop is promised, with a bridge that records."""

import logging
import math
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from support.jpegs import jpeg
from support.waiting import until_true

from bridge.client import CommandType, Stats, Status, TrainingSession
from bridge.client.testing import RecordingBridge


class Unspeakable:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


NONSENSE = [None, "text", object(), [], {}, b"\xff\xd8", [None], ("a", "b"), -1, 10**30, math.nan]


@pytest.fixture
def bridge():
    """Return a bridge that records."""
    return RecordingBridge()


def test_what_is_said_is_what_is_sent(bridge):
    """Batches, epochs and scalars arrive with all that belongs to them."""
    pictures = np.zeros((20, 8, 8), np.uint8)
    scores = np.eye(3)[np.arange(20) % 3]
    with TrainingSession(bridge, batch_size=20) as session:
        session.log_batch(
            np.float32(0.25),
            epoch=1,
            batch=2,
            images=pictures,
            predictions=scores,
            ground_truth=np.arange(20) % 3,
        )
        session.log_scalars({"norm": np.float64(1.5)})
        session.log_batch(0.5, epoch=1, batch=3)
        session.log_epoch(1, loss=0.3, accuracy=0.9, learning_rate=0.01)

    first, second = bridge.batches
    assert (first.epoch, first.batch, first.loss, first.sample_count) == (1, 2, 0.25, 20)
    assert len(first.images) == len(first.predictions) == len(first.ground_truth) == 16
    assert first.predictions[2] == (2, 1.0)
    assert (second.loss, second.sample_count, second.images) == (0.5, 20, ())
    (scalars,) = bridge.scalars
    assert (scalars.epoch, scalars.batch, dict(scalars.values)) == (1, 2, {"norm": 1.5})
    (epoch,) = bridge.epochs
    assert epoch.accuracy == pytest.approx(0.9)
    assert epoch.validation_loss is None
    assert session.stats.faults == 0


def test_a_run_that_ends_well_is_completed(bridge):
    """Leaving the block says so."""
    with TrainingSession(bridge) as session:
        session.log_batch(1.0, epoch=0, batch=0)

    assert [status for status, _ in bridge.statuses] == [
        Status.INITIALIZING,
        Status.RUNNING,
        Status.COMPLETED,
    ]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("no data"), Status.FAILED, "ValueError: no data"),
        (KeyboardInterrupt(), Status.FAILED, "KeyboardInterrupt"),
        (SystemExit(3), Status.FAILED, "SystemExit: 3"),
        (SystemExit(0), Status.COMPLETED, ""),
        (ValueError("\ud800"), Status.FAILED, "ValueError: ?"),
    ],
)
def test_a_run_that_raises_has_failed(bridge, error, status, message):
    """The exception goes on its way, and its type and message to the bridge."""
    with pytest.raises(type(error)), TrainingSession(bridge):
        raise error

    assert bridge.statuses[-1] == (status, message)


def test_a_run_ends_once(bridge):
    """After the end nothing is said any more, and nothing raises."""
    session = TrainingSession(bridge)
    session.close()

    session.log_batch(1.0, epoch=0, batch=0)
    session.log_epoch(0, loss=1.0)
    session.log_status(Status.RUNNING)
    session.close()

    assert [status for status, _ in bridge.statuses] == [Status.INITIALIZING, Status.COMPLETED]
    assert bridge.batches == []


@pytest.mark.parametrize("place", range(len(NONSENSE) + 1))
def test_nonsense_never_raises(bridge, place):
    """Whatever is given in whichever place, the loop goes on and what makes sense is sent."""
    nonsense = [*NONSENSE, Unspeakable()][place]  # pytest itself would ask it things
    with TrainingSession(bridge) as session:
        session.log_batch(nonsense, epoch=0, batch=0)
        session.log_batch(0.5, epoch=nonsense, batch=nonsense)
        session.log_batch(
            0.5,
            epoch=0,
            batch=1,
            images=nonsense,
            predictions=nonsense,
            ground_truth=nonsense,
            sample_count=nonsense,
        )
        session.log_epoch(nonsense, loss=nonsense, accuracy=nonsense, learning_rate=nonsense)
        session.log_scalars(nonsense)
        session.log_scalars({"good": 1.0, "bad": nonsense})
        session.log_status(nonsense, nonsense)
        session.log_batch(0.25, epoch=0, batch=2)

    assert [batch.loss for batch in bridge.batches if batch.batch == 1] == [0.5]
    assert bridge.batches[-1].loss == 0.25
    assert bridge.scalars[-1].values["good"] == 1.0
    assert session.stats.faults > 0


def test_a_fault_is_logged_once(bridge, caplog):
    """A mistake in a loop of thousands of steps is one line, and a number."""
    with caplog.at_level(logging.WARNING, "trainbridge"), TrainingSession(bridge) as session:
        for batch in range(50):
            session.log_batch("much", epoch=0, batch=batch)

    assert session.stats.faults == 50
    assert len([record for record in caplog.records if "loss" in record.message]) == 1


def test_strict_raises(bridge):
    """In tests of a loop, a mistake shows where it is made."""
    with TrainingSession(bridge, strict=True) as session:
        session.log_batch(0.5, epoch=0, batch=0, images=np.zeros((2, 8, 8), np.uint8))
        with pytest.raises(ValueError, match="not a number"):
            session.log_batch("much", epoch=0, batch=1)
        with pytest.raises(ValueError, match="images"):
            session.log_batch(0.5, epoch=0, batch=1, images=[b"no picture"])
        with pytest.raises(ValueError, match="values"):
            session.log_scalars({"x": "y"})
        with pytest.raises(ValueError, match="nothing"):
            session.log_status("nothing")

    assert [batch.batch for batch in bridge.batches] == [0]


def test_nonfinite_numbers_are_data(bridge):
    """Not-a-number and infinity are sent as they are."""
    with TrainingSession(bridge) as session:
        for batch, loss in enumerate((math.nan, math.inf, -math.inf)):
            session.log_batch(loss, epoch=0, batch=batch)

    losses = [batch.loss for batch in bridge.batches]
    assert math.isnan(losses[0])
    assert losses[1:] == [math.inf, -math.inf]
    assert session.stats.faults == 0


def test_values_are_read_at_the_call(bridge):
    """Whatever becomes a number is read in the loop's thread, at the call: it may be another one later."""
    readers = set()

    class Meter:
        value = 0.0

        def __float__(self):
            readers.add(threading.current_thread())
            return self.value

    meter = Meter()
    with TrainingSession(bridge) as session:
        for batch in range(3):
            meter.value = float(batch)
            session.log_batch(meter, epoch=0, batch=batch)

    assert [batch.loss for batch in bridge.batches] == [0.0, 1.0, 2.0]
    assert readers == {threading.current_thread()}


def test_stop(bridge):
    """A command to stop is seen by the loop, and answered when it is."""
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=3, batch=4)
        assert not session.should_stop
        bridge.send_command(CommandType.STOP_TRAINING)
        session.flush()
        assert bridge.answers == []
        assert session.should_stop

    (answer,) = bridge.answers
    assert (answer.applied, answer.epoch, answer.batch) == (True, 3, 4)
    assert bridge.statuses[-1] == (Status.COMPLETED, "stopped by command")


def test_pause_and_resume(bridge):
    """A paused loop waits, says so, and goes on when commanded."""
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        session.wait_while_paused()
        bridge.send_command(CommandType.PAUSE_TRAINING)
        loop = threading.Thread(target=session.wait_while_paused, daemon=True)
        loop.start()
        until_true(lambda: Status.PAUSED in [status for status, _ in bridge.statuses])
        assert loop.is_alive()
        bridge.send_command(CommandType.RESUME_TRAINING)
        loop.join(60)
        assert not loop.is_alive()

    assert [answer.applied for answer in bridge.answers] == [True, True]
    assert bridge.statuses[-2][0] is Status.RUNNING


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_pause_never_lasts_for_ever(bridge, end):
    """A command to stop, or the end of the session, ends a pause too."""
    session = TrainingSession(bridge)
    session.log_batch(0.5, epoch=0, batch=0)
    bridge.send_command(CommandType.PAUSE_TRAINING)
    loop = threading.Thread(target=session.wait_while_paused, daemon=True)
    loop.start()
    until_true(lambda: Status.PAUSED in [status for status, _ in bridge.statuses])

    if end == "stop":
        bridge.send_command(CommandType.STOP_TRAINING)
    else:
        session.close()
    loop.join(60)

    assert not loop.is_alive()
    session.close()


@pytest.mark.parametrize(
    ("said", "applied", "message"),
    [(None, True, ""), (True, True, ""), ("0.1 now", True, "0.1 now"), (False, False, "")],
)
def test_callbacks_answer(bridge, said, applied, message):
    """A callback runs in the loop's thread, between two batches, and what it says is the answer."""
    seen = []

    def change(parameters):
        seen.append((dict(parameters), threading.current_thread()))
        return said

    with TrainingSession(bridge) as session:
        session.on(CommandType.CHANGE_LEARNING_RATE, change)
        command_id = bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.1)
        assert seen == []
        session.log_batch(0.5, epoch=0, batch=7)

    assert seen == [({"learning_rate": "0.1"}, threading.current_thread())]
    (answer,) = bridge.answers
    assert (answer.command_id, answer.applied, answer.message) == (command_id, applied, message)
    assert answer.batch == 7


def test_a_callback_that_raises_refuses(bridge):
    """Its error is the answer, and the loop goes on."""
    with TrainingSession(bridge) as session:
        session.on(CommandType.ADJUST_BATCH_SIZE, lambda parameters: parameters["batch_size"])
        bridge.send_command(CommandType.ADJUST_BATCH_SIZE)
        session.log_batch(0.5, epoch=0, batch=0)

    (answer,) = bridge.answers
    assert not answer.applied
    assert "KeyError" in answer.message


def test_what_the_loop_does_not_take_is_refused(bridge):
    """Commands without a callback are answered at once, and those that are never asked about in time."""
    with TrainingSession(bridge) as session:
        bridge.send_command(CommandType.SAVE_CHECKPOINT)
        bridge.send_command(CommandType.RESUME_TRAINING)
        bridge.send_command(CommandType.STOP_TRAINING)
        for epoch in range(2):
            session.log_epoch(epoch, loss=0.5)
        session.flush()

        assert [answer.applied for answer in bridge.answers] == [False] * 3


CHILD = {"batches: copy": 1_000, "epochs: copy": 1, "commands: copy": 2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_inert(bridge):
    """A child process, of a data loader say, has a session that does nothing and waits for nothing."""
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for batch in range(1_000):
                    session.log_batch(0.5, epoch=9, batch=batch)
                session.log_epoch(9, loss=0.5)
                assert session.should_stop is False
                session.wait_while_paused()
                assert session.flush() == session.close() == 0
                assert session.stats == Stats(left_out=CHILD)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        session.log_batch(0.5, epoch=0, batch=1)
        assert session.stats.left_out == {}

    assert os.waitstatus_to_exitcode(status) == 0
    assert [(b.epoch, b.batch) for b in bridge.batches] == [(0, 0), (0, 1)]


EXIT = """
import atexit
atexit.register(lambda: print(*(f"{status.name} {message}" for status, message in bridge.statuses), sep="; "))
from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge
bridge = RecordingBridge()
session = TrainingSession(bridge)
session.log_batch(0.5, epoch=0, batch=0)
"""


@pytest.mark.parametrize(
    ("end", "last"),
    [("", "COMPLETED "), ("raise ValueError('no data')", "FAILED ValueError: no data")],
)
def test_a_forgotten_session_ends_with_the_interpreter(end, last):
    """A script that never closes its session still says how it ended."""
    ran = subprocess.run(
        [sys.executable, "-c", EXIT + end], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.stdout.strip().split("; ")[-1].strip() == last.strip(), ran.stderr


def test_only_the_first_rank_reports(bridge, monkeypatch):
    """Where several processes train together, one session is enough."""
    monkeypatch.setenv("RANK", "1")
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert bridge.batches == bridge.statuses == []


def test_all_ranks_report_when_asked(bridge, monkeypatch):
    """Each has a session of its own, and a label that they share."""
    monkeypatch.setenv("RANK", "3")
    with TrainingSession(bridge, session_id="big", ranks="all") as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert session.session_id == "big-rank3"
    assert dict(bridge.identity.labels) == {"rank": "3", "group": "big"}
    assert len(bridge.batches) == 1


def test_a_closed_session_keeps_nothing_alive(bridge):
    """Neither a session nor the arrays it was given outlive it."""

    class Loss(float):
        pass

    loss = Loss(0.5)
    session = TrainingSession(bridge)
    session.log_batch(loss, epoch=0, batch=0)
    session.close()
    seen = weakref.ref(loss)

    del loss

    assert seen() is None


@pytest.mark.parametrize("session_id", ["../../x", "a b", "x" * 64, "-x"])
def test_an_impossible_name_is_refused_at_once(session_id):
    """What no bridge would accept is reported while the run is being set up."""
    with pytest.raises(ValueError, match="session_id"):
        TrainingSession(session_id=session_id)


HOSTILE = [
    type("NoModule", (), {"__module__": None})(),
    type("Meta", (type,), {"__getattr__": lambda cls, name: 1 / 0})("Odd", (), {})(),
    type("Meta", (type,), {"__hash__": lambda cls: 1 / 0})("Unhashable", (), {})(),
]


@pytest.mark.parametrize("value", HOSTILE, ids=["module", "attributes", "hash"])
def test_a_hostile_type_costs_its_value(bridge, value):
    """Whatever a class makes of questions to itself, not only what its values make of questions to them."""
    with TrainingSession(bridge) as session:
        session.log_batch(value, epoch=0, batch=0, images=[value, jpeg()], predictions=[1, 1])
        session.log_epoch(0, loss=value, accuracy=0.5)
        session.log_scalars({"a": value, "b": 1.0})
        session.log_status(value)

    assert [(batch.loss, len(batch.predictions)) for batch in bridge.batches] == [(None, 2)]
    assert bridge.batches[0].images == (b"", jpeg())
    assert [(epoch.loss, epoch.accuracy) for epoch in bridge.epochs] == [(None, 0.5)]
    assert dict(bridge.scalars[0].values) == {"b": 1.0}


@pytest.mark.parametrize("status", [4.7, "4", True, 99, np.array([1, 2]), None])
def test_what_is_not_a_status_ends_nothing(bridge, status):
    """Nor does a message that changes afterwards: both are read at the call."""
    message = ["abc"]
    with TrainingSession(bridge) as session:
        session.log_status(status)
        session.log_status(Status.PAUSED, message)
        message.clear()
        session.log_batch(0.5, epoch=0, batch=0)

    assert (Status.PAUSED, "['abc']") in bridge.statuses
    assert len(bridge.batches) == 1
    assert session.stats.left_out == {"statuses: unreadable": 1}


def test_names_that_are_no_text_stay_distinct(bridge):
    """Whatever the order, and whatever becomes of the name afterwards."""

    class Name:
        text = "late"

        def __str__(self):
            return self.text

        __hash__ = object.__hash__

    name = Name()
    with TrainingSession(bridge) as session:
        session.log_scalars({1: 1.0, "1": 2.0, None: 3.0})
        session.log_scalars({"1": 2.0, 1: 1.0})
        session.log_scalars({name: 4.0, "missing": None})
        name.text = "later"

    assert [dict(scalars.values) for scalars in bridge.scalars] == [
        {"1": 2.0, "1 (int)": 1.0, "None": 3.0},
        {"1": 2.0, "1 (int)": 1.0},
        {"late": 4.0},
    ]
    assert session.stats.left_out == {"values['missing']: unreadable": 1}


@pytest.mark.parametrize("count", [-5, 2**40, 1.5])
def test_a_sample_count_that_cannot_be_is_left_out(bridge, count):
    """The samples are counted instead."""
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0, ground_truth=[1, 2, 3], sample_count=count)

    assert bridge.batches[0].sample_count == 3
    assert session.stats.left_out == {"sample_count: unreadable": 1}


@pytest.mark.parametrize("place", [{"epoch": 2**40, "batch": 0}, {"epoch": 0, "batch": -1}])
def test_the_images_of_a_batch_that_cannot_be_sent_are_counted(bridge, place):
    """Given is sent, left out and waiting, whatever the reason."""
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, images=[jpeg()] * 2, **place)
        session.log_batch(0.5, epoch=0, batch=0, images=np.zeros(784))

    stats = session.stats
    assert (stats.images_given, stats.images_waiting, stats.images_unreadable) == (3, 0, 3)

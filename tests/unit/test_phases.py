"""How long a loop was busy with what."""

import pytest

from bridge.lifecycle import Absent, Connected, Disconnected, Ended, SentElsewhere
from bridge.model import (
    Batch,
    Client,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.phases import PhaseClock, Steps
from bridge.protocol import PHASES_LIMIT
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.storage.packed import packed, unpacked
from bridge.succession import follow

START = 1_000_000.0


def session_of(*events, attempt=1):
    """Return a session to which so many (second, event) have happened."""
    session = Session("run", Client(), Config(), now=START, attempt=attempt)
    for second, event in events:
        session.updated_at = START + second
        session.apply(event, START + second)
    return session


def batches(*seconds):
    """Return a batch for each of these seconds."""
    return [(second, Batch(0, number, 0.5)) for number, second in enumerate(seconds)]


def test_without_reports_a_loop_starts_up_until_its_first_batch_and_then_trains():
    """Training counts up to the last step; what follows it is not known to be training yet."""
    session = session_of(*batches(30, 31, 32, 33))

    assert session.phases.name == "training"
    assert session.phase_seconds(START + 40) == {"startup": 30.0, "training": 3.0}


def test_a_loop_that_hangs_is_not_training():
    """After five minutes without a step all the time since the last one is stalled, though heartbeats come."""
    session = session_of(*batches(0, 10, 20))

    assert session.phase_seconds(START + 320) == {"training": 20.0}
    assert session.phase_seconds(START + 321) == {
        "training": 20.0,
        "stalled": 301.0,
    }
    session.apply(Batch(0, 3, 0.5), START + 1_020)
    session.apply(Batch(0, 4, 0.5), START + 1_030)
    assert session.phase_seconds(START + 1_030) == {
        "training": 30.0,
        "stalled": 1_000.0,
    }


def test_slow_batches_are_not_stalled():
    """A batch may take twenty times as long as usual: here a usual one takes four minutes."""
    session = session_of(*batches(0, 240, 480, 720, 720 + 3_000))

    assert session.phase_seconds(START + 3_720) == {"training": 3_720.0}
    session.apply(Batch(0, 9, 0.5), START + 33_720)
    assert session.phase_seconds(START + 33_720)["stalled"] == 30_000.0


def test_statuses_of_a_client_without_phases_imply_them():
    """A pause is idle, and what was trained before and after it is training."""
    session = session_of(
        (5, StatusChange(Status.INITIALIZING)),
        *batches(10, 20),
        (25, StatusChange(Status.PAUSED)),
        (625, StatusChange(Status.RUNNING)),
        *batches(630),
    )

    assert session.phase_seconds(START + 630) == {"startup": 10.0, "training": 20.0, "idle": 600.0}


@pytest.mark.parametrize("event", [Epoch(0, 0.5), Scalars(0, 0, {"a": 1.0})])
def test_a_loop_that_sends_no_batches_trains_once_it_logs_anything(event):
    """There are no steps by which it could stall."""
    session = session_of((60, event), (9_060, event))

    assert session.phase_seconds(START + 10_060) == {"startup": 60.0, "training": 10_000.0}


def test_what_a_client_reports_is_believed():
    """The highest of each phase counts: an older report that comes late, or again, changes nothing."""
    session = session_of(
        (100, Performance(phase="validation", phase_seconds={"training": 50.0, "validation": 7.0})),
        (101, Performance(phase="validation", phase_seconds={"training": 40.0, "validation": 3.0})),
    )

    assert session.phases.name == "validation"
    assert session.phase_seconds(START + 101) == {"training": 50.0, "validation": 7.0}
    assert session.phase_seconds(START + 105)["validation"] == 11.0


def test_a_client_that_counts_stops_training_with_its_last_step():
    """Between two reports its training counts up to the last step, as by its own rule."""
    report = Performance(phase="training", phase_seconds={"startup": 1.0, "training": 9.0})
    session = session_of(*batches(1, 9), (10, report), *batches(12))

    assert session.phase_seconds(START + 14) == {"startup": 1.0, "training": 11.0}


def test_a_client_may_name_its_phases_and_leave_the_counting_to_the_bridge():
    """A loop that validates is not stalled, however long it does."""
    session = session_of(
        *batches(0, 10),
        (12, StatusChange(Status.UNKNOWN, phase="validation")),
        (1_212, StatusChange(Status.UNKNOWN, phase="training")),
        *batches(1_213),
    )

    assert session.phase_seconds(START + 1_213) == {
        "training": 13.0,
        "validation": 1_200.0,
    }


def test_statuses_change_no_phase_that_a_client_names():
    """A pause within a checkpoint is a checkpoint."""
    session = session_of(
        (1, StatusChange(Status.RUNNING, phase="checkpoint")), (2, StatusChange(Status.PAUSED))
    )

    assert session.phases.name == "checkpoint"


def test_no_more_phases_are_kept_than_a_session_may_have():
    """What is beyond them is refused and counted; those that are known go on."""
    clock = PhaseClock(START)
    many = {f"phase-{number:02}": 1.0 for number in range(40)}

    refused = clock.count_refused("", many)
    clock.report("", many, START, Steps())
    again = clock.count_refused("another", {**many, "yet-another": 1.0})
    clock.report("another", {"phase-00": 5.0}, START, Steps())

    assert len({*clock.seconds, clock.name}) == PHASES_LIMIT
    assert refused == 40 - (PHASES_LIMIT - 1)
    assert again == refused + 2
    assert (clock.name, clock.seconds["phase-00"]) == ("startup", 5.0)


def test_an_end_stops_the_clock():
    """Of an attempt that is over nothing goes on, and one that comes back goes on from there."""
    session = session_of(*batches(0, 10), (15, Ended(Stage.ENDED)))
    assert session.phases.name == ""
    assert session.phase_seconds(START + 9_999) == {"training": 15.0}

    session.apply(Connected(), START + 1_000)
    session.apply(Batch(1, 0, 0.5), START + 1_002)

    assert session.phase_seconds(START + 1_002) == {"training": 17.0}


def test_a_lost_attempt_counts_up_to_the_last_sign_of_life():
    """What passed until it was declared lost belongs to no phase of it."""
    session = session_of((0, StatusChange(Status.PAUSED)))
    session.updated_at = START + 50

    session.apply(Ended(Stage.LOST), START + 3_650)

    assert session.phase_seconds(START + 9_999) == {"idle": 50.0}


@pytest.mark.parametrize(
    ("status", "lost"), [(Status.RUNNING, 90.0), (Status.FAILED, 90.0), (Status.COMPLETED, 0.0)]
)
def test_the_time_between_attempts_is_lost(status, lost):
    """From the last sign of life to the next registration, over all attempts; but not after a run that completed."""
    first = session_of((10, StatusChange(status)))
    second = Session("run", Client(), Config(), now=START + 100, attempt=2)
    follow(second, first)
    second.updated_at = START + 200
    third = Session("run", Client(), Config(), now=START + 230, attempt=3)
    follow(third, second)

    assert second.phases.seconds_at(START + 100, Steps()).get("lost", 0.0) == lost
    assert third.phases.seconds_at(START + 230, Steps())["lost"] == lost + 30.0


@pytest.mark.parametrize(
    ("started", "lost"), [(60, 50.0), (5, 90.0), (130, 90.0)], ids=["between", "before", "after"]
)
def test_the_start_of_the_next_process_is_not_lost(started, lost):
    """It counts its start-up itself, before it registers; a clock that says what cannot be is not believed."""
    first = session_of((10, StatusChange(Status.RUNNING)))
    client = Client(started_ms=int((START + started) * 1000))
    second = Session("run", client, Config(), now=START + 100, attempt=2)

    follow(second, first)

    seconds = second.run_phase_seconds(START + 100)
    assert seconds["lost"] == lost
    assert sum(seconds.values()) == 100.0


def test_a_run_adds_up_its_attempts():
    """What each was busy with and what was lost between them is the whole time of the run, so goodput is that of the run."""
    first = session_of(*batches(10, 110))
    first.updated_at = START + 110
    second = Session("run", Client(), Config(), now=START + 150, attempt=2)
    follow(second, first)
    for at in (160, 200):
        second.apply(Batch(0, at, 0.5), START + at)

    seconds = second.run_phase_seconds(START + 200)

    assert seconds == {"startup": 20.0, "training": 140.0, "lost": 40.0}
    assert second.phase_seconds(START + 200)["training"] == 40.0


def test_phases_of_earlier_attempts_are_bounded():
    """A run that names new phases in each attempt keeps the time of all of them under a bounded number of names."""
    clock = PhaseClock(START)
    clock.follow({f"phase{number}": 1.0 for number in range(100)}, 5.0)

    assert len(clock.before) <= PHASES_LIMIT + 1
    assert sum(clock.before.values()) == 105.0


def test_what_went_on_elsewhere_was_not_lost():
    """How long, nobody knows here."""
    moved = session_of(
        (0, Connected()), *batches(1), (2, SentElsewhere()), (2, Disconnected()), (32, Absent())
    )
    back = Session("run", Client(), Config(), now=START + 900, attempt=2)

    follow(back, moved)

    assert "lost" not in back.phase_seconds(START + 900)


def test_nothing_goes_on_for_a_session_that_nobody_hears_of():
    """Its phase ends with its last message, as far as is known."""
    session = session_of((0, Connected()), (5, StatusChange(Status.PAUSED)), (65, Absent()))
    session.updated_at = START + 30

    assert session.phase_seconds(START + 900) == {"startup": 5.0, "idle": 25.0}


def test_a_clock_that_is_set_back_takes_nothing_away():
    """Seconds are counted from the new time on."""
    session = session_of(*batches(100, 110), *batches(50, 60))

    assert session.phase_seconds(START + 60) == {"startup": 100.0, "training": 20.0}


def test_phases_survive_a_restart():
    """They go on where they were."""
    session = session_of(
        (5, StatusChange(Status.RUNNING, phase="validation")),
        (9, Performance(batches=7, step=70)),
    )
    session.phases.before = {"lost": 3.0, "training": 60.0}

    restored = session_from(unpacked(packed(snapshot_of(session))))

    assert restored.phase_seconds(START + 20) == session.phase_seconds(START + 20)
    assert restored.run_phase_seconds(START + 20) == session.run_phase_seconds(START + 20)
    assert (restored.step, restored.steps) == (70, Steps(START + 9, 7))


def test_a_session_of_an_older_version_counts_from_its_last_message():
    """What its loop was busy with before that is not known."""
    state = snapshot_of(session_of(*batches(10, 500)))
    del state["phases"]

    restored = session_from(state)

    assert restored.phases.name == "training"
    assert restored.phase_seconds(START + 500) == {"training": 0.0}


def test_a_process_that_sends_no_batches_makes_progress_by_their_number():
    """A rank that reports lightly: the same number again is not a step."""
    session = session_of(
        (10, Performance(batches=4, step=40)), (15, Performance(batches=4, step=40))
    )

    assert (session.batches, session.step, session.stepped_at) == (4, 40, START + 10)
    assert session.phases.name == "training"


def test_steps_and_tokens_are_counted():
    """The step is that of the last batch, also where it goes back; tokens add up."""
    session = session_of(
        (1, Batch(0, 0, 0.5, step=7, tokens=100)), (2, Batch(0, 0, 0.5, step=5, tokens=11))
    )

    assert (session.step, session.tokens) == (5, 111)

"""Tests of what each event does to the series of its session."""

import gc
import math
import re
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.series import NOON, OPENMETRICS, Scene

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import (
    Absent,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Expired,
    Registered,
    SentElsewhere,
)
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Heartbeat,
    Image,
    ImageResult,
    Level,
    Occurrence,
    Performance,
    Prediction,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sinks.metrics.families import TRAINING_FAMILIES
from bridge.sinks.metrics.series import STATUSES
from bridge.storage.packed import packed, unpacked

NAN, INF = math.nan, math.inf
FLOATS = st.floats(width=32)


@pytest.fixture
def scene():
    """An empty bridge at noon."""
    return Scene()


def test_a_registered_session_shows_only_what_is_known(scene):
    """Values that were never reported are absent, not 0."""
    scene.session()

    names = {family.name for family in scene.families() if family.name.startswith("training_")}

    assert names == {
        "training_session_info",
        "training_session_status",
        "training_session_connected",
        "training_session_start_timestamp_seconds",
        "training_attempt",
        "training_phase",
        "training_phase_seconds",
        "training_batches",
        "training_epochs_completed",
        "training_nonfinite_values",
    }


def test_every_family_is_fed(scene):
    """Each family of the table is on the page once a session has reported everything."""
    session = scene.session(config=Config(3, 10, 32, "m", "d", ("cat", "dog")))
    gpu = Gpu(0, "GPU-1", 0.5, 1.0, 2.0, 3.0, 4.0, ("power",), 1, 2, 1.98e9)
    scene.tell(
        session,
        Batch(1, 2, 0.5, (), 0, (Prediction(0, 0.9),), (0,), 0.1),
        Batch(1, 3, -0.5),
        Epoch(1, 0.5, 0.9, 0.6, 0.8, 0.01),
        Performance(0.1, 2.0, 3.0, 4.0, 5.0, Resources(1.0, 2.0, (gpu,))),
        Batch(1, 4, None, step=4, tokens=512),
        Scalars(1, 2, {"cer": 1.5, "gradient_norm": 2.0, "mfu": 0.4}, split="train"),
        Occurrence("lr drop", "", Level.INFO, {}, 1, 2),
        CommandSent("c1", CommandType.PAUSE_TRAINING, {}),
    )
    scene.settle("run-1", ImageResult.STORED, 1, NOON)

    shown = {family.name for family in scene.families()}

    assert {family.name.removesuffix("_total") for family in TRAINING_FAMILIES} <= shown


def test_the_info_tells_client_and_configuration(scene):
    """Who, what, the trace and the client's own labels stand on one series of value 1."""
    session = scene.session(
        client=Client("sdk", "1.2", labels={"team": "vision"}), config=Config(0, 0, 0, "m", "d")
    )

    info = scene.values("training_session_info")

    assert info == {
        (
            ("client_name", "sdk"),
            ("client_version", "1.2"),
            ("dataset_name", "d"),
            ("label_team", "vision"),
            ("model_name", "m"),
            ("trace_id", session.trace_id),
        ): 1.0
    }


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (
            Client(run_id="night", rank=0, world_size=4),
            {"run_id": "night", "rank": "0", "world_size": "4"},
        ),
        (Client(run_id="night"), {"run_id": "night"}),
        (Client(), {}),
    ],
)
def test_the_info_has_the_place_in_a_run_as_far_as_it_is_reported(scene, client, expected):
    """Rank 0 is a rank; a session on its own has no label more than before."""
    scene.session(client=client)

    ((labels, _),) = scene.values("training_session_info").items()

    shown = {name: value for name, value in labels if name in ("run_id", "rank", "world_size")}
    assert shown == expected


def test_a_configuration_may_come_later(scene):
    """A status with a configuration changes what that reports, and there is still one info."""
    session = scene.session(config=Config(5, 10, 32))

    scene.tell(session, StatusChange(Status.RUNNING, config=Config(9, 0, 64, "late")))

    assert scene.value("training_epochs_planned") == 9
    assert scene.value("training_batches_per_epoch") == 10
    assert scene.value("training_batch_size") == 64
    assert [dict(labels)["model_name"] for labels in scene.values("training_session_info")] == [
        "late"
    ]


def test_one_status_is_current(scene):
    """The last status reported is 1, all others are 0."""
    session = scene.session()

    scene.tell(session, StatusChange(Status.RUNNING), StatusChange(Status.PAUSED))

    reported = {dict(k)["status"]: v for k, v in scene.values("training_session_status").items()}
    assert reported == {status: float(status == Status.PAUSED) for status in STATUSES}


def test_connected_follows_the_stream(scene):
    """1 while there is a stream; 0 before, after, and once the session is over."""
    session = scene.session()
    seen = [scene.value("training_session_connected")]
    for event in (Connected(), Disconnected(), Connected(), Ended(Stage.ENDED)):
        scene.tell(session, event)
        seen.append(scene.value("training_session_connected"))

    assert seen == [0, 1, 0, 1, 0]


def test_the_last_update_is_when_the_last_message_came(scene):
    """Heartbeats count as messages; what the bridge itself observes does not."""
    session = scene.session()
    scene.now += 5
    scene.tell(session, Heartbeat())
    scene.now += 5
    scene.tell(session, Disconnected())

    assert scene.value("training_session_start_timestamp_seconds") == NOON
    assert scene.value("training_session_last_update_timestamp_seconds") == NOON + 5


def test_a_batch_moves_position_loss_and_count(scene):
    """Gauges show the last batch, the counter all of them."""
    session = scene.session()

    scene.tell(session, Batch(1, 4, 2.5), Batch(1, 5, 0.25))

    assert scene.value("training_epoch") == 1
    assert scene.value("training_batch") == 5
    assert scene.value("training_loss") == 0.25
    assert scene.value("training_batches_total") == 2
    assert scene.value("training_batch_loss_sum") == 2.75
    assert scene.value("training_batch_loss_bucket", le="0.5") == 1
    assert scene.value("training_batch_loss_bucket", le="5.0") == 2


def test_a_spike_shows_between_scrapes(scene):
    """The extremes of the last 15 s hold what the gauge has moved on from."""
    session = scene.session()
    for loss in (0.5, 40.0, 0.25, 0.5):
        scene.tell(session, Batch(0, 0, loss))
    scene.now += 15

    assert scene.value("training_loss") == 0.5
    assert scene.value("training_loss_interval_max") == 40
    assert scene.value("training_loss_interval_min") == 0.25

    scene.now += 15
    assert scene.value("training_loss_interval_max") is None


@given(st.lists(FLOATS, max_size=20), st.lists(FLOATS, max_size=20))
def test_nothing_non_finite_enters_a_sum_or_a_count(losses, others):
    """Gauges show NaN, counters and histograms never take it, and each one is counted."""
    scene = Scene()
    session = scene.session()
    for loss in losses:
        scene.tell(session, Batch(0, 0, loss, duration_seconds=loss))
    for value in others:
        scene.tell(
            session,
            Batch(0, 0, 1.0, (), 0, (Prediction(0, value),), (0,)),
            Epoch(0, value, value, value, value, value),
            Performance(value, value, value, value, value, Resources(value, value)),
            Scalars(0, 0, {"x": value}),
        )

    bad = sum(not math.isfinite(value) for value in losses)
    others_bad = sum(not math.isfinite(value) for value in others)
    counts = scene.values("training_nonfinite_values_total")
    confident = scene.value("training_prediction_confidence_count", correct="true") or 0.0
    assert counts[("field", "batch_loss"),] == bad
    assert counts.get((("field", "average_loss"),), 0) == others_bad
    assert counts.get((("field", "confidence"),), 0) == others_bad
    assert counts.get((("field", "values"),), 0) == others_bad
    assert confident == sum(0 <= value <= 1 for value in others)
    for family in scene.families():
        if family.name.startswith("training_") and family.type in ("counter", "histogram"):
            assert all(math.isfinite(sample.value) for sample in family.samples)


def test_a_loss_that_is_not_a_number_is_shown(scene):
    """The gauge shows NaN and infinities as they are."""
    session = scene.session()
    shown = []
    for loss in (NAN, INF, -INF):
        scene.tell(session, Batch(0, 0, loss))
        shown.append(
            next(
                line.split()[1]
                for line in scene.page().splitlines()
                if line.startswith("training_loss{")
            )
        )

    assert shown == ["NaN", "+Inf", "-Inf"]


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (Batch(0, 0, 1.0, sample_count=256, ground_truth=(1, 2)), 256),
        (Batch(0, 0, 1.0, ground_truth=(1, 2)), 2),
        (Batch(0, 0, 1.0, predictions=(Prediction(0, 0.5),) * 3), 3),
        (Batch(0, 0, 1.0, images=(Image(0, b""),) * 4, invalid_images=1), 5),
        (Batch(0, 0, 1.0), None),
    ],
)
def test_samples_are_counted_by_the_best_that_is_known(scene, batch, samples):
    """The count reported, else truths, predictions or images; nothing reported is nothing shown."""
    scene.tell(scene.session(), batch)

    assert scene.value("training_samples_total") == samples


def test_a_duration_is_never_counted_twice(scene):
    """Once batches tell their own time, what PerformanceData says of it is left out."""
    session = scene.session()
    performance = Performance(0.5, 0, 0, 0, 0)

    scene.tell(session, performance, performance)
    assert scene.value("training_batch_duration_seconds_count") == 2

    scene.tell(session, Batch(0, 0, 1.0, duration_seconds=0.25), performance)
    assert scene.value("training_batch_duration_seconds_count") == 3
    assert scene.value("training_batch_duration_seconds_sum") == 1.25


def test_a_measurement_is_shown_while_it_is_reported(scene):
    """What the newest PerformanceData lacks is unknown from then on: an old value is not a current one, and neither is 0."""
    session = scene.session()
    gpus = (Gpu(0, "a", 0.0, 1.0), Gpu(1, "b", 0.5))
    scene.tell(session, Performance(0.1, 2.0, 3.0, 4.0, 5.0, Resources(1.0, 2.0, gpus)))
    names = (
        *("training_epoch_duration_seconds", "training_estimated_time_remaining_seconds"),
        *("training_frames_per_second", "training_frames_per_second_average"),
        *("training_cpu_utilization_ratio", "training_memory_used_bytes"),
        *("training_gpu_utilization_ratio", "training_gpu_memory_used_bytes"),
    )
    assert all(scene.values(name) for name in names)

    scene.tell(session, Performance(resources=Resources(None, 2.0, (Gpu(0, "a", 0.25),))))
    assert [name for name in names if scene.values(name)] == [
        "training_memory_used_bytes",
        "training_gpu_utilization_ratio",
    ]
    assert list(scene.values("training_gpu_utilization_ratio").values()) == [0.25]

    scene.tell(session, Performance(frames_per_second=30.0))
    assert [name for name in names if scene.values(name)] == ["training_frames_per_second"]


@pytest.mark.parametrize(
    "event",
    [
        *(StatusChange(Status.PAUSED), StatusChange(Status.COMPLETED)),
        *(Ended(Stage.LOST), Absent()),
    ],
    ids=str,
)
def test_only_a_run_that_goes_on_has_time_remaining(scene, event):
    """The last estimate of a run that is over, paused or silent stays true of nothing."""
    session = scene.session()
    scene.tell(session, StatusChange(Status.RUNNING), Performance(0, 0, 90.0, 0, 0))
    assert scene.value("training_estimated_time_remaining_seconds") == 90.0

    scene.tell(session, event)

    assert not scene.values("training_estimated_time_remaining_seconds")


def test_epochs_are_counted_and_their_averages_shown(scene):
    """What an epoch does not tell keeps its last value."""
    session = scene.session()

    scene.tell(session, Epoch(1, 0.5, 0.9, 0.6, 0.8, 0.01), Epoch(2, 0.25, 0.95))

    assert scene.value("training_epochs_completed_total") == 2
    assert scene.value("training_epoch_loss") == 0.25
    assert scene.value("training_epoch_accuracy_ratio") == 0.95
    assert scene.value("training_validation_loss") == 0.6
    assert scene.value("training_learning_rate") == 0.01


def test_a_rank_that_sends_no_batches_is_counted_by_its_own_number(scene):
    """It is the sum so far, so one that comes late or twice changes nothing."""
    session = scene.session()

    for batches in (40, 90, 90, 60):
        scene.tell(session, Performance(batches=batches))

    assert scene.value("training_batches_total") == 90


def test_each_gpu_has_its_series(scene):
    """By index and UUID; what a GPU does not tell is absent, and another card in its place replaces it."""
    session = scene.session()
    first, second = Gpu(0, "GPU-a", 0.5, power_watts=300.0), Gpu(1, "GPU-b", 0.25)
    scene.tell(session, Performance(0, 0, 0, 0, 0, Resources(1.0, 1.0, (first, second))))
    assert scene.value("training_gpu_utilization_ratio", gpu="1", gpu_uuid="GPU-b") == 0.25
    assert len(scene.values("training_gpu_power_watts")) == 1

    scene.tell(session, Performance(0, 0, 0, 0, 0, Resources(1.0, 1.0, (Gpu(0, "GPU-c", 0.75),))))
    assert scene.value("training_gpu_utilization_ratio", gpu="0", gpu_uuid="GPU-c") == 0.75
    assert len(scene.values("training_gpu_utilization_ratio")) == 1
    assert scene.values("training_gpu_power_watts") == {}


def test_why_a_gpu_is_throttled_is_shown_by_reason(scene):
    """0 for each known reason that does not apply; one that is unknown counts as other, so no client makes series."""
    session = scene.session()
    gpu = Gpu(0, "GPU-a", throttle_reasons=("thermal", "the moon", "the sun"))
    scene.tell(session, Performance(resources=Resources(None, None, (gpu, Gpu(1, "GPU-b")))))

    shown = {
        dict(labels)["reason"]: value
        for labels, value in scene.values("training_gpu_throttled").items()
    }
    assert {reason for reason, value in shown.items() if value} == {"thermal", "other"}
    assert len(shown) == 7
    assert scene.value("training_gpu_throttled", gpu="0", gpu_uuid="GPU-a", reason="power") == 0

    idle = Gpu(0, "GPU-a", throttle_reasons=())
    scene.tell(session, Performance(resources=Resources(None, None, (idle,))))
    assert sum(scene.values("training_gpu_throttled").values()) == 0

    scene.tell(session, Performance(resources=Resources(None, None, (Gpu(0, "GPU-a"),))))
    assert scene.values("training_gpu_throttled") == {}


def test_gpu_errors_that_are_not_reported_are_absent(scene):
    """No errors is one thing, not reported another."""
    session = scene.session()
    gpus = (Gpu(0, "GPU-a", ecc_errors=0, xid_errors=2), Gpu(1, "GPU-b"))
    scene.tell(session, Performance(resources=Resources(None, None, gpus)))

    assert list(scene.values("training_gpu_ecc_errors_total").values()) == [0]
    assert list(scene.values("training_gpu_xid_errors_total").values()) == [2]
    assert scene.values("training_gpu_sm_clock_hertz") == {}


def test_gpus_are_bounded(scene):
    """A client that makes up GPUs gets 64 of them; the rest is counted as dropped."""
    session = scene.session()
    gpus = tuple(Gpu(i, f"GPU-{i}", 0.5) for i in range(100))

    scene.tell(session, Performance(0, 0, 0, 0, 0, Resources(1.0, 1.0, gpus)))

    assert len(scene.values("training_gpu_utilization_ratio")) == 64
    assert scene.dropped("gpu", "limit") == 36


def test_predictions_count_by_true_and_predicted_class(scene):
    """Right ones start at 0 for the classes known, so that a recall has both its parts at once."""
    session = scene.session(config=Config(class_names=("cat", "dog", "owl")))
    predictions = (Prediction(0, 0.95), Prediction(1, 0.55), Prediction(1, 0.65))

    scene.tell(session, Batch(0, 0, 1.0, (), 0, predictions, (0, 0, 1)))

    counts = {
        tuple(dict(labels).values()): count  # correct, predicted_class, true_class
        for labels, count in scene.values("training_predictions_total").items()
    }
    assert counts == {
        ("true", "0", "0"): 1,
        ("false", "1", "0"): 1,
        ("true", "1", "1"): 1,
        ("true", "2", "2"): 0,
    }
    assert scene.value("training_prediction_confidence_count", correct="true") == 2
    assert scene.value("training_prediction_confidence_bucket", correct="false", le="0.6") == 1
    assert scene.metrics.confusion("run-1") == {
        ("0", "0"): 1,
        ("0", "1"): 1,
        ("1", "1"): 1,
        ("2", "2"): 0,
    }


def test_predictions_without_truth_tell_their_confidence_only(scene):
    """Nobody can say whether they are right, so they are in no matrix."""
    scene.tell(scene.session(), Batch(0, 0, 1.0, predictions=(Prediction(0, 0.5),) * 2))

    assert scene.value("training_prediction_confidence_count", correct="unknown") == 2
    assert scene.values("training_predictions_total") == {}
    assert scene.metrics.confusion("run-1") == {}


def test_classes_above_the_cap_are_others():
    """A thousand classes cost a bounded number of series, and no prediction is lost."""
    scene = Scene(classes_limit=4)
    session = scene.session(config=Config(class_names=tuple(map(str, range(1_000)))))
    for number in range(1_000):
        scene.tell(
            session,
            Batch(0, 0, 1.0, (), 0, (Prediction(number, 0.5), Prediction(7, 0.5)), (number, 900)),
        )

    counts = scene.values("training_predictions_total")
    right = sum(count for labels, count in counts.items() if ("correct", "true") in labels)

    assert len(counts) <= 4 * 4 + 2 * 4 + 2
    assert sum(counts.values()) == 2_000
    assert right == 1_000
    assert scene.metrics.confusion("run-1")[("other", "other")] == 996 + 1_000


def test_numbers_of_the_user_are_bounded(scene):
    """Fifty names stay, those behind them are counted as dropped, and known ones still move."""
    session = scene.session()
    scene.tell(session, Scalars(0, 0, {f"n{i:04}": 1.0 for i in range(2_000)}))
    scene.tell(session, Scalars(0, 0, {"n0007": 7.0, "late": 1.0}))

    assert len(scene.values("training_metric")) == 50
    assert scene.value("training_metric", name="n0007") == 7
    assert scene.value("training_metric", name="late") is None
    assert scene.dropped("scalar", "names_limit") == 1_951


def test_numbers_of_the_user_get_plain_names(scene):
    """What a link would have to escape becomes an underscore."""
    scene.tell(scene.session(), Scalars(0, 0, {'loss/trän "1"%\n': 1.0}))

    [[(_, name)]] = scene.values("training_metric")
    assert re.fullmatch("loss/trän__1___~[0-9a-f]{10}", name)


def test_images_are_counted_by_what_became_of_them(scene):
    """All results start together; the newest stored one has a time that never goes back."""
    scene.session()
    scene.settle("run-1", ImageResult.STORED, 16, NOON + 9)
    scene.settle("run-1", ImageResult.STORED, 16, NOON + 3)
    scene.settle("run-1", ImageResult.SAMPLED_OUT, 5, NOON + 20)
    scene.settle("unknown", ImageResult.DROPPED, 1, NOON)

    counts = {dict(k)["result"]: v for k, v in scene.values("training_images_total").items()}
    assert counts == {"stored": 32, "sampled_out": 5, "dropped": 0, "invalid": 0}
    assert scene.value("training_last_image_timestamp_seconds") == NOON + 9


def test_commands_are_counted_with_their_answers(scene):
    """Sent, applied and refused stand side by side from the first command on."""
    session = scene.session()
    order = CommandSent("c1", CommandType.PAUSE_TRAINING, {})
    answer = CommandResult("c1", applied=False, message="", epoch=0, batch=0)

    scene.tell(session, order, order, CommandAnswered(CommandType.PAUSE_TRAINING, answer))

    counts = {
        tuple(dict(k).values()): v for k, v in scene.values("training_commands_total").items()
    }
    assert counts == {
        ("sent", "pause_training"): 2,
        ("applied", "pause_training"): 0,
        ("refused", "pause_training"): 1,
    }


def test_a_resumed_session_continues(scene):
    """Registering the same attempt again loses no count."""
    session = scene.session()
    scene.tell(session, Connected(), Batch(0, 0, 1.0), Registered(), Batch(0, 1, 1.0))

    assert scene.value("training_batches_total") == 2
    assert scene.value("training_session_connected") == 1


def test_a_new_attempt_starts_anew(scene):
    """Counts and trace are those of the new attempt, and what the old one still says is ignored."""
    old = scene.session()
    scene.tell(old, Batch(0, 0, 1.0), Batch(0, 1, 1.0))

    new = scene.session(attempt=2)
    scene.tell(new, Connected(), Batch(0, 0, 3.0))
    scene.tell(old, Batch(0, 2, 9.0), Disconnected(), Expired())

    info = scene.values("training_session_info")
    assert scene.value("training_batches_total") == 1
    assert scene.value("training_loss") == 3
    assert scene.value("training_session_connected") == 1
    assert [dict(labels)["trace_id"] for labels in info] == [new.trace_id]


def samples(page):
    """Return what a page says of sessions."""
    return sorted(line for line in page.splitlines() if "session_id" in line)


def test_a_session_from_before_a_restart_goes_on(scene):
    """Every series is what it was, and counts on."""
    session = scene.session(config=Config(class_names=("cat", "dog")))
    gpu = Gpu(0, "u", 0.5)
    events = (
        StatusChange(Status.RUNNING),
        Batch(
            1,
            7,
            0.5,
            predictions=(Prediction(0, 0.75), Prediction(1, math.nan)),
            ground_truth=(0, 0),
        ),
        Batch(1, 8, math.inf, duration_seconds=0.25),
        Epoch(1, 0.5, 0.25),
        Performance(0.5, 1.0, 2.0, 3.0, 4.0, Resources(1.0, 2.0, (gpu,))),
        Scalars(1, 8, {"gradient": 2.0, "mfu": 0.25, "gradient_norm": 1.5}),
        Scalars(1, 8, {"gradient": 3.0}, 18, "train"),
        Occurrence("lr drop", "", Level.INFO, {}, 1, 8),
        CommandSent("c", CommandType.PAUSE_TRAINING, {}),
    )
    scene.tell(session, *events)
    for event in events:
        session.apply(event, NOON)
    page = scene.page(OPENMETRICS)
    restored = session_from(unpacked(packed(snapshot_of(session))))
    restored.restored_state = {"series": unpacked(packed(scene.metrics.snapshot(session)))}

    scene.tell(restored, Registered())

    assert samples(scene.page(OPENMETRICS)) == samples(page)
    scene.tell(restored, Batch(1, 9, 0.25))
    assert scene.value("training_batches_total") == 3
    assert scene.value("training_batch_loss_count") == 2


def test_an_ended_session_lingers(scene):
    """Its series stay until it expires, then none is left."""
    session = scene.session()
    scene.tell(session, Batch(0, 0, 1.0), Ended(Stage.ENDED))
    assert 'session_id="run-1"' in scene.page()

    scene.tell(session, Expired())
    assert "run-1" not in scene.page()
    assert scene.metrics.confusion("run-1") == {}
    assert len(scene.metrics) == 0


def test_nothing_brings_an_expired_session_back_but_a_message(scene):
    """What the bridge notices late, as the end of a stream, opens no series."""
    session = scene.session()
    scene.tell(session, Expired(), Expired(), Disconnected(), Ended(Stage.LOST))

    assert len(scene.metrics) == 0


def test_an_expired_session_leaves_no_memory(scene):
    """The sink holds on to nothing of it."""
    session = scene.session(client=Client(labels={"a": "b"}))
    scene.tell(session, Batch(0, 0, 1.0), Scalars(0, 0, {"x": 1.0}))
    scene.page()
    held = weakref.ref(session)

    scene.tell(session, Expired())
    del session
    gc.collect()

    assert held() is None


def test_random_session_ids_do_not_grow_the_state(scene):
    """A hundred thousand sessions that come and go leave the sink as it was."""
    for number in range(100_000):
        session = Session(f"run-{number}", Client(), Config(), now=NOON)
        scene.tell(session, Registered(), Expired())

    assert len(scene.metrics) == 0
    assert "run-" not in scene.page()


def test_hostile_labels_do_not_break_the_page(scene):
    """Quotes, newlines, braces, NUL and lone surrogates stay inside the label they came in."""
    evil = '"} 1\n# EOF\nup{a="\ud800\0\\'
    scene.session(
        client=Client(evil, evil, labels={evil: evil, "job": "x"}),
        config=Config(0, 0, 0, evil, evil, (evil,)),
    )

    info = scene.values("training_session_info")
    in_openmetrics = scene.values("training_session_info", scene.openmetrics())

    assert len(info) == 1
    assert info == in_openmetrics
    assert dict(next(iter(info)))["model_name"] == '"} 1\n# EOF\nup{a="?\N{REPLACEMENT CHARACTER}\\'
    assert scene.page().count("\0") == 0


@given(st.text(st.characters(), max_size=80), st.text(st.characters(), max_size=80))
def test_any_label_is_read_back_by_both_parsers(name, value):
    """Both formats are parsed, and tell the same, whatever a client calls itself."""
    scene = Scene()
    scene.session(client=Client(value, labels={name: value}))

    info = scene.values("training_session_info")

    assert len(info) == 1
    assert info == scene.values("training_session_info", scene.openmetrics())


def test_images_of_an_older_attempt_are_not_counted_for_the_next(scene):
    """They come late, when its series are gone."""
    scene.session()
    scene.session(attempt=2)
    scene.settle("run-1", ImageResult.STORED, 16, NOON, attempt=1)
    scene.settle("run-1", ImageResult.STORED, 4, NOON, attempt=2)

    assert scene.value("training_images_total", result="stored") == 4


@pytest.mark.parametrize("step", [7_200, -7_200, -1_500_000_000])
def test_a_clock_that_is_set_hides_no_extreme(step):
    """A spike stays for its 15 s, and goes after 30, whatever the wall clock says meanwhile."""
    wall, steady = [NOON], [600.0]
    scene = Scene(clock=lambda: wall[0], monotonic=lambda: steady[0])
    session = scene.session()
    scene.metrics.consume(session, Batch(0, 0, 40.0), wall[0])
    wall[0] += step
    for _ in range(14):
        wall[0] += 1
        steady[0] += 1
        scene.metrics.consume(session, Batch(0, 0, 0.5), wall[0])
        assert scene.value("training_loss_interval_max") == 40

    steady[0] += 2
    scene.metrics.consume(session, Batch(0, 0, 0.5), wall[0])
    steady[0] += 14
    assert scene.value("training_loss_interval_max") == 0.5


def test_an_image_time_from_the_future_gives_way(scene):
    """Once the clock is right again the newest image's time is, too."""
    scene.session()
    scene.settle("run-1", ImageResult.STORED, 1, NOON + 1_000_000)
    scene.settle("run-1", ImageResult.STORED, 1, NOON - 1)

    assert scene.value("training_last_image_timestamp_seconds") == NOON - 1


def test_names_in_any_script_are_series_of_their_own(scene):
    """Both parsers read back what the user wrote, and each number under its own name."""
    names = {"损失": 0.5, "精度": 0.9, "a b": 1.0, "a_b": 2.0, "a\tb": 3.0, "": 4.0, "é": 5.0, "e\u0301": 6.0}  # fmt: skip  # a list of values
    scene.tell(scene.session(), Scalars(0, 0, names))

    shown = scene.values("training_metric")
    assert sorted(shown.values()) == sorted(names.values())
    assert shown[(("name", "损失"),)] == 0.5
    assert shown == scene.values("training_metric", scene.openmetrics())


def test_a_label_left_out_is_counted_once(scene):
    """Not again with each status, registration or restart: the count says how many labels there were."""
    session = scene.session(client=Client(labels={f"l{n:02}": "x" for n in range(18)}))
    assert scene.dropped("label", "limit") == 2
    for _ in range(4):
        scene.tell(session, StatusChange(Status.RUNNING, config=Config(1)), Registered())
    session.client = Client(labels=dict(session.client.labels))
    scene.tell(session, Registered())
    assert scene.dropped("label", "limit") == 2

    restored = session_from(unpacked(packed(snapshot_of(session))))
    restored.restored_state = {"series": unpacked(packed(scene.metrics.snapshot(session)))}
    scene.tell(restored, Registered(), StatusChange(Status.RUNNING, config=Config(1)))
    assert scene.dropped("label", "limit") == 2


def test_a_plain_session_has_eight_series_more_than_without_phases(scene):
    """Attempt, last batch, two phases and their seconds, and what was lost; and `disconnected` as a status."""
    session = scene.session()
    scene.tell(session, StatusChange(Status.RUNNING))
    scene.now += 3
    scene.tell(session, Batch(0, 0, 0.5))

    assert scene.values("training_phase") == {
        (("phase", "startup"),): 0.0,
        (("phase", "training"),): 1.0,
    }
    assert scene.values("training_phase_seconds_total") == {
        (("phase", "lost"),): 0.0,
        (("phase", "startup"),): 3.0,
        (("phase", "training"),): 0.0,
    }
    assert scene.value("training_attempt") == 1
    assert scene.value("training_last_batch_timestamp_seconds") == NOON + 3


def test_seconds_of_a_phase_never_fall(scene):
    """What a scrape has seen of a phase that still lasts stays, though the client's own count is less."""
    session = scene.session()
    scene.tell(session, Performance(phase="idle", phase_seconds={"idle": 10.0}))
    scene.now += 7
    seen = scene.value("training_phase_seconds_total", phase="idle")
    scene.tell(session, Performance(phase="training", phase_seconds={"idle": 15.0}))

    assert seen == 17.0
    assert scene.value("training_phase_seconds_total", phase="idle") == 17.0


def test_a_hung_loop_shows_its_phase_and_counts_as_stalled(scene):
    """An alert asks for the phase; goodput asks for the seconds."""
    session = scene.session()
    scene.tell(session, Batch(0, 0, 0.5))
    scene.now += 400
    scene.tell(session, Heartbeat(), Performance(frames_per_second=1.0))

    assert scene.value("training_phase", phase="training") == 1
    assert scene.value("training_phase", phase="stalled") is None
    assert scene.value("training_phase_seconds_total", phase="stalled") == 400
    assert scene.value("training_last_batch_timestamp_seconds") == NOON


def test_a_session_that_nobody_hears_of_is_in_no_phase(scene):
    """Like its status: a copy that a run has left never says that it trains. When it is back, it does again."""
    session = scene.session()
    scene.tell(session, Connected(), Batch(0, 0, 0.5), Disconnected(), Absent())
    assert scene.values("training_phase") == {(("phase", "training"),): 0.0}

    scene.tell(session, Connected(), Batch(0, 1, 0.5))
    assert scene.value("training_phase", phase="training") == 1


def test_phases_beyond_the_limit_are_counted(scene):
    """A client cannot make series without bound."""
    session = scene.session()
    scene.tell(session, Performance(phase_seconds={f"p{number}": 1.0 for number in range(40)}))

    assert len(scene.values("training_phase_seconds_total")) == 17
    assert scene.dropped("phase", "names_limit") == 25


def statuses(scene):
    """Return the status whose series is 1, and all that have a series."""
    values = {dict(k)["status"]: v for k, v in scene.values("training_session_status").items()}
    return [name for name, value in values.items() if value], set(values)


def test_a_session_that_nobody_hears_of_is_disconnected_and_nothing_else(scene):
    """A stale copy never says running; the next stream brings back what it was."""
    session = scene.session()
    scene.tell(session, Connected(), StatusChange(Status.RUNNING), Disconnected())
    assert statuses(scene) == (["running"], set(STATUSES))

    scene.tell(session, Absent())
    assert statuses(scene)[0] == ["disconnected"]
    restored = session_from(unpacked(packed(snapshot_of(session))))
    again = Scene()
    again.tell(restored, Registered())
    assert statuses(again) == (["disconnected"], set(STATUSES))
    scene.tell(session, Connected())
    assert statuses(scene)[0] == ["running"]


@pytest.mark.parametrize("ending", [Status.STOPPED, Status.INTERRUPTED, Status.TERMINATED])
def test_other_endings_appear_when_they_happen(scene, ending):
    """Nine series of a status for each session would be too many."""
    session = scene.session()
    scene.tell(session, StatusChange(Status.RUNNING))
    assert statuses(scene) == (["running"], set(STATUSES))

    scene.tell(session, StatusChange(ending), Ended(Stage.ENDED))

    assert statuses(scene) == ([str(ending)], {*STATUSES, str(ending)})


def test_a_lost_session_is_lost(scene):
    """Not running, as it said last, and not disconnected; one that is heard of again is what it was."""
    session = scene.session()
    scene.tell(session, Connected(), StatusChange(Status.RUNNING), Disconnected(), Absent())
    scene.tell(session, Ended(Stage.LOST))
    assert statuses(scene)[0] == ["lost"]

    scene.tell(session, Connected())

    assert statuses(scene)[0] == ["running"]


def test_a_session_that_went_on_elsewhere_has_no_series(scene):
    """Also after a restart of this bridge; with the stream that comes back they go on where they were."""
    session = scene.session()
    scene.tell(session, Connected(), Batch(0, 0, 0.5), SentElsewhere())
    assert scene.value("training_batches_total") == 1
    scene.tell(session, Disconnected())
    assert scene.value("training_batches_total") is None

    scene.tell(session, Absent())
    assert scene.values("training_session_status") == {}
    scene.tell(session, Connected(), Batch(0, 1, 0.5))
    assert scene.value("training_batches_total") == 2

"""Whatever numbers a client sends, every parser takes the page, and no counter or sum ever falls."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.series import Scene

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import Registered
from bridge.model import Batch, Performance, Prediction, Scalars
from bridge.session_snapshot import session_from, snapshot_of
from bridge.storage.packed import packed, unpacked

LOSSES = st.one_of(
    st.floats(width=32),
    st.floats(-10, 10),
    st.sampled_from(
        [
            0.0,
            -0.0,
            5e-324,
            -5e-324,
            1e-45,
            -1e-45,
            3.4e38,
            -3.4e38,
            1e308,
            -1e308,
            math.nan,
            math.inf,
            -math.inf,
            0.001,
            -0.001,
            1000.0,
            -1000.0,
        ]
    ),
)
SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def batch_of(value):
    """Return a batch in which every number is this one."""
    guesses = (Prediction(0, value), Prediction(1, value))
    return Batch(1, 2, value, (), 0, guesses, (0, 0), value)


def counters(scene):
    """Return what must never fall, as the strict parser of OpenMetrics reads it."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in scene.openmetrics()
        for sample in family.samples
        if family.type in ("counter", "histogram")
        and sample.name.startswith("training_")
        and sample.name.endswith(SUFFIXES)
    }


@given(st.lists(LOSSES, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_number_breaks_the_page_or_lowers_a_count(values):
    """OpenMetrics forbids sums that fall; both formats agree, and counts and sums stay finite and only rise."""
    scene = Scene()
    session = scene.session()
    before = {}
    for value in values:
        gpu = Gpu(0, "u", value, value, value, value, value)
        scene.tell(
            session,
            batch_of(value),
            Batch(1, 2, value, predictions=(Prediction(0, value),)),
            Performance(value, value, value, value, value, Resources(value, value, (gpu,))),
            Scalars(1, 2, {"x": value}),
        )
        now = counters(scene)
        assert scene.families()
        assert all(math.isfinite(number) and number >= 0 for number in now.values())
        assert all(now[key] >= number for key, number in before.items())
        before = now


@given(
    st.lists(LOSSES.filter(lambda loss: abs(loss) < 1e30 or not math.isfinite(loss)), max_size=30)
)
@settings(deadline=None)
def test_the_mean_loss_can_be_had(losses):
    """Sum less negative sum over all counts is the mean of the finite losses, whatever their signs."""
    scene = Scene()
    session = scene.session()
    for loss in losses:
        scene.tell(session, Batch(0, 0, loss))

    finite = [loss for loss in losses if math.isfinite(loss)]
    has_negative = any(loss < 0 for loss in finite)
    parts = [
        scene.value(f"training_batch_loss{name}_{part}")
        for name in ("", "_negative")
        for part in ("sum", "count")
    ]
    assert (parts[0] is not None) == bool(finite)
    assert (parts[2] is not None) == has_negative
    if finite:
        total, count, negative_total, negative_count = (part or 0.0 for part in parts)
        assert count + negative_count == len(finite)
        assert total - negative_total == pytest.approx(
            math.fsum(finite), rel=1e-9, abs=1e-6 * max(map(abs, finite))
        )


def test_a_negative_loss_has_a_bucket_and_an_exemplar_of_its_own():
    """By its magnitude: a policy gradient's spike downwards can be found as well as one upwards."""
    scene = Scene()
    session = scene.session()
    scene.tell(session, Batch(3, 7, -40.0), Batch(3, 8, -0.3))

    [exemplar] = [
        sample.exemplar
        for family in scene.openmetrics()
        for sample in family.samples
        if sample.name == "training_batch_loss_negative_bucket" and sample.labels["le"] == "50.0"
    ]
    assert (exemplar.labels["batch"], exemplar.value) == ("3-7", 40.0)
    assert scene.value("training_batch_loss_count") == 0
    assert scene.value("training_loss") == -0.3
    assert scene.value("training_loss_interval_min") == -40


def test_a_sum_stays_a_number():
    """Two of the largest numbers there are make no infinity, which no later value could leave again."""
    scene = Scene()
    session = scene.session()
    for _ in range(3):
        scene.tell(session, Batch(0, 0, 1e308, duration_seconds=1e308))

    assert scene.value("training_batch_loss_sum") == sys.float_info.max
    assert scene.value("training_batch_duration_seconds_sum") == sys.float_info.max
    assert scene.openmetrics()


def test_what_no_histogram_takes_is_counted():
    """A negative confidence or duration is in no sum, and not lost in silence."""
    scene = Scene()
    session = scene.session()
    scene.tell(
        session,
        Batch(0, 0, 1.0, predictions=(Prediction(0, -0.5), Prediction(0, 1.5))),
        Batch(0, 0, 1.0, (), 0, (Prediction(0, -0.5),), (0,)),
        Batch(0, 1, 1.0, duration_seconds=-1.0),
    )

    assert scene.dropped("confidence", "out_of_range") == 3
    assert scene.dropped("duration", "negative") == 1
    assert scene.value("training_prediction_confidence_count", correct="unknown") is None
    assert scene.value("training_batch_duration_seconds_count") is None


def test_both_loss_histograms_outlive_a_restart():
    """A checkpoint holds both; a sum below zero, which versions before wrote, is not taken up."""
    scene = Scene()
    session = scene.session()
    scene.tell(session, Batch(0, 0, -2.0), Batch(0, 1, 3.0))
    state = unpacked(packed(scene.metrics.snapshot(session)))

    def restarted(state):
        again, restored = Scene(), session_from(unpacked(packed(snapshot_of(session))))
        restored.restored_state = {"series": state}
        again.tell(restored, Registered())
        return again

    again = restarted(state)
    assert again.value("training_batch_loss_sum") == 3
    assert again.value("training_batch_loss_negative_sum") == 2
    state["losses"][2] = -7.0
    assert restarted(state).value("training_batch_loss_sum") == 0
    assert restarted(state).openmetrics()

"""The parts of the demo."""

import math
import threading

import numpy as np
import pytest
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge
from bridge.demo.digits import CLASS_NAMES, load
from bridge.demo.lost_rank import HANG_BATCH, LostRank
from bridge.demo.mishaps import MISHAP_EPOCHS, Mishaps
from bridge.demo.network import Network, cross_entropy
from bridge.demo.summary import Comparison
from bridge.demo.training import MISHAP_BATCHES, DemoOptions, Training


@pytest.fixture(scope="module")
def run():
    """Return what a training of three epochs counted, and what arrived."""
    bridge = RecordingBridge()
    training = Training(DemoOptions(epochs=MISHAP_EPOCHS, step_seconds=0))
    seen = []
    with TrainingSession(bridge, class_names=CLASS_NAMES) as session:
        counts = training.run(session, lambda epoch, loss: seen.append((epoch, loss)))
    return bridge, counts, seen


def test_the_loop_logs_every_batch_and_epoch(run):
    """What the loop counted is what was recorded."""
    bridge, counts, seen = run

    assert counts.batches == len(bridge.batches) == len(seen)
    assert counts.epochs == len(bridge.epochs) == MISHAP_EPOCHS
    assert not counts.stopped


def test_the_network_learns(run):
    """Held-out digits are read better after each epoch than by chance, and nine in ten at the end."""
    bridge, _, _ = run

    accuracies = [epoch.validation_accuracy for epoch in bridge.epochs]
    assert accuracies[0] > 0.5
    assert accuracies[-1] > 0.9


def test_the_mishap_is_a_spike(run):
    """The batches with shuffled labels stand out of their epoch."""
    bridge, _, _ = run

    losses = {b.batch: b.loss for b in bridge.batches if b.epoch == MISHAP_EPOCHS}
    spike = [losses.pop(batch) for batch in MISHAP_BATCHES]
    assert min(spike) > 2 * max(losses.values())


def test_a_run_may_have_no_spikes():
    """Its loss jumps in no epoch."""
    bridge = RecordingBridge()
    options = DemoOptions(epochs=MISHAP_EPOCHS, step_seconds=0, mishaps=Mishaps(spike_every=0))
    with TrainingSession(bridge, class_names=CLASS_NAMES) as session:
        Training(options).run(session, lambda _epoch, _loss: None)

    assert max(b.loss for b in bridge.batches if b.epoch == MISHAP_EPOCHS) < 2


def test_a_run_diverges_where_it_is_said_to():
    """Its losses stay far above those of the epochs before, to the end."""
    bridge = RecordingBridge()
    options = DemoOptions(epochs=7, step_seconds=0, mishaps=Mishaps(diverge_epoch=5))
    with TrainingSession(bridge, class_names=CLASS_NAMES) as session:
        Training(options).run(session, lambda _epoch, _loss: None)

    before, _, *after = [epoch.loss for epoch in bridge.epochs[1:]][2:]
    assert min(after) > 3 * before


def test_a_run_hangs_where_it_is_said_to():
    """Its thread waits in the second epoch without a step, while the session lives; it goes on if the other rank comes."""
    bridge, announced, steps = RecordingBridge(), [], []
    other_rank = LostRank(2, lambda epoch, batch: announced.append((epoch, batch)))
    training = Training(DemoOptions(epochs=2, step_seconds=0), other_rank)
    with TrainingSession(bridge, class_names=CLASS_NAMES) as session:
        progress = (session, lambda epoch, _loss: steps.append(epoch))
        loop = threading.Thread(target=training.run, args=progress)
        loop.start()
        try:
            until_true(lambda: other_rank.meeting.n_waiting == 1)
            done = len(steps)
        finally:
            other_rank.meeting.wait()
            loop.join()

    assert announced == [(2, HANG_BATCH)]
    assert done == training.batches_per_epoch + HANG_BATCH
    assert len(bridge.batches) == 2 * training.batches_per_epoch


def test_digits_are_pictures_and_numbers():
    """Every digit can be learnt from and looked at, and none is both in training and held out."""
    digits, held_out = load(np.random.default_rng(0))

    assert digits.pixels.shape == (len(digits), 64)
    assert digits.pictures.shape == (len(digits), 96, 96)
    assert digits.pictures.dtype == np.uint8
    assert len(digits) + len(held_out) == 1797


def test_a_step_goes_downhill():
    """The gradient is right: it agrees with finite differences of the loss."""
    random = np.random.default_rng(0)
    inputs, truths = random.normal(size=(8, 5)), random.integers(0, 3, 8)
    network = Network(random, inputs=5, hidden=4, classes=3)
    hidden, probabilities = network._forward(inputs)
    gradients = network._gradients(inputs, hidden, probabilities, truths)
    tiny = 1e-6

    for weight, gradient in zip(network._weights, gradients, strict=True):
        before = cross_entropy(network.probabilities(inputs), truths)
        weight.flat[0] += tiny
        after = cross_entropy(network.probabilities(inputs), truths)
        weight.flat[0] -= tiny
        assert math.isclose((after - before) / tiny, gradient.flat[0], abs_tol=1e-4)


def test_a_comparison_says_whether_figures_agree():
    """Equal figures are joined by =, others are not and say NOT."""
    assert (
        str(Comparison("batches", {"sent": 3, "counted": 3}))
        == "  ok   batches: 3 sent = 3 counted"
    )
    assert "NOT" in str(Comparison("batches", {"sent": 3, "counted": 2}))

"""Spikes are found in noise, and noise is not taken for spikes."""

import math
import random

import pytest

from bridge.history import Curve
from bridge.web.charts.spikes import MAX_SPIKES, spikes_of


def falling(step, steps):
    """Return the loss of a run that learns."""
    return 0.1 + 2.3 * math.exp(-6 * step / steps)


NOISE = {
    "relative": lambda step, steps, noise: falling(step, steps) * (1 + 0.1 * noise.gauss(0, 1)),
    "absolute": lambda step, steps, noise: abs(falling(step, steps) + 0.3 * noise.gauss(0, 1)),
    "even": lambda _step, _steps, noise: 1 + 0.3 * noise.gauss(0, 1),
    "around zero": lambda _step, _steps, noise: noise.gauss(0, 1),
    "steep start": lambda step, steps, noise: (
        7 * math.exp(-100 * step / steps) + noise.gauss(1, 0.05)
    ),
    "step": lambda step, steps, noise: (
        (1 if step < steps / 2 else 3) * (1 + 0.1 * noise.gauss(0, 1))
    ),
    "diverging": lambda step, steps, noise: (
        1.05 ** max(0, step - 0.8 * steps) * (1 + 0.1 * noise.gauss(0, 1)) if step < 4000 else 1
    ),
    "sawtooth": lambda step, _steps, noise: 1 + step % 100 / 100 + 0.05 * noise.gauss(0, 1),
}


def highs(make, steps, seed, planted=()):
    """Return the highest values of the bins of a run, with some losses replaced."""
    noise, curve = random.Random(seed), Curve()
    for step in range(steps):
        loss = make(step, steps, noise)
        curve.add(dict(planted).get(step, loss), at=0.0, epoch=0, batch=step)
    return [part.high for part in curve.bins], [part.batch for part in curve.bins]


@pytest.mark.parametrize("steps", [20, 240, 3000])
@pytest.mark.parametrize("name", NOISE)
def test_noise_has_no_spikes(name, steps):
    """Neither noise nor the start of a run nor a step to another level is marked."""
    marked = [spikes_of(highs(NOISE[name], steps, seed)[0]) for seed in range(10)]

    assert sum(map(len, marked)) <= 1


@pytest.mark.parametrize("steps", [60, 240, 3000])
@pytest.mark.parametrize("name", ["relative", "absolute", "even", "around zero", "sawtooth"])
def test_a_planted_spike_is_found(name, steps):
    """One batch with several times the loss is marked, wherever it is after the warm-up, the last one included."""
    for seed, step in enumerate((steps // 3, steps // 2, steps - 1)):
        values, batches = highs(NOISE[name], steps, seed, [(step, 20.0)])

        assert step in [batches[index] for index in spikes_of(values)]


def test_spikes_beside_each_other_are_one_and_the_highest_win():
    """A page is not covered with marks."""
    values = [1.0] * 200
    for index in range(20, 200, 15):
        values[index] = 5.0 + index / 100
    values[80] = values[81] = 40.0

    found = spikes_of(values)

    assert len(found) == MAX_SPIKES
    assert sum(index in (80, 81) for index in found) == 1


@pytest.mark.parametrize(
    "values", [[], [math.nan] * 30, [0.0] * 30, [math.inf, *[1.0] * 30], [1e308, -1e308] * 20]
)
def test_nothing_breaks_it(values):
    """Whatever a run reports, there is an answer."""
    assert spikes_of(values) == []

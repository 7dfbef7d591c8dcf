"""Whoever clicks a loss spike finds its images: at any size of picture and pace of training."""

import json
import math
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from support.bridges import running_bridge

from bridge.client import TrainingSession

SPIKES = 12
EVERY_SECONDS = 0.75
"""From one planted spike to the next: more than one window of the sampler."""

LOOPS = {
    "60 steps a second of 16 x 32x32": (60, (16, 32, 32, 3), np.uint8),
    "60 steps a second of 16 x 224x224": (60, (16, 224, 224, 3), np.uint8),
    "20 steps a second of 64 x 224x224": (20, (64, 224, 224, 3), np.uint8),
    "20 steps a second of 64 x 3x224x224 floats": (20, (64, 3, 224, 224), np.float32),
    "5 steps a second of 64 x 3x224x224 floats": (5, (64, 3, 224, 224), np.float32),
}


def made(shape, dtype, steps=8):
    """Return images of a few steps, which a loop overwrites in place as data loaders do."""
    random = np.random.default_rng(1)
    whole = random.integers(0, 256, (steps, *shape[1:]), np.uint8)
    buffers = np.empty(shape, dtype)
    buffers[:] = whole[0] if dtype is np.uint8 else whole[0] / np.float32(255)
    return buffers


def train(session, steps_per_second, images):
    """Train at a pace, with a spike now and then; return the steps that had one.

    A loop that was held up goes on at its pace: to catch up would bring two spikes into one window.
    """
    random = np.random.default_rng(2)
    spikes = []
    step = 0
    next_spike = time.monotonic() + EVERY_SECONDS
    while len(spikes) < SPIKES:
        began = time.monotonic()
        loss = random.uniform(0.4, 0.6)
        if began >= next_spike:
            loss = 3.0 + len(spikes) / 10
            spikes.append(step)
            next_spike = began + EVERY_SECONDS
        session.log_batch(loss, epoch=0, batch=step, images=images)
        step += 1
        time.sleep(max(0.0, began + 1 / steps_per_second - time.monotonic()))
    return spikes


@pytest.mark.parametrize("name", LOOPS)
def test_every_spike_has_its_images(tmp_path, name):
    """With everything at its default: 12 of 12 planted spikes, all 16 images of each."""
    pace, shape, dtype = LOOPS[name]
    images = made(shape, dtype)
    with running_bridge(tmp_path / "state") as bridge:
        with TrainingSession(bridge.grpc, session_id="run", close_seconds=60) as session:
            session.flush(10)
            spikes = train(session, pace, images)
        stored = batches_with_images(bridge)

    assert [stored.get(step, 0) for step in spikes] == [16] * SPIKES
    stats = session.stats
    assert stats.images_given == stats.images_sent + stats.images_sampled_out
    assert stats.left_out.keys() <= {"images: sampled out"}


@pytest.mark.parametrize(("pace", "steps"), [(2, 4), (5, 8), (20, 24)])
def test_everything_is_kept_where_everything_is_asked_for(tmp_path, pace, steps):
    """However slowly or quickly batches come."""
    images = made((16, 32, 32, 3), np.uint8)
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:
        with TrainingSession(bridge.grpc, session_id="run") as session:
            for step in range(steps):
                session.log_batch(1.0 / (1 + step), epoch=0, batch=step, images=images)
                time.sleep(1 / pace)
        assert batches_with_images(bridge) == dict.fromkeys(range(steps), 16)

    assert (session.stats.images_sent, session.stats.left_out) == (steps * 16, {})


def test_more_than_can_be_encoded_costs_the_lowest_losses(tmp_path, caplog):
    """It is counted and said, and what goes first are the batches that nobody will look for."""
    images = made((16, 512, 512, 3), np.uint8)
    losses = [math.sin(step) for step in range(60)]
    with running_bridge(tmp_path / "state", "--images-keep", "all") as bridge:
        with TrainingSession(bridge.grpc, session_id="run", close_seconds=60) as session:
            session.flush(10)
            for step, loss in enumerate(losses):
                session.log_batch(loss, epoch=0, batch=step, images=images)
        stored = batches_with_images(bridge)

    stats = session.stats
    assert losses.index(max(losses)) in stored
    assert stats.left_out["images: no memory"] > 0
    assert stats.images_given == stats.images_sent + stats.images_shed
    assert stats.images_sent == sum(stored.values())
    said = [record.getMessage() for record in caplog.records if "no memory" in record.getMessage()]
    assert len(said) == 1
    assert "--images-keep" in said[0]


def batches_with_images(bridge):
    """Return how many images of each step the bridge has, the last window's included."""
    kept = {}
    path = "/api/v1/sessions/run/images?limit=200"
    while path is not None:
        page = json.loads(bridge.get(path))
        kept |= {batch["batch"]: len(batch["images"]) for batch in page["batches"]}
        path = page["next"] and urlsplit(page["next"]).path + "?" + urlsplit(page["next"]).query
    return kept

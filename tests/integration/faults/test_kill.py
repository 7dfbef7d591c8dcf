"""A bridge that is killed at random moments under load, again and again."""

import os
import random
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from support.attempt_books import check_attempt, check_reports
from support.bridges import launched, running_bridge
from support.checks import (
    Sent,
    check,
    check_images,
    check_log,
    check_series,
    check_shards,
    check_spans,
    index_of,
)
from support.known_run import KnownRun
from support.otlp import receiving
from support.ports import free_port
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop, OriginalLoop
from support.trainers import training

from bridge.sinks.images.shards.file import trailer_of

KILLS = int(os.environ.get("TRAINBRIDGE_KILLS", "50"))
"""Over all tests of this file."""

SEED = 5_1_2026
RATE = 40.0
"""Batches a second of each session."""

EARLY = 0.2
"""So many of the kills hit a bridge that starts."""

START_SECONDS = 0.7
LIFE_SECONDS = 1.0
"""At most; the moment of a kill is chance, so this is the one place that waits for time."""


class Load:
    """Four sessions: two streamed by the SDK, one that numbers its messages, one of an original client."""

    def __init__(self, port, *, images_every):
        address = f"127.0.0.1:{port}"
        self.runs = [
            KnownRun("sdk-pictured", epoch_batches=90, images_every=images_every),
            KnownRun("sdk-plain", epoch_batches=35, images_every=0),
        ]
        self.numbered = NumberedLoop(
            RawClient(
                address,
                KnownRun("numbered", epoch_batches=60, images_every=images_every, reports_every=5),
            ),
            batches_per_second=RATE,
        )
        self.original = OriginalLoop(
            RawClient(
                address, KnownRun("original", epoch_batches=100, images_every=1), numbered=False
            ),
            batches_per_second=RATE / 2,
        )
        self.loops = (self.numbered, self.original)
        self.runs += [loop.run_of for loop in self.loops]

    def start(self, stack):
        """Have all of them stream until `finish`."""
        address = self.numbered.client.address
        self.trainers = [
            stack.enter_context(training(address, run, rate=RATE)) for run in self.runs[:2]
        ]
        for loop in self.loops:
            loop.start()

    def finish(self):
        """End all sessions; return what was sent of those that number their messages."""
        for loop in self.loops:
            loop.stop()
        summaries = [trainer.finish() for trainer in self.trainers]
        assert [summary.left for summary in summaries] == [0, 0]
        sent = [
            Sent.whole(run, summary.batches, images=summary.stats["images_sent"])
            for run, summary in zip(self.runs, summaries, strict=False)
        ]
        return [*sent, Sent.whole(self.numbered.run_of, self.numbered.batches)]


def live_and_die(state, flags, load, chance):
    """Start a bridge, look whether it has everything that was acknowledged, and kill it some time later."""
    acknowledged = known(load)
    with launched(state, *flags) as launch:
        if chance.random() < EARLY:
            time.sleep(chance.uniform(0, START_SECONDS))
        else:
            bridge = launch.ready()
            for name, batches in acknowledged.items():
                assert bridge.total("training_batches_total", session_id=name) >= batches, name
            time.sleep(chance.uniform(0, LIFE_SECONDS))
        launch.process.kill()
        launch.process.wait()


def known(load):
    """Return how many batches of each raw session the bridge has acknowledged by now."""
    numbered, original = load.numbered.client, load.original.client
    said = numbered.said[: numbered.acknowledged]
    return {
        numbered.run.session_id: sum(request.HasField("batch_data") for request in said),
        original.run.session_id: len(original.answered),
    }


def tear(state, chance):
    """Leave half a member behind the end of an open shard, as a power cut may; return how many there were."""
    torn = [path for path in state.glob("spool/*.tar") if trailer_of(path) is None]
    for path in torn:
        with path.open("r+b") as shard:
            start = shard.read(chance.randrange(1, 1_000))
            shard.seek(0, os.SEEK_END)
            shard.write(start)
    return len(torn)


@pytest.mark.timeout(120 + 6 * KILLS)
@pytest.mark.parametrize(("keep", "kills"), [("all", KILLS - KILLS // 3), ("sample", KILLS // 3)])
def test_what_is_acknowledged_outlives_every_kill(tmp_path, keep, kills):
    """Whatever was acknowledged is there after each kill; at the end all was counted exactly once.

    In series, on pages, in the image index, in the shards and in the spans. The bridge starts by
    itself every time, cuts torn shards, and logs no fault of its own.
    """
    state, port = tmp_path / "state", free_port()
    chance = random.Random(SEED)
    load = Load(port, images_every=4)
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving("grpc"))
        flags = ("--grpc-address", f"127.0.0.1:{port}", "--images-keep", keep,
                 "--otlp-endpoint", receiver.url)  # fmt: skip  # flags beside their values
        load.start(stack)
        torn = 0
        for _ in range(kills):
            live_and_die(state, flags, load, chance)
            torn += tear(state, chance)
        bridge = stack.enter_context(running_bridge(state, *flags))
        sessions = load.finish()
        for sent in sessions:
            check(bridge, sent, keeps_all=keep == "all")
        check_reports(bridge, sessions[-1])
        repeated = sum(check_spans(receiver, sent) for sent in sessions)
        check_original(bridge, load.original, receiver, keeps_all=keep == "all")
        indexed = {place for run in load.runs for place in index_of(bridge, run)}
        assert bridge.stop() == 0
        check_log(bridge)
    print(f"seed {SEED}: {kills} kills, {torn} torn shards, {repeated} spans repeated")  # noqa: T201
    assert check_shards(state, load.runs) == Counter(dict.fromkeys(indexed, 1))
    for sent in sessions:
        check_attempt(state, sent, 1)
    assert torn or keep == "sample" or not kills


def check_original(bridge, loop, receiver, *, keeps_all):
    """Without sequences: acknowledged <= counted <= sent, and every view counts the same batches."""
    run = loop.run_of
    counted = bridge.total("training_batches_total", session_id=run.session_id)
    assert len(loop.client.answered) <= counted <= loop.batches
    if not keeps_all:
        return
    numbers = sorted({number for _, number, _ in index_of(bridge, run)})
    assert loop.client.answered <= set(numbers) <= set(range(1, loop.batches + 1))
    epochs = [epoch.number for epoch in bridge.client.session(run.session_id).epochs]
    assert set(epochs) <= set(range(1, loop.epochs + 1))
    sent = Sent(run, numbers, epochs, len(numbers) * run.samples)
    check_series(bridge, sent)
    check_images(bridge, sent, keeps_all=True)
    check_spans(receiver, sent)

"""Events survive being written down."""

import dataclasses
import math
from typing import get_args

import pytest

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import (
    Absent,
    AlertReceived,
    CommandAnswered,
    CommandQueued,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Expired,
    Moved,
    Registered,
    SentElsewhere,
    SequenceAdvanced,
    Superseded,
)
from bridge.model import (
    Batch,
    CommandResult,
    Config,
    Epoch,
    Heartbeat,
    Image,
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
from bridge.sinks.journal.records import CODECS, JournalRecord, decode, encode
from bridge.storage.packed import packed, unpacked

EVENTS = (
    Batch(1, 2, 0.5),
    Batch(2**32 - 1, 0, -math.inf, duration_seconds=0.25, sample_count=2**32 - 1),
    Batch(0, 0, 1.0, invalid_images=3),
    Batch(0, 0, 1.0, images_received=4),
    Batch(0, 0, None),
    Batch(0, 0, None, predictions=(Prediction(3, None), Prediction(4, 0.5)), ground_truth=(3, 4)),
    Batch(0, 0, 1.0, predictions=(Prediction(3, 0.5), Prediction(-1, 0.25)), ground_truth=(3, 4)),
    Batch(0, 0, 1.0, predictions=(Prediction(3, math.inf),)),
    Batch(0, 0, 1.0, step=7),
    Batch(0, 0, None, duration_seconds=0.5, tokens=2**40),
    Batch(
        *(0, 0, 1.0),
        invalid_images=3,
        predictions=(Prediction(3, 0.5),),
        ground_truth=(3,),
        images_received=4,
        step=0,
        tokens=5,
    ),
    Epoch(1, 0.5, 0.25),
    Epoch(1, 0.5, 0.25, 0.75, 0.125, 0.01),
    Epoch(1, None, None),
    Epoch(1, 0.0, 0.0),
    Performance(),
    Performance(resources=Resources(None, 2.0, (Gpu(0, "u", 0.0), Gpu(1, power_watts=0.0)))),
    Performance(0.1, 1.0, 2.0, 3.0, 4.0),
    Performance(0.1, 1.0, 2.0, 3.0, 4.0, Resources(1.5, 2.0, (Gpu(0, "u", 0.5), Gpu(1)))),
    Performance(
        resources=Resources(
            None, None, (Gpu(0, "u", throttle_reasons=("power",), ecc_errors=0, xid_errors=2),)
        ),
        phase="data",
        phase_seconds={"data": 0.5, "training": 2.0},
        batches=3,
        step=7,
    ),
    Performance(resources=Resources(None, None, (Gpu(0, "u", throttle_reasons=()),))),
    StatusChange(Status.RUNNING),
    StatusChange(Status.STOPPED, phase="validation", phase_seconds={"training": 1.5}),
    StatusChange(Status.FAILED, "lost", Config(3, 4, 5, "model", "data", ("cat", "dog"))),
    Scalars(1, 3, {"gradient": 2.0, "größe": -math.inf}),
    Scalars(1, 3, {"perplexity": 2.0}, 2**63, "validation"),
    Occurrence("lr drop", "by half", Level.WARNING, {"from": "0.1"}, 1, 3, 70),
    Connected(),
    Disconnected(),
    CommandQueued("id", CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.1"}),
    CommandQueued("id", CommandType.PAUSE_TRAINING, {}, "alert TrainingDiverging"),
    CommandQueued("id", CommandType.PAUSE_TRAINING, {}, "", 1_700_000_060.0),
    CommandSent("id", CommandType.SAVE_CHECKPOINT, {"path": "x"}),
    CommandAnswered(
        CommandType.PAUSE_TRAINING,
        CommandResult("id", applied=True, message="ok", epoch=1, batch=3),
    ),
    AlertReceived("f1", "TrainingDiverging", 1.5, 9.25, "warning", "rises", "alert-1", "no"),
    Ended(Stage.LOST),
    Expired(),
    SequenceAdvanced(),
    SequenceAdvanced(3, 9),
    Absent(),
    SentElsewhere(),
)

NEVER_WRITTEN = {Heartbeat, Registered, Superseded, Moved, CommandResult}
"""A heartbeat changes only when a session was last seen, a result becomes an answer, the others are checkpoints."""


def test_every_event_has_a_codec_and_a_case_here():
    """No event is lost by a restart because nobody thought of it, and no number stands for two."""
    written = {codec.event for codec in CODECS if codec.encode}

    assert written == {*get_args(Event)} - NEVER_WRITTEN == {type(event) for event in EVENTS}
    assert len({codec.kind for codec in CODECS}) == len(CODECS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event):
    """Every kind and every field, through the bytes that the database keeps."""
    record = JournalRecord("run", 2**64 - 1, 1_800_000_000.25, event)

    assert decode(unpacked(packed(encode(record)))) == record


def test_not_a_number_stays_one():
    """NaN is data."""
    row = unpacked(packed(encode(JournalRecord("run", 1, 0.0, Batch(0, 0, math.nan)))))

    assert math.isnan(decode(row).event.loss)


def test_jpegs_are_not_in_the_journal():
    """Their bytes are in shards; twice would be twice the disk."""
    image = Image(0, b"jpeg" * 1_000)
    batch = Batch(1, 2, 0.5, (image,), sample_count=1, sent_ms=5)

    row = encode(JournalRecord("run", 1, 0.0, batch))

    assert len(packed(row)) < 100
    assert decode(row).event == dataclasses.replace(batch, images=(), sent_ms=0)


@pytest.mark.parametrize(
    "row", [[], ["run", 1], ["run", 1, 0.0, 99], ["run", 1, 0.0, 1, 5], 3, None]
)
def test_an_invalid_row_is_refused(row):
    """The replay counts it and goes on."""
    with pytest.raises(ValueError, match="not a row of the journal"):
        decode(row)


def test_an_older_row_may_be_shorter_at_its_end():
    """A field added to an event has a default, so rows from before it can be read."""
    assert decode(["run", 1, 0.0, 2, 1, 0.5, 0.25]).event == Epoch(1, 0.5, 0.25)


@pytest.mark.parametrize(
    ("row", "event"),
    [
        (
            [1, 1, 2, 0.5, None, 0, [3], [0.0], [3], 0],
            Batch(1, 2, 0.5, predictions=(Prediction(3, None),), ground_truth=(3,)),
        ),
        ([2, 1, 0.5, 0.0], Epoch(1, 0.5, None)),
        ([2, 1, 0.0, 0.25, None, 0.0, 0.0], Epoch(1, 0.0, 0.25, None, 0.0, 0.0)),
        ([3, 0.5, 0.0, 0.0, 30.0, 0.0, None], Performance(0.5, frames_per_second=30.0)),
        (
            [
                3,
                0.0,
                0.0,
                0.0,
                0.0,
                0.0,
                {
                    "cpu_utilization_ratio": 0.0,
                    "memory_used_bytes": 2.0,
                    "gpus": [
                        {
                            "index": 0,
                            "uuid": "",
                            "utilization_ratio": 0.5,
                            "memory_used_bytes": 0.0,
                            "memory_total_bytes": None,
                            "temperature_celsius": 0.0,
                            "power_watts": 0.0,
                        }
                    ],
                },
            ],
            Performance(resources=Resources(None, 2.0, (Gpu(0, "", 0.5),))),
        ),
    ],
)
def test_a_zero_of_an_older_row_may_not_have_been_reported(row, event):
    """Rows from before that were distinguished are read as today's messages of such clients are."""
    assert decode(["run", 1, 0.0, *row]).event == event

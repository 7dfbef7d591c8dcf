"""From the loop's words to the protocol's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jpegs import jpeg, png

from bridge.client.encode import Encoder, frame_of, prefix_of
from bridge.client.identity import Plan
from bridge.client.inbox import BatchItem, StatusItem
from bridge.client.pace import Speed
from bridge.client.system import Gpu, Usage
from bridge.client.terms import Terms
from bridge.client.words import Status
from bridge.wire import metrics_pb2 as wire


def item(**said):
    """Return a batch item."""
    fields = dict.fromkeys(BatchItem._fields) | {
        "at": 0.0,
        "epoch": 1,
        "batch": 2,
        "image_bytes": 0,
    }
    return BatchItem(**(fields | said))


def encoded(batch, faults, terms=None):
    """Return the message made of a batch."""
    encoder = Encoder(Plan(), lambda argument, error: faults.append(argument))
    entry = encoder.batch(
        batch,
        loss=0.5,
        samples=1,
        clock_ms=7,
        duration=0.25,
        images=batch.images is not None,
        terms=terms or Terms(),
    )
    request = wire.MetricsRequest.FromString(entry.body)
    assert request.sequence == entry.sequence == 1
    assert request.timestamp_ms == 7
    assert entry.images == len(request.batch_data.images)
    return request.batch_data


@given(st.text(max_size=40), st.lists(st.binary(max_size=300), max_size=5))
def test_frames_are_what_protobuf_would_write(session_id, payloads):
    """Joining encoded parts gives what encoding the whole gives."""
    requests = [
        wire.MetricsRequest(
            sequence=place, batch_data=wire.BatchData(images=[wire.ImageData(image_bytes=payload)])
        )
        for place, payload in enumerate(payloads, 1)
    ]
    frame = frame_of(prefix_of(session_id), [request.SerializeToString() for request in requests])

    read = wire.MetricsRequestBatch.FromString(frame)

    for request in requests:
        request.session_id = session_id
    assert list(read.requests) == requests


def test_a_bad_image_costs_that_image():
    """The classes that belong to it go too, so that the numbers agree."""
    faults = []
    images = [jpeg(shade=1), b"no picture", jpeg(shade=3)]
    data = encoded(item(images=images, ground_truth=[1, 2, 3], predictions=[4, 5, 6]), faults)

    assert [image.image_bytes for image in data.images] == [images[0], images[2]]
    assert list(data.ground_truth) == [1, 3]
    assert [told.predicted_class for told in data.predictions] == [4, 6]
    assert faults == ["images"]


def test_numbers_that_disagree_are_made_to_agree():
    """Fewer classes than images, or than predictions, never make a message the bridge would refuse."""
    faults = []
    data = encoded(item(images=[jpeg()] * 3, ground_truth=[1, 2]), faults)
    assert (len(data.images), len(data.ground_truth)) == (2, 2)

    data = encoded(item(predictions=[1, 2, 3], ground_truth=[1]), faults)
    assert (len(data.predictions), len(data.ground_truth)) == (3, 0)
    assert faults == ["images", "ground_truth"]


def test_classes_beyond_the_protocol_cost_only_themselves():
    """A class that no int32 holds is left out with its list; the batch is sent."""
    faults = []
    data = encoded(item(predictions=[1, 2], ground_truth=[1, 10**12]), faults)

    assert (len(data.predictions), len(data.ground_truth)) == (2, 0)
    assert faults == ["ground_truth"]


def test_no_more_images_than_the_bridge_takes():
    """Images beyond its number, and beyond the size of a message, are left out."""
    data = encoded(item(images=[jpeg()] * 20), [])
    assert len(data.images) == 16

    terms = Terms(message_bytes=4_096 + 2 * (len(jpeg()) + 16))
    data = encoded(item(images=[jpeg()] * 20), [], terms)
    assert len(data.images) == 2


def test_pictures_of_other_kinds_become_jpegs():
    """A PNG is a picture too."""
    data = encoded(item(images=[png()]), [])

    assert data.images[0].image_bytes.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({"sample_count": 5, "images": [1, 2]}, 5),
        ({"images": [1, 2], "ground_truth": [1]}, 2),
        ({"ground_truth": np.zeros(7)}, 7),
        ({"predictions": np.zeros((6, 3))}, 6),
        ({}, 64),
    ],
)
def test_samples_are_counted(said, count):
    """As told, else as many as were given, else as planned."""
    assert Encoder(Plan(batch_size=64), lambda *_: None).samples(item(**said)) == count


def test_what_cannot_be_encoded_leaves_no_gap():
    """A number is used up only by a message that exists."""
    encoder = Encoder(Plan(), lambda *_: None)
    with pytest.raises(ValueError, match="not a valid Status"):
        encoder.status(StatusItem(0.0, 2**40, ""), 0)

    entry = encoder.status(StatusItem(0.0, Status.RUNNING, "x" * 10_000), 0)

    assert entry.sequence == 1
    assert len(wire.MetricsRequest.FromString(entry.body).status_update.message) == 4_096


def test_performance_tells_every_gpu():
    """The first one also stands where the original protocol has its only one."""
    gpus = tuple(
        Gpu(index, f"GPU-{index}", 50.0 + index, 10.0, 80.0, 60.0, 300.0) for index in range(2)
    )
    usage = Usage(150.0, 512.0, gpus)
    entry = Encoder(Plan(), lambda *_: None).performance(Speed(0.1, 2.0, 3.0, 4.0, 5.0), usage, 9)

    data = wire.MetricsRequest.FromString(entry.body).performance_data

    assert data.time_per_batch_ms == pytest.approx(100)
    assert data.resource_usage.gpu_percent == 50
    assert [gpu.uuid for gpu in data.resource_usage.gpus] == ["GPU-0", "GPU-1"]


def performance(usage):
    """Return the resource usage as a bridge reads it."""
    speed = Speed(0.1, 2.0, 3.0, 4.0, 5.0)
    entry = Encoder(Plan(), lambda *_: None).performance(speed, usage, 9)
    return wire.MetricsRequest.FromString(entry.body).performance_data.resource_usage


def test_what_is_not_measured_is_not_sent():
    """A GPU's value that is absent is no 0, while a 0 that was measured is sent."""
    known = {"utilization_percent": 0.0, "power_watts": 70.0}

    (gpu,) = performance(Usage(None, None, (Gpu(3, "GPU-3", **known),))).gpus

    for name in (
        "utilization_percent",
        "memory_used_mb",
        "memory_total_mb",
        "temperature_celsius",
        "power_watts",
    ):
        assert gpu.HasField(name) == (name in known), name
    assert (gpu.index, gpu.uuid) == (3, "GPU-3")


def test_bridges_that_know_one_gpu_are_sent_the_first_or_none():
    """Never the second while the first cannot be read, nor a GPU's missing value."""
    second = Gpu(1, "GPU-1", 50.0, 10.0)

    assert performance(Usage(1.0, 2.0, (second,))).gpu_percent == 50
    lost = performance(Usage(1.0, 2.0, (second,), first_gpu_missing=True))
    assert (lost.gpu_percent, lost.gpu_memory_mb, len(lost.gpus)) == (0, 0, 1)
    assert performance(Usage(1.0, 2.0, (Gpu(0, "GPU-0"),))).gpu_percent == 0
    assert performance(Usage(None, 2.0, ())).memory_mb == 2

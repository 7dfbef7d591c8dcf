"""From the loop's words to the protocol's."""

import math

import pytest
from support.jpegs import jpeg, png

from bridge.client.calls import BatchCall, EpochCall, ScalarsCall, StatusCall
from bridge.client.capture.images import Pictures
from bridge.client.capture.values import Unreadable
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut, Reason
from bridge.client.resource_usage import Gpu, ResourceUsage
from bridge.client.throughput import Throughput
from bridge.protocol import Status
from bridge.wire import metrics_pb2 as wire


def captured(images, *, channels_first=False):
    """Return images as they are captured."""
    return Pictures(list(images), channels_first, len(images), lambda: None)


def call(**given_):
    """Return one call of log_batch, captured."""
    return BatchCall(**({"at": 0.0, "loss": 0.5, "epoch": 1, "batch": 2} | given_))


def encoded(batch, left_out=None, server_config=None, images=None):
    """Return the message made of a batch."""
    encoder = Encoder(RunConfig(), left_out or LeftOut())
    encoded = encoder.batch(
        batch,
        encoder.index(batch),
        samples=1,
        clock_ms=7,
        duration=0.25,
        pictures=None if images is None else captured(images),
        server_config=server_config or ServerConfig(uses_sequences=True),
    )
    request = wire.MetricsRequest.FromString(encoded.body)
    assert request.sequence == encoded.sequence == 1
    assert request.timestamp_ms == 7
    assert encoded.images == len(
        [image for image in request.batch_data.images if not image.left_out]
    )
    return request.batch_data


@pytest.mark.parametrize("bad", [b"no picture", Unreadable(TypeError("no image"))])
def test_a_bad_image_costs_that_image(bad):
    """Its place is kept, and the classes of all samples are sent."""
    left_out = LeftOut()
    images = [jpeg(shade=1), bad, jpeg(shade=3)]
    data = encoded(call(ground_truth=[1, 2, 3], predictions=[4, 5, 6]), left_out, images=images)

    assert [image.image_bytes for image in data.images] == [images[0], b"", images[2]]
    assert [image.left_out for image in data.images] == [False, True, False]
    assert list(data.ground_truth) == [1, 2, 3]
    assert [prediction.predicted_class for prediction in data.predictions] == [4, 5, 6]
    assert left_out.counts == {("images", Reason.UNREADABLE): 1}


def test_an_original_bridge_gets_no_empty_places():
    """It knows nothing of them: classes of missing images are left out for it."""
    images = [jpeg(shade=1), b"no picture", jpeg(shade=3)]
    batch = call(ground_truth=[1, 2, 3], predictions=[4, 5, 6])
    data = encoded(batch, server_config=ServerConfig(), images=images)

    assert [image.image_bytes for image in data.images] == [images[0], images[2]]
    assert list(data.ground_truth) == [1, 3]
    assert [prediction.predicted_class for prediction in data.predictions] == [4, 6]


def test_numbers_that_disagree_are_made_to_agree():
    """Fewer classes than images, or than predictions, never make a message the bridge would refuse."""
    left_out = LeftOut()
    data = encoded(call(ground_truth=[1, 2]), left_out, images=[jpeg()] * 3)
    assert (len(data.images), len(data.ground_truth)) == (2, 2)

    data = encoded(call(ground_truth=[1, 2, 3, 4]), left_out, images=[jpeg()] * 2)
    assert [image.left_out for image in data.images] == [False, False, True, True]

    data = encoded(call(predictions=[1, 2, 3], ground_truth=[1]), left_out)
    assert (len(data.predictions), len(data.ground_truth)) == (3, 0)
    assert left_out.counts == {
        ("images", Reason.UNREADABLE): 1,
        ("ground_truth", Reason.UNREADABLE): 1,
    }


def test_classes_beyond_the_protocol_cost_only_themselves():
    """A class that no int32 holds is left out with its list; the batch is sent."""
    left_out = LeftOut()
    data = encoded(call(predictions=[1, 2], ground_truth=[1, 10**12]), left_out)

    assert (len(data.predictions), len(data.ground_truth)) == (2, 0)
    assert left_out.counts == {("ground_truth", Reason.UNREADABLE): 1}


def test_images_that_do_not_fit_into_a_message_are_counted():
    """Those that fit are sent in their places, and the classes of all samples."""
    left_out = LeftOut()
    large, small = jpeg(256, 256), jpeg()
    server_config = ServerConfig(
        uses_sequences=True, message_bytes=4_096 + len(large) + 2 * len(small) + 3 * 16
    )
    batch = call(predictions=[1] * 4, ground_truth=[1] * 4)
    data = encoded(batch, left_out, server_config, images=[large, large, small, small])

    assert [len(image.image_bytes) for image in data.images] == [
        len(large),
        0,
        len(small),
        len(small),
    ]
    assert len(data.predictions) == len(data.ground_truth) == 4
    assert left_out.counts == {("images", Reason.TOO_LARGE): 1}


def test_pictures_of_other_kinds_become_jpegs():
    """A PNG is a picture too."""
    data = encoded(call(), images=[png()])

    assert data.images[0].image_bytes.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("loss", [None, Unreadable(ValueError("seven elements")), "0.5", [1.0]])
def test_a_loss_that_is_not_known_costs_the_loss(loss):
    """Not the batch with its images and classes; and not-a-number says so to bridges that know no better."""
    left_out = LeftOut()
    data = encoded(call(loss=loss, predictions=[1]), left_out, images=[jpeg()])

    assert data.loss_missing
    assert math.isnan(data.batch_loss)
    assert (len(data.images), len(data.predictions)) == (1, 1)
    assert left_out.mistakes == (loss is not None)


def test_what_is_not_reported_of_an_epoch_is_not_sent_as_zero():
    """An accuracy of 0 that was measured is distinguished from none."""
    encoder = Encoder(RunConfig(), LeftOut())

    def epoch(loss, accuracy):
        encoded = encoder.epoch(EpochCall(0.0, 1, loss, accuracy, None, None, None), 0)
        return wire.MetricsRequest.FromString(encoded.body).epoch_data

    assert not epoch(0.5, None).accuracy_reported
    assert epoch(0.5, 0.0).accuracy_reported
    assert epoch(None, 0.5).loss_missing
    assert not epoch(0.0, 0.5).loss_missing


@pytest.mark.parametrize(("accuracy", "sent"), [(93.5, None), (-0.5, None), (1.00001, 1.0)])
def test_an_accuracy_is_between_zero_and_one(accuracy, sent):
    """A percentage is left out and said, with what it should have been; rounding is forgiven."""
    left_out = LeftOut()
    call_ = EpochCall(0.0, 1, 0.5, accuracy, None, accuracy, None)
    encoded = Encoder(RunConfig(), left_out).epoch(call_, 0)
    data = wire.MetricsRequest.FromString(encoded.body).epoch_data

    assert (data.average_accuracy if data.accuracy_reported else None) == sent
    assert data.HasField("validation_accuracy") == (sent is not None)
    assert left_out.mistakes == (0 if sent else 2)


def test_names_that_are_cut_to_the_same_stay_two():
    """No number takes the place of another."""
    values = {"x" * 5_000 + end: number for number, end in enumerate("abc")}
    values |= {"1": 4.0, "\ud800": 5.0, "?": 6.0}
    encoded = Encoder(RunConfig(), LeftOut()).scalars(ScalarsCall(0.0, values, 0, 0), 0)
    sent = wire.MetricsRequest.FromString(encoded.body).scalar_data.values

    assert sorted(sent.values()) == [0.0, 1.0, 2.0, 4.0, 5.0, 6.0]
    assert sent["?"] == 6.0
    assert max(map(len, sent)) <= 4_096


@pytest.mark.parametrize(
    ("given_", "count"),
    [
        ({"sample_count": 5, "counted": 2}, 5),
        ({"sample_count": 0, "counted": 2}, 0),
        ({"sample_count": "five", "counted": 2}, 2),
        ({"sample_count": math.nan}, 64),
        ({"counted": 7}, 7),
        ({}, 64),
    ],
)
def test_samples_are_counted(given_, count):
    """As given, else as many as were counted, else as planned."""
    assert Encoder(RunConfig(batch_size=64), LeftOut()).samples(call(**given_)) == count


def test_what_cannot_be_encoded_leaves_no_gap():
    """A number is used up only by a message that exists."""
    encoder = Encoder(RunConfig(), LeftOut())
    with pytest.raises(ValueError, match="not a valid Status"):
        encoder.status(StatusCall(0.0, 2**40, ""), 0)

    encoded = encoder.status(StatusCall(0.0, Status.RUNNING, "x" * 10_000), 0)

    assert encoded.sequence == 1
    assert len(wire.MetricsRequest.FromString(encoded.body).status_update.message) == 4_096


def test_performance_tells_every_gpu():
    """The first one also stands where the original protocol has its only one."""
    gpus = tuple(
        Gpu(index, f"GPU-{index}", 50.0 + index, 10.0, 80.0, 60.0, 300.0) for index in range(2)
    )
    usage = ResourceUsage(150.0, 512.0, gpus)
    encoded = Encoder(RunConfig(), LeftOut()).performance(
        Throughput(0.1, 2.0, 3.0, 4.0, 5.0), usage, 9
    )

    data = wire.MetricsRequest.FromString(encoded.body).performance_data

    assert data.time_per_batch_ms == pytest.approx(100)
    assert data.resource_usage.gpu_percent == 50
    assert [gpu.uuid for gpu in data.resource_usage.gpus] == ["GPU-0", "GPU-1"]


def performance(usage):
    """Return the resource usage as a bridge reads it."""
    throughput = Throughput(0.1, 2.0, 3.0, 4.0, 5.0)
    encoded = Encoder(RunConfig(), lambda *_: None).performance(throughput, usage, 9)
    return wire.MetricsRequest.FromString(encoded.body).performance_data.resource_usage


def test_what_is_not_measured_is_not_sent():
    """A GPU's value that is absent is not 0, while a 0 that was measured is sent."""
    known = {"utilization_percent": 0.0, "power_watts": 70.0}

    (gpu,) = performance(ResourceUsage(None, None, (Gpu(3, "GPU-3", **known),))).gpus

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

    assert performance(ResourceUsage(1.0, 2.0, (second,))).gpu_percent == 50
    lost = performance(ResourceUsage(1.0, 2.0, (second,), first_gpu_missing=True))
    assert (lost.gpu_percent, lost.gpu_memory_mb, len(lost.gpus)) == (0, 0, 1)
    assert performance(ResourceUsage(1.0, 2.0, (Gpu(0, "GPU-0"),))).gpu_percent == 0
    assert performance(ResourceUsage(None, 2.0, ())).memory_mb == 2


@pytest.mark.parametrize(
    ("loss", "arrives"), [(1e39, math.inf), (-1e39, -math.inf), (1e-46, 0.0), (3e38, 3e38)]
)
def test_losses_travel_as_32_bits(loss, arrives):
    """What is beyond their range is infinite, as in a loop that computes in 32 bits; that is not a fault."""
    left_out = LeftOut()

    assert encoded(call(loss=loss), left_out).batch_loss == pytest.approx(arrives)
    assert left_out.counts == {}

"""From bytes to the model, or a clear refusal."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jpegs import jpeg, png

from bridge.errors import FrameLimitError, InvalidDataError
from bridge.hardware import Gpu
from bridge.model import (
    Batch,
    CommandResult,
    Config,
    Epoch,
    Heartbeat,
    Performance,
    Scalars,
    Status,
    StatusChange,
    Update,
)
from bridge.protocol import FRAME_BYTES
from bridge.receiver.decode import decode_frame, decode_request
from bridge.receiver.message_limits import MessageLimits
from bridge.wire import metrics_pb2 as wire
from bridge.wire.scan import FRAME, count_values, without_payload

LIMITS = MessageLimits(images_per_batch=4, image_dimension=64, scalars=3, text=100)


def request(**payload) -> wire.MetricsRequest:
    """Return a request of session `run` with sequence 7."""
    return wire.MetricsRequest(session_id="run", sequence=7, timestamp_ms=5, **payload)


def decoded(message: wire.MetricsRequest) -> Update:
    """Return the one result of a good request."""
    (result,) = decode_request(message.SerializeToString(), LIMITS)
    assert isinstance(result, Update), result
    return result


def refused(message: wire.MetricsRequest) -> InvalidDataError:
    """Return the one result of a bad request."""
    (result,) = decode_request(message.SerializeToString(), LIMITS)
    assert isinstance(result, InvalidDataError), result
    return result


def batch(*images: bytes, **fields) -> wire.MetricsRequest:
    """Return a batch with the images given."""
    parts = [wire.ImageData(image_bytes=image) for image in images]
    return request(
        batch_data=wire.BatchData(epoch=1, batch_idx=2, batch_loss=0.5, images=parts, **fields)
    )


def test_a_batch_keeps_everything_it_reported():
    """Images come with their predictions and truths, in order."""
    predictions = [
        wire.Prediction(predicted_class=3, confidence=0.75),
        wire.Prediction(predicted_class=4, confidence=0.5),
    ]

    result = decoded(
        batch(jpeg(), jpeg(shade=9), predictions=predictions, ground_truth=[3, 5], duration_ms=20.0)
    )

    message = result.message
    assert isinstance(message, Batch)
    assert (message.epoch, message.index, message.loss) == (1, 2, 0.5)
    assert (message.duration_seconds, message.sample_count, message.invalid_images) == (0.02, 2, 0)
    assert [(i.index, i.predicted_class, i.confidence, i.true_class) for i in message.images] == [
        (0, 3, 0.75, 3),
        (1, 4, 0.5, 5),
    ]
    assert message.images[1].jpeg == jpeg(shade=9)
    assert message.sent_ms == 5
    assert (result.session_id, result.sequence) == ("run", 7)


def test_zero_is_not_what_was_left_out():
    """Optional fields are None where a client left them out, also when it is an old one."""
    plain = decoded(request(epoch_data=wire.EpochData(epoch=1, average_loss=2.0))).message
    full = decoded(
        request(epoch_data=wire.EpochData(epoch=1, validation_loss=0.0, learning_rate=0.0))
    ).message

    assert plain == Epoch(1, 2.0, None)
    assert full == Epoch(1, 0.0, None, validation_loss=0.0, learning_rate=0.0)
    assert decoded(batch()).message.duration_seconds is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (request(), "payload: none is set"),
        (batch(*[jpeg()] * 5), "batch_data.images: 5 are more than the 4 allowed"),
        (batch(jpeg(), ground_truth=[1, 2]), "1, 0 and 2 of them do not match"),
        (
            batch(predictions=[wire.Prediction()], ground_truth=[1, 2]),
            "0, 1 and 2 of them do not match",
        ),
        (request(status_update=wire.StatusUpdate(status=77)), "status_update.status: 77"),
        (
            request(scalar_data=wire.ScalarData(values={str(i): i for i in range(4)})),
            "scalar_data.values: 4",
        ),
    ],
)
def test_a_broken_rule_is_named(message, reason):
    """A refusal names field and reason, and the message it is about."""
    error = refused(message)

    assert reason in str(error)
    assert error.sequence == 7


def test_one_bad_image_costs_only_itself():
    """The rest of the batch stands; the fault names the image, and it is counted."""
    raw = batch(jpeg(), png(), b"", jpeg(99, 1), ground_truth=[1, 2, 3, 4]).SerializeToString()

    update, fault = decode_request(raw, LIMITS)

    message = update.message
    assert [(image.index, image.true_class) for image in message.images] == [(0, 1)]
    assert message.invalid_images == 3
    assert message.ground_truth == (1, 2, 3, 4)
    for text in (
        "batch_data.images[1].image_bytes is not a JPEG",
        "images[2].image_bytes is empty",
        "images[3]",
    ):
        assert text in str(fault)
    assert fault.sequence == 0


def left_out(image: bytes = b"") -> wire.ImageData:
    """Return the place of an image that the sender has left out."""
    return wire.ImageData(image_bytes=image, left_out=True)


def test_an_image_that_was_left_out_keeps_the_places_of_the_others():
    """It is an entry where entries are counted, no fault, and neither received nor invalid."""
    images = [
        left_out(),
        wire.ImageData(image_bytes=jpeg()),
        left_out(),
        wire.ImageData(image_bytes=jpeg(shade=9)),
    ]
    predictions = [wire.Prediction(predicted_class=number) for number in range(4)]
    data = wire.BatchData(images=images, predictions=predictions, ground_truth=[5, 6, 7, 8])

    message = decoded(request(batch_data=data)).message

    assert [(one.index, one.predicted_class, one.true_class) for one in message.images] == [
        (1, 1, 6),
        (3, 3, 8),
    ]
    assert (message.invalid_images, message.sample_count) == (0, 4)
    assert len(message.predictions) == len(message.ground_truth) == 4


@pytest.mark.parametrize(
    ("images", "truths", "reason"),
    [
        ([left_out()] * 5, [], "images: 5 are more than the 4 allowed"),
        ([left_out()] * 2, [1, 2, 3], "2, 0 and 3 of them do not match"),
    ],
)
def test_left_out_images_count_as_entries(images, truths, reason):
    """Limits and lengths are about places, not about bytes."""
    data = wire.BatchData(images=images, ground_truth=truths)

    assert reason in str(refused(request(batch_data=data)))


def test_an_image_cannot_be_left_out_and_sent():
    """Whoever sends both has a fault, which costs that image; one without bytes is one unless it is left out."""
    data = wire.BatchData(images=[left_out(jpeg()), left_out(), wire.ImageData()])
    raw = request(batch_data=data).SerializeToString()

    update, fault = decode_request(raw, LIMITS)

    assert (update.message.images, update.message.invalid_images) == ((), 2)
    assert "images[0].image_bytes is set though the image is left out" in str(fault)
    assert "images[1]" not in str(fault)
    assert "images[2].image_bytes is empty" in str(fault)


@pytest.mark.parametrize(
    ("sent", "confidence"),
    [
        (0.0, None),
        (0.5, 0.5),
        (1.0, 1.0),
        (1.0005, 1.0),
        (1.5, None),
        (-1.0, None),
        (math.nan, None),
    ],
)
def test_an_image_has_the_confidence_that_is_one(sent, confidence):
    """0 is not reported, what lies outside 0..1 is nothing of the kind, and rounding is forgiven."""
    message = decoded(batch(jpeg(), predictions=[wire.Prediction(confidence=sent)])).message

    assert message.images[0].confidence == confidence


def test_a_whole_batch_of_predictions_needs_no_images():
    """Predictions may be reported for more samples than are shown."""
    message = decoded(batch(predictions=[wire.Prediction()] * 9, ground_truth=[0] * 9)).message

    assert (len(message.predictions), message.sample_count) == (9, 9)


def test_the_single_gpu_of_old_clients_is_gpu_0():
    """gpu_percent and gpu_memory_mb become one GPU unless a list is there."""
    old = wire.ResourceUsage(cpu_percent=150, memory_mb=2, gpu_percent=50, gpu_memory_mb=1)
    new = wire.ResourceUsage(gpu_percent=50, gpus=[wire.GpuUsage(index=3, uuid="u", power_watts=9)])

    def gpus(usage: wire.ResourceUsage) -> tuple[Gpu, ...]:
        message = decoded(
            request(performance_data=wire.PerformanceData(resource_usage=usage))
        ).message
        assert isinstance(message, Performance)
        return message.resources.gpus

    assert gpus(old) == (Gpu(0, "", 0.5, 2.0**20),)
    assert gpus(new) == (Gpu(3, "u", power_watts=9.0),)
    assert gpus(wire.ResourceUsage(cpu_percent=1)) == ()


def test_the_other_messages_arrive_whole():
    """Status with configuration, scalars, command results and heartbeats."""
    config = wire.TrainingConfig(total_epochs=9, class_names=["cat", "dog"])
    status = request(
        status_update=wire.StatusUpdate(status=wire.RUNNING, message="go", config=config)
    )
    scalars = request(scalar_data=wire.ScalarData(epoch=1, batch_idx=2, values={"grad": math.inf}))
    answer = request(
        command_result=wire.CommandResult(
            command_id="c", applied=True, message="m", epoch=1, batch_idx=2
        )
    )

    assert decoded(status).message == StatusChange(
        Status.RUNNING, "go", Config(total_epochs=9, class_names=("cat", "dog"))
    )
    assert decoded(scalars).message == Scalars(1, 2, {"grad": math.inf})
    assert decoded(answer).message == CommandResult("c", True, "m", 1, 2)
    assert decoded(request(heartbeat=wire.Heartbeat())).message == Heartbeat()


@given(st.binary(max_size=100))
def test_any_bytes_get_exactly_one_answer(noise):
    """Undecodable bytes are refused, never an exception."""
    (result,) = decode_request(noise, LIMITS)

    assert isinstance(result, Update | InvalidDataError)


@given(st.binary(max_size=100))
def test_any_frame_gets_answers(noise):
    """Undecodable frames are refused, never an exception."""
    for result in decode_frame(noise, LIMITS):
        assert isinstance(result, Update | InvalidDataError)


def test_a_bad_message_in_a_frame_costs_only_itself():
    """Bad UTF-8 in one request of a frame leaves its neighbours standing."""
    good = batch().SerializeToString()
    bad = b"\x0a\x02\xff\xfe"
    frame = b"".join(b"\x0a" + bytes([len(part)]) + part for part in (good, bad, good))

    results = list(decode_frame(frame, LIMITS))

    assert [type(result) for result in results] == [Update, InvalidDataError, Update]


def test_a_frame_that_breaks_off_is_refused_once():
    """What came before the break is served."""
    good = batch().SerializeToString()
    frame = b"\x0a" + bytes([len(good)]) + good + b"\x0a\x7f\x00"

    results = list(decode_frame(frame, LIMITS))

    assert [type(result) for result in results] == [Update, InvalidDataError]


@pytest.mark.parametrize("tail", [b"", b"\x0a\x02\xff\xfe"], ids=["readable", "not"])
def test_a_frame_of_countless_requests_is_cut_short(tail):
    """A small frame cannot make the bridge answer endlessly."""
    results = decode_frame(b"\x0a\x00" * 100_000 + tail, LIMITS)

    assert len(results) <= LIMITS.requests_per_frame + 1
    assert "in one frame" in str(results[-1])


def test_long_texts_are_cut():
    """No text of a client's grows without bound."""
    status = request(status_update=wire.StatusUpdate(status=wire.FAILED, message="x" * 999))

    assert len(decoded(status).message.message) == 100


def field(tag: int, content: bytes) -> bytes:
    """Return an encoded field of bytes."""
    encoded = bytearray()
    for number in (tag << 3 | 2, len(content)):
        left = number
        while left > 0x7F:
            encoded.append(left & 0x7F | 0x80)
            left >>= 7
        encoded.append(left)
    return bytes(encoded) + content


MANY = 2_000
FEW = MessageLimits(values=1_000)
CRAMMED = {
    "empty images": field(3, field(3, b"") * MANY),
    "empty predictions": field(3, field(4, b"") * MANY),
    "packed classes": field(3, field(5, b"\x01" * MANY)),
    "packed classes of two bytes": field(3, field(5, b"\x80\x01" * MANY)),
    "classes one by one": field(3, b"\x28\x01" * MANY),
    "class names": field(6, field(3, field(6, b"") * MANY)),
    "scalars": field(16, b"".join(field(3, field(1, b"%d" % i)) for i in range(MANY))),
    "GPUs": field(5, field(6, field(16, b"") * MANY)),
    "payloads that replace each other": (field(3, b"") + field(4, b"")) * MANY,
    "unknown fields": field(3, b"\xa0\x06\x01" * MANY),
    "unknown groups": field(3, b"\xa3\x06" * MANY),
    "numbers of eight bytes": field(3, (b"\xa1\x06" + bytes(8)) * MANY),
}
"""Requests of a few bytes for each of very many objects."""
NUMBERED = request().SerializeToString()


@pytest.mark.parametrize("crammed", CRAMMED.values(), ids=CRAMMED)
def test_a_request_of_too_many_values_is_refused_unbuilt(crammed, monkeypatch):
    """Whatever the field: nothing is parsed but the session and the sequence that the refusal is for."""
    parsed = []
    parse = wire.MetricsRequest.FromString
    monkeypatch.setattr(
        "bridge.receiver.decode.wire.MetricsRequest.FromString",
        lambda raw: parsed.append(len(raw)) or parse(raw),
        raising=False,
    )

    (error,) = decode_request(NUMBERED + crammed, FEW)

    assert isinstance(error, InvalidDataError)
    assert "--max-message-values" in str(error)
    assert (error.sequence, error.session_id, error.is_unreadable) == (7, "run", False)
    assert max(parsed, default=0) < 100


@pytest.mark.parametrize("crammed", CRAMMED.values(), ids=CRAMMED)
def test_a_frame_is_taken_up_to_its_limit_of_values(crammed):
    """What comes before is applied, the request itself refused for good, and the rest is sent again."""
    good = request(heartbeat=wire.Heartbeat()).SerializeToString()
    frame = field(1, good) + field(1, NUMBERED + crammed) + field(1, good)

    first, second, third = decode_frame(frame, FEW)

    assert isinstance(first, Update)
    assert isinstance(second, InvalidDataError)
    assert second.sequence == 7
    assert isinstance(third, FrameLimitError)


def test_requests_that_are_fine_alone_are_too_many_in_one_frame():
    """Those above the limit are not taken, and the client is asked for them."""
    one = request(scalar_data=wire.ScalarData(values=dict.fromkeys("abc", 1.0)))
    frame = field(1, one.SerializeToString()) * 300

    results = decode_frame(frame, MessageLimits(values=1_000, uncounted_bytes=100))

    assert isinstance(results[-1], FrameLimitError)
    assert 100 < len(results) < 300
    assert all(isinstance(result, Update) for result in results[:-1])


def test_a_full_frame_of_the_sdk_is_taken_whole():
    """A client that catches up fills frames with 16 predictions a message: far more values than the limit."""
    batch = wire.BatchData(
        batch_loss=0.5,
        predictions=[wire.Prediction(predicted_class=3, confidence=0.5)] * 16,
        ground_truth=[3] * 16,
    )
    limits = MessageLimits()
    frame = field(1, request(batch_data=batch).SerializeToString()) * limits.requests_per_frame
    assert len(frame) <= FRAME_BYTES
    assert count_values(frame, FRAME, limits.values) > limits.values

    results = decode_frame(frame, limits)

    assert len(results) == limits.requests_per_frame
    assert all(isinstance(result, Update) for result in results)


def test_a_request_whose_number_is_lost_is_unreadable():
    """It then holds up the others until it has been sent as often as any that cannot be read."""
    (error,) = decode_request(CRAMMED["empty predictions"] + NUMBERED[:1], FEW)

    assert isinstance(error, InvalidDataError)
    assert error.is_unreadable


def test_large_images_are_few_values():
    """What counts is how much would be built, not how long it is."""
    images = [jpeg(64, 64) + bytes(100_000)] * 4
    message = batch(*images)

    (result,) = decode_request(message.SerializeToString(), MessageLimits(values=1_000))

    assert isinstance(result, Update)


@given(st.binary(max_size=300))
def test_counting_takes_any_bytes(raw):
    """It never fails, and never counts more than the bytes there are."""
    assert count_values(raw, FRAME, 1_000) <= len(raw)
    without_payload(raw)


def test_a_name_of_a_scalar_has_a_limit():
    """It would be kept as long as its session."""
    error = refused(request(scalar_data=wire.ScalarData(values={"x" * 101: 1.0})))

    assert "a name of 101 characters" in str(error)

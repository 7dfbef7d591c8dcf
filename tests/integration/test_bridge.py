"""A whole bridge in its own process: what comes in at one door comes out at the others."""

import json
import signal

import grpc
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.bridges import running_bridge
from support.jpegs import jpeg, png
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

INVALID_DATA = wire.ErrorResponse.INVALID_DATA
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Return a running bridge that keeps all images."""
    with running_bridge(tmp_path_factory.mktemp("bridge") / "state", "--images-keep", "all") as one:
        yield one


@pytest.fixture
def stub(bridge):
    """Return a stub of the bridge."""
    with grpc.insecure_channel(bridge.grpc) as channel:
        yield MetricsServiceStub(channel)


def register(stub, session_id: str, **fields) -> str:
    """Register a session, and return what its streams show."""
    response = stub.RegisterTrainingSession(wire.SessionInfo(session_id=session_id, **fields))
    assert response.success, response.message
    return response.stream_token


def batch(session_id: str, index: int, *images: bytes, loss: float = 0.5, **fields):
    """Return a batch of epoch 1."""
    parts = [wire.ImageData(image_bytes=image) for image in images]
    data = wire.BatchData(epoch=1, batch_idx=index, batch_loss=loss, images=parts, **fields)
    return wire.MetricsRequest(session_id=session_id, batch_data=data)


def stream(stub, *requests, token: str = "") -> list[wire.MetricsResponse]:
    """Send requests on one stream and return all answers."""
    metadata = (("trainbridge-stream-token", token),) if token else ()
    return list(stub.StreamMetrics(iter(requests), timeout=60, metadata=metadata))


def test_a_run_comes_out_at_every_door(bridge, stub):
    """Batches are counted, acknowledged, shown, and each image is served byte for byte."""
    config = wire.TrainingConfig(total_epochs=2, class_names=["cat", "dog"], model_name="m")
    register(stub, "whole", config=config)
    images = [jpeg(shade=shade) for shade in (10, 20)]
    predictions = [
        wire.Prediction(predicted_class=0, confidence=0.9),
        wire.Prediction(predicted_class=1, confidence=0.6),
    ]
    epoch = wire.EpochData(epoch=1, average_loss=0.25, average_accuracy=0.5)
    done = wire.StatusUpdate(status=wire.COMPLETED)

    answers = stream(
        stub,
        *[
            batch("whole", index, *images, predictions=predictions, ground_truth=[0, 0])
            for index in range(20)
        ],
        wire.MetricsRequest(session_id="whole", epoch_data=epoch),
        wire.MetricsRequest(session_id="whole", status_update=done),
    )

    assert [answer.ack.batch_idx for answer in answers] == list(range(20))
    assert bridge.total("training_batches_total", session_id="whole") == 20
    assert bridge.total("training_images_total", session_id="whole", result="stored") == 40
    assert bridge.total("training_predictions_total", session_id="whole", correct="false") == 20
    for index in (0, 19):
        for position, image in enumerate(images):
            path = f"/sessions/whole/batches/1-{index}/{position}.jpg"
            assert bridge.get(path) == image
    assert b"whole" in bridge.get("/")
    assert b"cat" in bridge.get("/sessions/whole/batches/1-3")
    (session,) = [
        one
        for one in json.loads(bridge.get("/api/v1/sessions"))["sessions"]
        if one["session_id"] == "whole"
    ]
    assert (session["status"], session["batches"]) == ("completed", 20)


def test_a_batch_of_classes_and_places_only(bridge, stub):
    """Predicted classes without a confidence, a loss that is missing and images left out, at every door."""
    register(stub, "bare")
    left_out = wire.ImageData(left_out=True)
    images = [wire.ImageData(image_bytes=jpeg()) if n in (3, 7) else left_out for n in range(16)]
    predictions = [wire.Prediction(predicted_class=n % 2) for n in range(16)]
    data = wire.BatchData(
        epoch=1,
        batch_idx=4,
        batch_loss=NAN,
        loss_missing=True,
        images=images,
        predictions=predictions,
        ground_truth=[0] * 16,
    )

    answers = stream(stub, wire.MetricsRequest(session_id="bare", batch_data=data))

    assert [answer.WhichOneof("payload") for answer in answers] == ["ack"]
    assert answers[0].ack.images_dropped == 0
    assert bridge.total("training_predictions_total", session_id="bare") == 16
    assert bridge.total("training_samples_total", session_id="bare") == 16
    assert bridge.total("training_images_total", session_id="bare", result="stored") == 2
    assert bridge.total("training_images_total", session_id="bare", result="invalid") == 0
    page = bridge.get("/metrics").decode()
    for name in ("prediction_confidence", "loss", "batch_loss"):
        assert f'training_{name}_count{{session_id="bare"' not in page
        assert f'training_{name}{{session_id="bare"' not in page
    (batch,) = json.loads(bridge.get("/api/v1/sessions/bare/images"))["batches"]
    assert batch["loss"] is None
    seen = [(one["position"], one["predicted_class"], one["confidence"]) for one in batch["images"]]
    assert seen == [(3, 1, None), (7, 1, None)]
    assert bridge.get("/sessions/bare/batches/1-4/7.jpg") == jpeg()
    assert b" %" not in bridge.get("/sessions/bare/batches/1-4")


def test_nothing_a_client_sends_harms_the_bridge(bridge, stub):
    """Bad bytes, bad ids, bad images and bad numbers: each is answered, and all pages still work."""
    state = bridge.log.parent
    before = set(state.iterdir())
    for session_id in ("../../x", "<script>", "x" * 10_240, "a\nb"):
        assert not stub.RegisterTrainingSession(wire.SessionInfo(session_id=session_id)).success
    register(stub, "rough", client_name='"\\\n<b>', labels={"a.b": "\n", "a_b": '"'})
    values = {"a.b": NAN, "a_b": INFINITE, 'x"\n': -INFINITE, "ü": 1.0}
    strange = wire.EpochData(epoch=2**32 - 1, average_loss=NAN, average_accuracy=-INFINITE)
    performance = wire.PerformanceData(
        time_per_batch_ms=NAN,
        current_fps=INFINITE,
        resource_usage=wire.ResourceUsage(cpu_percent=NAN, gpus=[wire.GpuUsage(uuid='"\n')]),
    )

    answers = stream(
        stub,
        batch("rough", 0, *[jpeg()] * 17),
        batch("rough", 1, jpeg(), png(), b""),
        batch("rough", 2, jpeg(), ground_truth=[1, 2]),
        batch("rough", 3, loss=NAN, duration_ms=NAN),
        batch(
            "rough",
            4,
            loss=INFINITE,
            predictions=[wire.Prediction(predicted_class=-9)],
            ground_truth=[99],
        ),
        wire.MetricsRequest(session_id="rough", timestamp_ms=2**64 - 1, epoch_data=strange),
        wire.MetricsRequest(session_id="rough", performance_data=performance),
        wire.MetricsRequest(session_id="rough", scalar_data=wire.ScalarData(values=values)),
        wire.MetricsRequest(session_id="nobody", heartbeat=wire.Heartbeat()),
        batch("rough", 5),
    )

    errors = [answer.error for answer in answers if answer.HasField("error")]
    acks = [answer.ack.batch_idx for answer in answers if answer.HasField("ack")]
    assert acks == [1, 3, 4, 5]
    assert len(errors) == 4
    assert {error.code for error in errors} == {INVALID_DATA, wire.ErrorResponse.INVALID_SESSION}
    assert bridge.total("training_batches_total", session_id="rough") == 4
    assert (
        bridge.total("training_nonfinite_values_total", session_id="rough", field="batch_loss") == 2
    )
    assert bridge.total("training_batch_loss_count", session_id="rough") == 2
    page = bridge.get("/metrics", Accept="application/openmetrics-text; version=1.0.0").decode()
    assert list(text_string_to_metric_families(page))
    for path in ("/", "/sessions/rough", "/sessions/rough/batches/1-1", "/api/v1/sessions/rough"):
        assert bridge.get(path)
    assert set(state.iterdir()) == before


def test_a_40_mb_message_costs_only_its_stream(bridge, stub):
    """GRPC refuses it by name, and the session goes on with the next stream."""
    register(stub, "large")

    with pytest.raises(grpc.RpcError) as raised:
        stream(stub, batch("large", 0, bytes(40 << 20)))

    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [answer.ack.batch_idx for answer in stream(stub, batch("large", 1))] == [1]


def test_a_stop_is_clean_and_a_start_finds_everything(tmp_path):
    """SIGTERM ends with 0; after it sessions, sequences and images are still there."""
    state = tmp_path / "state"
    with running_bridge(state, "--images-keep", "all") as first:
        with grpc.insecure_channel(first.grpc) as channel:
            stub = MetricsServiceStub(channel)
            token = register(stub, "run", client_instance_id="i")
            request = batch("run", 0, jpeg())
            request.sequence = 9
            stream(stub, request, token=token)
        assert first.stop(signal.SIGTERM) == 0
    with running_bridge(state) as second, grpc.insecure_channel(second.grpc) as channel:
        stub = MetricsServiceStub(channel)
        again = stub.RegisterTrainingSession(
            wire.SessionInfo(session_id="run", client_instance_id="i")
        )
        image = second.get("/sessions/run/batches/1-0/0.jpg")

    assert (again.success, again.resume_sequence) == (True, 9)
    assert image == jpeg()


def test_the_image_of_a_batch_is_there_while_its_shard_is_open(bridge, stub):
    """Acknowledged means readable: nobody waits for an upload."""
    register(stub, "open")

    def requests():
        yield batch("open", 0, jpeg(shade=33))
        until_true(lambda: seen, what="the batch is acknowledged")
        yield batch("open", 1)

    seen: list[int] = []
    for answer in stub.StreamMetrics(requests(), timeout=60):
        seen.append(answer.ack.batch_idx)
        if seen == [0]:
            assert bridge.get("/sessions/open/batches/1-0/0.jpg") == jpeg(shade=33)

    assert seen == [0, 1]
    assert bridge.get("/go/images?session=open&epoch=1&batch=0")


def test_a_second_bridge_on_the_same_state_is_refused(bridge):
    """It says so in one sentence and touches nothing."""
    state = bridge.log.parent / "state"

    with pytest.raises(AssertionError, match="in use by another bridge"), running_bridge(state):
        pass

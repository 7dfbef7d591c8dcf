"""Spans against a real OTLP receiver, with the exporters as users get them."""

import signal
import socket
from contextlib import contextmanager

import grpc
import pytest
from support.bridges import running_bridge
from support.jpegs import jpeg
from support.otlp import PROTOCOLS, receiving
from support.spans import CONFIG, PUBLIC_URL, START, World, averages, batch
from support.waiting import until, until_true

from bridge import __version__
from bridge.lifecycle import Ended, Registered
from bridge.model import Client, Stage, Status, StatusChange
from bridge.sinks.spans import Endpoint, open_spans
from bridge.trace_context import TraceContext, span_id_of, trace_id_of
from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

WAIT_SECONDS = 60


def endpoint_of(receiver, protocol, **more):
    """Return the endpoint at which a receiver listens."""
    return Endpoint(receiver.url, protocol, instance_id="bridge-0", **more)


async def arrived(receiver, count):
    """Wait until so many spans have arrived."""
    await until(lambda: len(receiver.spans) >= count, seconds=WAIT_SECONDS)


@pytest.fixture
def bridge(tmp_path):
    """A bridge as far as spans go; its sink is the one that `opened` returns."""
    bridge = World(tmp_path)
    yield bridge
    bridge.close()


def opened(bridge, endpoint):
    """Open the sink as the service does."""
    return open_spans(bridge.database, bridge.telemetry, endpoint, public_url=PUBLIC_URL)


def trained(bridge):
    """Let a session of two epochs happen, the second one unfinished."""
    session = bridge.register()
    bridge.happen(session, StatusChange(Status.RUNNING), at=START + 1)
    bridge.happen(session, batch(1, 0, 0.5, sample_count=32), batch(1, 1, 2.0), at=START + 2)
    bridge.happen(session, averages(1, 0.5, 0.75, validation_loss=0.25), at=START + 3)
    bridge.happen(session, batch(2, 0, 0.25), at=START + 4)
    bridge.happen(session, StatusChange(Status.FAILED, "killed"), Ended(Stage.ENDED), at=START + 5)
    bridge.commit()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_session_arrives_whole(bridge, protocol):
    """Root, epochs and end arrive with ids, parents, times, attributes, events, status and resource."""
    with receiving(protocol) as receiver:
        async with opened(bridge, endpoint_of(receiver, protocol)) as bridge.sink:
            trained(bridge)
            await arrived(receiver, 4)
            await until(lambda: bridge.outbox.count() == 0)

    root, first, second, end = receiver.spans
    names = [span.name for span in receiver.spans]
    assert names == ["training.session", "training.epoch", "training.epoch", "training.session.end"]
    assert {span.trace_id for span in receiver.spans} == {trace_id_of("run", 1)}
    assert [span.parent_id for span in receiver.spans] == ["", *[root.span_id] * 3]
    assert [span.status for span in receiver.spans] == [0, 0, 2, 2]
    assert end.message == "killed"
    assert (first.start_ns, first.end_ns) == ((int(START) + 2) * 10**9, (int(START) + 3) * 10**9)
    assert (end.start_ns, end.end_ns) == (int(START) * 10**9, (int(START) + 5) * 10**9)
    assert first.attributes == {
        "training.session.id": "run",
        "training.session.attempt": 1,
        "training.model.name": CONFIG.model_name,
        "training.dataset.name": CONFIG.dataset_name,
        "training.epoch": 1,
        "training.epoch.complete": True,
        "training.loss": 0.5,
        "training.loss.highest": 2.0,
        "training.accuracy": 0.75,
        "training.validation.loss": 0.25,
        "training.batches": 2,
        "training.samples": 32,
        "training.nonfinite": 0,
        "training.images.url": f"{PUBLIC_URL}/go/images?session=run&attempt=1&epoch=1",
    }
    assert [name for name, _, _ in first.events] == ["highest loss"]
    assert first.resource["service.name"] == "trainbridge"
    assert first.resource["service.instance.id"] == "bridge-0"
    assert first.resource["service.version"] == __version__
    assert second.attributes["training.epoch.complete"] is False
    assert bridge.count("exported") == 4
    assert bridge.count("dropped") == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_endpoint_that_comes_up_later_gets_every_span_once(bridge, protocol):
    """Nothing is lost while nobody listens, and nothing arrives twice."""
    with receiving(protocol) as receiver:
        pass
    async with opened(bridge, endpoint_of(receiver, protocol)) as bridge.sink:
        trained(bridge)
        await until(lambda: bridge.count("failed") > 0, seconds=WAIT_SECONDS)
        assert bridge.outbox.count() == 4
        with receiving(protocol, port=receiver.port, kept=receiver):
            await until(lambda: bridge.outbox.count() == 0, seconds=WAIT_SECONDS)

    assert len(receiver.spans) == 4
    assert len({span.span_id for span in receiver.spans}) == 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_spans_outlive_the_bridge(tmp_path, protocol):
    """What could not be delivered before a stop is delivered after the next start, in the same trace."""
    with receiving(protocol) as receiver:
        pass
    before = World(tmp_path)
    async with opened(before, endpoint_of(receiver, protocol)) as before.sink:
        session = before.register()
        before.happen(session, averages(1), at=START + 1)
        before.commit()
        restored = before.restored(session)
    before.close()
    assert receiver.spans == []

    after = World(tmp_path)
    with receiving(protocol, port=receiver.port, kept=receiver):
        async with opened(after, endpoint_of(receiver, protocol)) as after.sink:
            after.sink.replay(restored, Registered(), START + 9)
            after.happen(restored, averages(2), at=START + 10)
            after.commit()
            await arrived(receiver, 3)
    after.close()

    assert [span.span_id for span in receiver.spans] == [
        span_id_of("run", 1, name) for name in ("session", "epoch/1", "epoch/2")
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_headers_arrive(bridge, protocol):
    """An API key goes along with every request."""
    with receiving(protocol) as receiver:
        endpoint = endpoint_of(receiver, protocol, headers={"api-key": "a b"})
        async with opened(bridge, endpoint) as bridge.sink:
            bridge.register()
            bridge.commit()
            await arrived(receiver, 1)

    assert receiver.headers[0]["api-key"] == "a b"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_session_joins_the_trace_of_its_client(bridge, protocol):
    """A sampled parent is the remote parent of the root; an unsampled one is a link."""
    trace, parent = "a" * 32, "b" * 16
    with receiving(protocol) as receiver:
        async with opened(bridge, endpoint_of(receiver, protocol)) as bridge.sink:
            for name, flags in (("joined", "01"), ("linked", "00")):
                client = Client(trace_context=TraceContext(trace, parent, int(flags, 16)))
                bridge.register(name, client=client)
            bridge.commit()
            await arrived(receiver, 2)

    joined, linked = receiver.spans
    assert (joined.trace_id, joined.parent_id) == (trace, parent)
    assert linked.trace_id == trace_id_of("linked", 1)
    assert [(link[0], link[1]) for link in linked.links] == [(trace, parent)]


async def test_a_request_is_compressed_where_asked(bridge):
    """Gzip saves a slow line two thirds."""
    with receiving("http/protobuf") as receiver:
        endpoint = endpoint_of(receiver, "http/protobuf", compression="gzip")
        async with opened(bridge, endpoint) as bridge.sink:
            bridge.register()
            bridge.commit()
            await arrived(receiver, 1)

    assert receiver.headers[0]["content-encoding"] == "gzip"


def test_a_whole_bridge_sends_spans_that_lead_to_images(tmp_path):
    """From gRPC in to OTLP out: the link in the epoch's span shows the images of its worst batch."""
    with (
        receiving("grpc") as receiver,
        running_bridge(
            tmp_path / "state", "--otlp-endpoint", receiver.url, "--images-keep", "all"
        ) as bridge,
        grpc.insecure_channel(bridge.grpc) as channel,
    ):
        stub = MetricsServiceStub(channel)
        stub.RegisterTrainingSession(
            wire.SessionInfo(session_id="whole"),
            metadata=[("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")],
        )
        picture = wire.ImageData(image_bytes=jpeg(shade=10))
        data = wire.BatchData(epoch=1, batch_idx=7, batch_loss=0.5, images=[picture])
        request = wire.MetricsRequest(session_id="whole", batch_data=data)
        averages = wire.MetricsRequest(
            session_id="whole", epoch_data=wire.EpochData(epoch=1, average_loss=0.5)
        )
        list(stub.StreamMetrics(iter([request, averages]), timeout=60))
        until_true(lambda: receiver.named("training.epoch"), seconds=WAIT_SECONDS)
        [epoch] = receiver.named("training.epoch")
        link = epoch.attributes["training.images.url"]
        page = bridge.get(link.removeprefix(f"http://{bridge.http}")).decode()
        assert bridge.stop() == 0

    [root] = receiver.named("training.session")
    assert (root.trace_id, root.parent_id) == ("a" * 32, "b" * 16)
    assert epoch.trace_id == root.trace_id
    assert "batches/1-7/0.jpg" in page


def run_until_killed(state, receiver, number, *, spans):
    """Start a bridge, tell it one epoch, and kill it once it has noted that its spans were taken."""
    with (
        running_bridge(state, "--otlp-endpoint", receiver.url) as bridge,
        grpc.insecure_channel(bridge.grpc) as channel,
    ):
        stub = MetricsServiceStub(channel)
        if number == 1:
            stub.RegisterTrainingSession(wire.SessionInfo(session_id="killed"))
        epoch = wire.EpochData(epoch=number)
        averages = wire.MetricsRequest(session_id="killed", epoch_data=epoch, sequence=number)
        list(stub.StreamMetrics(iter([averages]), timeout=60))
        until_true(lambda: bridge.total("bridge_spans_total", result="exported") == spans)
        bridge.process.kill()
        bridge.process.wait()


def test_a_killed_bridge_goes_on_with_its_traces(tmp_path):
    """After kill -9 the session's later spans join the same trace, and none comes twice."""
    with receiving("grpc") as receiver:
        run_until_killed(tmp_path / "state", receiver, 1, spans=2)
        run_until_killed(tmp_path / "state", receiver, 2, spans=1)

    assert [span.span_id for span in receiver.spans] == [
        span_id_of("killed", 1, name) for name in ("session", "epoch/1", "epoch/2")
    ]


def test_a_stop_in_the_middle_of_an_epoch_costs_its_span_nothing(tmp_path):
    """An epoch that a clean restart falls into is exported whole: its start, and every batch."""
    with receiving("http/protobuf") as receiver:
        endpoint = receiver.url.removesuffix("/v1/traces")
        flags = ("--otlp-endpoint", endpoint, "--otlp-protocol", "http/protobuf")
        for part in (range(1, 8), range(8, 11)):
            with (
                running_bridge(tmp_path / "state", *flags) as bridge,
                grpc.insecure_channel(bridge.grpc) as channel,
            ):
                stub = MetricsServiceStub(channel)
                if part[0] == 1:
                    stub.RegisterTrainingSession(wire.SessionInfo(session_id="stopped"))
                list(stub.StreamMetrics(map(numbered_batch, part), timeout=60))
                if part[0] == 8:
                    epoch = wire.EpochData(epoch=1)
                    averages = wire.MetricsRequest(
                        session_id="stopped", epoch_data=epoch, sequence=11
                    )
                    list(stub.StreamMetrics(iter([averages]), timeout=60))
                assert bridge.stop() == 0

    [epoch] = receiver.named("training.epoch")
    assert epoch.attributes["training.batches"] == 10
    assert len(receiver.named("training.session")) == 1


def numbered_batch(number):
    """Return a batch of epoch 1, numbered."""
    data = wire.BatchData(epoch=1, batch_idx=number, batch_loss=0.5)
    return wire.MetricsRequest(session_id="stopped", batch_data=data, sequence=number)


@contextmanager
def hanging_collector():
    """Accept connections, and never answer; yields the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_hangs_holds_up_no_stop(tmp_path, protocol):
    """Its spans are counted as waiting, stay for the next start, and the bridge is gone within its grace."""
    flags = ("--otlp-protocol", protocol, "--otlp-timeout-seconds", "600")
    with (
        hanging_collector() as url,
        running_bridge(
            tmp_path / "state", "--otlp-endpoint", url, "--shutdown-grace-seconds", "3", *flags
        ) as bridge,
        grpc.insecure_channel(bridge.grpc) as channel,
    ):
        MetricsServiceStub(channel).RegisterTrainingSession(wire.SessionInfo(session_id="kept"))
        until_true(lambda: bridge.total("bridge_span_outbox") == 1)
        assert bridge.stop() == 0
        log = bridge.log.read_text()

    assert "took longer" not in log
    assert '"error"' not in log
    with receiving(protocol) as receiver:
        again = ("--otlp-endpoint", receiver.url, "--otlp-protocol", protocol)
        with running_bridge(tmp_path / "state", *again) as bridge:
            until_true(lambda: receiver.named("training.session"), seconds=WAIT_SECONDS)


def test_a_second_signal_ends_a_bridge_whose_collector_hangs(tmp_path):
    """However long its grace is."""
    with (
        hanging_collector() as url,
        running_bridge(
            tmp_path / "state",
            *("--otlp-endpoint", url, "--otlp-protocol", "http/protobuf"),
            *("--otlp-timeout-seconds", "600", "--shutdown-grace-seconds", "3600"),
        ) as bridge,
        grpc.insecure_channel(bridge.grpc) as channel,
    ):
        MetricsServiceStub(channel).RegisterTrainingSession(wire.SessionInfo(session_id="kept"))
        until_true(lambda: bridge.total("bridge_span_outbox") == 1)
        bridge.process.send_signal(signal.SIGTERM)

        def is_gone_after_another():
            bridge.process.send_signal(signal.SIGTERM)
            return bridge.process.poll() is not None

        until_true(is_gone_after_another, seconds=30)
        assert bridge.process.returncode != 0


def test_connections_of_a_running_bridge_are_shown(tmp_path):
    """A collector that refuses takes no readiness, and stands with its cause on the page and in a series."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with running_bridge(tmp_path / "state", "--otlp-endpoint", url) as bridge:
        until_true(lambda: b"not checked yet" not in bridge.get("/readyz?verbose"))
        page = bridge.get("/readyz?verbose").decode()
        assert bridge.total("bridge_connection_up", connection="otlp") == 0
        assert bridge.get("/readyz") == b"stopping: ok\ncommits: ok\nspool: ok\n"

    assert f"connection otlp ({url}): {url} by grpc: nothing listens there" in page
    assert f"connection state_folder ({tmp_path}/state): ok" in page

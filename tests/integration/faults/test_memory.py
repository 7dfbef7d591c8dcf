"""Under more load than it can take away, a bridge gives up images, and never its life."""

import os
import threading
import time

import grpc
import pytest
from support.bridges import running_bridge
from support.buckets import bucket_behind_proxy, flags, moto
from support.jpegs import jpeg
from support.memory import limited, peak_bytes
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

LOAD_SECONDS = float(os.environ.get("TRAINBRIDGE_LOAD_SECONDS", "12"))
LIMIT_BYTES = 256 << 20
STREAMS = 8
RATE = 60.0
"""Batches a second of each stream, where the machine is fast enough."""

IMAGES = 16
IMAGE_BYTES = 30_000
STORE_BYTES_PER_SECOND = 1 << 20
WINDOW = 32
"""Batches that a client sends ahead of their Acks; 15 MB, of the 64 it may."""

RESULTS = ("stored", "sampled_out", "dropped", "invalid")


def picture():
    """Return a JPEG of a usual size."""
    plain = jpeg()
    return b"".join(
        (
            plain[:2],
            b"\xff\xfe",
            (IMAGE_BYTES + 2).to_bytes(2, "big"),
            os.urandom(IMAGE_BYTES),
            plain[2:],
        )
    )


class Trainer(threading.Thread):
    """A client at full rate."""

    def __init__(self, address, session_id, images):
        """Send nothing before `start`."""
        super().__init__(daemon=True)
        self.session_id = session_id
        self.sent = 0
        self.acknowledged = 0
        self.images_reported = 0
        self._address = address
        self._images = images
        self._room = threading.Semaphore(WINDOW)

    def run(self):
        """Stream until the time is over and everything is acknowledged."""
        with grpc.insecure_channel(
            self._address, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = MetricsServiceStub(channel)
            info = wire.SessionInfo(session_id=self.session_id, client_instance_id=self.session_id)
            response = stub.RegisterTrainingSession(info, timeout=60)
            assert response.success
            metadata = (("trainbridge-stream-token", response.stream_token),)
            for answer in stub.StreamMetrics(self._requests(), metadata=metadata):
                self.images_reported += answer.ack.images_kept + answer.ack.images_dropped
                self._room.release(max(0, answer.ack.sequence - self.acknowledged) or 1)
                self.acknowledged = max(self.acknowledged, answer.ack.sequence)

    def _requests(self):
        began = time.monotonic()
        while time.monotonic() < began + LOAD_SECONDS:
            time.sleep(max(0.0, began + self.sent / RATE - time.monotonic()))
            self._room.acquire()
            self.sent += 1
            epoch, index = divmod(self.sent, 100)
            data = wire.BatchData(epoch=epoch, batch_idx=index, batch_loss=0.5, images=self._images)
            yield wire.MetricsRequest(
                session_id=self.session_id, sequence=self.sent, batch_data=data
            )


@pytest.fixture
def slow_store():
    """Return flags for a bridge whose store takes a fraction of what comes."""
    with moto() as server, bucket_behind_proxy(server) as (_, proxy):
        proxy.slow(STORE_BYTES_PER_SECOND)
        yield flags(server, proxy)
        proxy.refuse()


def test_memory_stays_bounded_and_images_go(tmp_path, slow_store):
    """Eight full-rate streams and a slow store, in 256 MiB: never killed, sheds, and the books balance."""
    with (
        running_bridge(tmp_path / "state", *slow_store, "--spool-max-bytes", "64MiB") as bridge,
        limited(bridge.process.pid, LIMIT_BYTES),
    ):
        images = [wire.ImageData(image_bytes=picture())] * IMAGES
        trainers = [Trainer(bridge.grpc, f"run-{n}", images) for n in range(STREAMS)]
        for trainer in trainers:
            trainer.start()
        for trainer in trainers:
            trainer.join(LOAD_SECONDS + 60)
        sent = sum(trainer.sent for trainer in trainers)

        assert bridge.process.poll() is None, "killed"
        assert not any(trainer.is_alive() for trainer in trainers)
        assert sum(trainer.acknowledged for trainer in trainers) == sent > 100
        assert bridge.total("training_batches_total") == sent
        until_true(lambda: bridge.total("training_images_total") == sent * IMAGES)
        became = {kind: bridge.total("training_images_total", result=kind) for kind in RESULTS}
        assert sum(became.values()) == sent * IMAGES
        assert became["dropped"] == bridge.total("bridge_dropped_total", what="image") > 0
        assert sum(trainer.images_reported for trainer in trainers) == sent * IMAGES
        assert peak_bytes(bridge.process.pid) < LIMIT_BYTES
        assert "Traceback" not in bridge.log.read_text()

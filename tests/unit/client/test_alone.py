"""The SDK where nothing but grpcio and protobuf is installed."""

import json
import subprocess
import sys

from support.fake_bridge import FakeBridge, serving
from support.jpegs import jpeg
from support.spools import leave, outgoing_message

SERVER = ("aiohttp", "jinja2", "minio", "opentelemetry", "prometheus_client", "pydantic", "yaml")
EXTRAS = ("numpy", "PIL", "psutil", "pynvml", "torch")

PREAMBLE = f"""
import importlib.abc
import json
import sys


class Absent(importlib.abc.MetaPathFinder):
    names = {EXTRAS!r}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""

TRAINING = """
from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge

bridge = RecordingBridge()
with TrainingSession(bridge) as session:
    session.log_batch(0.5, epoch=0, batch=0, images=[jpeg, b"GIF89a"],
                      predictions=[[0.25, 0.75], [3.0, 1.0]], ground_truth=[[0, 1], [1, 0]])
    session.log_batch(0.25, epoch=0, batch=1, predictions=[1, 0], ground_truth=[1, 0])
print(json.dumps({
    "loaded": sorted(sys.modules),
    "images": [sum(map(bool, batch.images)) for batch in bridge.batches],
    "predictions": [[kind for kind, _ in batch.predictions] for batch in bridge.batches],
    "ground_truth": [batch.ground_truth for batch in bridge.batches],
    "faults": session.stats.faults,
}))
"""

DROP_INS = """
import bridge.client.compat.wandb as wandb
from bridge.client.compat.tensorboard import SummaryWriter
from bridge.client.testing import RecordingBridge

bridge = RecordingBridge()
with SummaryWriter("runs/x", address=bridge) as writer:
    writer.add_scalar("loss", 0.5, 0)
    writer.add_histogram("weights", [1.0, 2.0], 0)
with wandb.init(address=bridge) as run:
    run.log({"loss": 0.25, "file": wandb.Image("cat.jpg"), "weights": wandb.Histogram([1.0])})
print(json.dumps({
    "loaded": sorted(sys.modules),
    "losses": [batch.loss for batch in bridge.batches],
    "left_out": [writer.session.stats.left_out, run.session.stats.left_out],
}))
"""

SYNC = f"""
Absent.names = {(*EXTRAS, *SERVER)!r}
from bridge.cli import main

sys.stdout = sys.stderr
status = main(["sync", SPOOL, "--address", ADDRESS])
sys.stdout = sys.__stdout__
print(status)
"""

LOADED = """
from bridge.client import TrainingSession
print(json.dumps(sorted(sys.modules)))
"""

LOADED_BY_QUERY = """
from bridge.client import BridgeClient
print(json.dumps(sorted(sys.modules)))
"""


def run(program: str):
    """Return what a program prints where the extras are absent."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_training_is_reported_without_any_extra():
    """Lists are predictions, JPEG files are images, and other bytes cost that image."""
    said = run(f"jpeg = {jpeg()!r}" + TRAINING)

    assert not set(EXTRAS) & set(said["loaded"])
    assert said["images"] == [1, 0]
    assert said["predictions"] == [[1, 0], [1, 0]], "those of the image that was left out too"
    assert said["ground_truth"] == [[1, 0], [1, 0]]
    assert said["faults"] == 1


def test_drop_ins_report_numbers_without_any_extra():
    """What needs NumPy or a file that is not there is left out, and the script goes on."""
    said = run(DROP_INS)

    assert not set(EXTRAS) & set(said["loaded"])
    assert said["losses"] == [0.5, 0.25]
    assert said["left_out"] == [
        {"histograms: unreadable": 1},
        {"images: unreadable": 1, "histograms: unreadable": 1},
    ]


def test_no_server_code_is_loaded():
    """A training job pays for the SDK alone: no web server, no database, no object store."""
    loaded = run(LOADED)

    ours = {name.split(".")[1] for name in loaded if name.startswith("bridge.")}
    assert ours == {"backoff", "client", "jpeg_file", "protocol", "proxies", "wire"}
    assert not {"aiohttp", "boto3", "prometheus_client"} & set(loaded)


def test_a_query_loads_no_grpc():
    """`trainbridge healthcheck` runs every few seconds, so what it imports must be cheap."""
    loaded = run(LOADED_BY_QUERY)

    assert not {"grpc", "google.protobuf"} & set(loaded)


def test_a_spool_is_delivered_without_any_extra(tmp_path):
    """A machine that only trains can also deliver what was left."""
    leave(tmp_path, [outgoing_message(1), outgoing_message(2)])
    with serving(FakeBridge()) as bridge:
        place = f"SPOOL, ADDRESS = {str(tmp_path)!r}, {bridge.address!r}"
        status = run(f"{place}\n{SYNC}")

    assert status == 0
    assert len(bridge.applied) == 3

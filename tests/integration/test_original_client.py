"""A client that knows nothing of the additions is served in full."""

import json
import os
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.bridges import running_bridge
from support.jpegs import jpeg
from support.protoc import compile_original
from support.tools import ROOT
from support.waiting import until_true

SESSION = "deployed-client.1"
CLIENT = ROOT / "tests" / "original" / "client.py"

BATCHES = 6
IMAGES = 24


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Return the folder of code generated from the original table alone."""
    folder = tmp_path_factory.mktemp("generated")
    compile_original(f"--python_out={folder}", f"--grpc_python_out={folder}")
    return folder


@pytest.fixture(scope="module")
def trained(generated, tmp_path_factory):
    """Return the client's report and, as {name: [(labels, value)]}, the series it left behind."""
    folder = tmp_path_factory.mktemp("trained")
    picture = folder / "digit.jpg"
    picture.write_bytes(jpeg())
    with running_bridge(folder / "state", "--images-keep", "all") as bridge:
        ran = subprocess.run(
            [sys.executable, CLIENT, bridge.grpc, SESSION, picture],
            env={**os.environ, "PYTHONPATH": str(generated)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        page = until_true(
            lambda: ended(bridge.get("/metrics").decode()), what="the session is over on /metrics"
        )
    return json.loads(ran.stdout), series(page)


def test_registers(trained):
    """Registration succeeds under the requested name and returns the server's limits."""
    report, _ = trained

    assert report["registered"] is True
    assert report["session_id"] == SESSION
    assert report["max_batch_size"] == 16
    assert report["heartbeat_interval_ms"] == 20_000


def test_every_batch_is_acknowledged(trained):
    """Without sequence numbers each batch has an Ack of its own, in order, and a heartbeat has one."""
    report, _ = trained

    assert report["acks"][:BATCHES] == [[0, True], [1, True], [2, True]] * 2
    assert len(report["acks"]) == BATCHES + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("training_batches_total", BATCHES),
        ("training_epochs_completed_total", 2),
        ("training_samples_total", IMAGES),
        ("training_epoch", 1),
        ("training_epochs_planned", 2),
        ("training_batches_per_epoch", 3),
        ("training_batch_size", 4),
        ("training_epoch_loss", 0.5),
        ("training_epoch_accuracy_ratio", 0.75),
        ("training_batch_loss_count", BATCHES),
        ("training_batch_duration_seconds_count", 2),
        ("training_frames_per_second", 50),
        ("training_frames_per_second_average", 40),
        ("training_epoch_duration_seconds", 3),
        ("training_cpu_utilization_ratio", 1.5),
        ("training_memory_used_bytes", 512 * 2**20),
        ("training_gpu_memory_used_bytes", 1024 * 2**20),
        ("training_gpu_utilization_ratio", pytest.approx(0.9)),
        ("training_loss", pytest.approx(1 / 6)),
    ],
)
def test_its_numbers_are_on_the_page(trained, name, value):
    """What the client streamed is what /metrics shows."""
    _, found = trained

    assert [shown for _, shown in found[name]] == [value]


def test_a_run_that_is_over_has_no_time_to_go(trained):
    """The client has estimated six seconds more, and completed."""
    _, found = trained

    assert "training_estimated_time_remaining_seconds" not in found


def test_its_predictions_and_images_are_counted(trained):
    """Predictions are counted by class, and every image is stored."""
    _, found = trained
    predictions = {
        (labels["true_class"], labels["predicted_class"]): value
        for labels, value in found["training_predictions_total"]
        if value
    }
    images = {labels["result"]: value for labels, value in found["training_images_total"] if value}

    assert predictions == {("0", "1"): IMAGES / 2, ("1", "1"): IMAGES / 2}
    assert images == {"stored": IMAGES}


def ended(page):
    """Return the page once the session has completed."""
    status = f'training_session_status{{session_id="{SESSION}",status="completed"}} 1'
    return page if any(line.startswith(status) for line in page.splitlines()) else ""


def series(page):
    """Return the session's series as {name: [(labels, value)]}."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.labels.get("session_id") == SESSION:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found

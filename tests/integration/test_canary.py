"""The canary against a real bridge, which is stopped, killed and started again under it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.bridges import running_bridge
from support.buckets import moto
from support.markdown import blocks
from support.tools import ROOT, tool
from support.waiting import until_true

from bridge.access.tokens import hash_of_token

QUICK = ("--rate", "40", "--look-seconds", "0.2", "--listen", "127.0.0.1:0")
PATIENT = ("--late-seconds", "40")
"""A restart is not late, however slow the machine is."""


class Canary:
    """A canary in a process of its own."""

    def __init__(self, process, port, log):
        """Read its page at this port."""
        self.process = process
        self.port = port
        self.log = log

    def value(self, name, **labels):
        """Add up the samples of a series that have the labels given."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=60) as answer:
            page = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == f"canary_{name}" and labels.items() <= sample.labels.items()
        )

    def acknowledged(self):
        """Return how many batches the bridge has acknowledged."""
        return self.value("batches_acknowledged_total")

    def findings(self):
        """Return what was found so far, as its log has it."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if {"what", "expected", "found"} <= line.keys()]

    def stop(self, number=signal.SIGTERM):
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture
def ports():
    """Two ports that are free at the moment, for a bridge that comes back at the same place."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


def at(ports):
    """Return the flags of a bridge that listens at these ports."""
    return ("--grpc-address", f"127.0.0.1:{ports[0]}", "--http-address", f"127.0.0.1:{ports[1]}")


@contextmanager
def canary(folder, grpc, http, *flags):
    """Start `trainbridge canary`, and end it with the block."""
    ports_file, log = folder / "canary.json", folder / "canary.log"
    command = [sys.executable, "-m", "bridge", "canary", "--address", grpc,
               "--bridge-url", f"http://{http}", "--ports-file", str(ports_file), *QUICK, *flags]  # fmt: skip  # flags beside their values
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("TRAINBRIDGE_")
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=clean)
        try:
            until_true(
                lambda: ports_file.exists() or process.poll() is not None,
                seconds=60,
                what="the canary is ready",
            )
            assert process.poll() is None, log.read_text()
            yield Canary(process, json.loads(ports_file.read_text())["http"], log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(90)


@pytest.mark.parametrize("keep", ["sample", "all", "none"])
def test_a_sound_bridge_gives_no_cause(tmp_path, keep):
    """A one-off check sees every batch, epoch, prediction and kept image, and exits with 0."""
    flags = ("--duration-seconds", "4", "--images", "3", *PATIENT)
    with (
        running_bridge(tmp_path / "state", "--images-keep", keep) as bridge,
        canary(tmp_path, bridge.grpc, bridge.http, *flags) as bird,
    ):
        until_true(lambda: bird.value("visible_duration_seconds_count") > 0)
        until_true(
            lambda: (bird.value("image_visible_duration_seconds_count") > 0) == (keep != "none")
        )
        assert bird.process.wait(60) == 0, bird.log.read_text()
        ended = bridge.total("training_session_status", status="completed")

    assert bird.findings() == []
    assert ended == 1


def test_the_token_of_helm_test_is_enough(tmp_path):
    """With the roles that the chart gives its test, for sessions that begin with canary-, everything can be compared."""
    token, tokens = tmp_path / "token", tmp_path / "tokens.yaml"
    token.write_text("tb_of-a-canary")
    hashed = hash_of_token("tb_of-a-canary")
    entry = {"name": "canary", "sha256": hashed, "roles": ["ingest", "view", "metrics"]}
    tokens.write_text(json.dumps({"tokens": [{**entry, "sessions": "canary-"}]}))
    flags = ("--duration-seconds", "4", "--images", "1", "--token-file", str(token), *PATIENT)

    with (
        running_bridge(
            tmp_path / "state", "--images-keep", "all", "--tokens-file", str(tokens)
        ) as bridge,
        canary(tmp_path, bridge.grpc, bridge.http, *flags) as bird,
    ):
        until_true(lambda: bird.value("image_visible_duration_seconds_count") > 0)
        assert bird.process.wait(60) == 0, bird.log.read_text()

    assert bird.findings() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_canary_that_is_stopped_ends_its_session(tmp_path, number):
    """Exit status 0, and on the bridge the session is over rather than lost."""
    with (
        running_bridge(tmp_path / "state") as bridge,
        canary(tmp_path, bridge.grpc, bridge.http) as bird,
    ):
        until_true(lambda: bird.acknowledged() > 20)
        assert bird.stop(number) == 0
        assert bridge.total("training_session_status", status="completed") == 1

    assert bird.findings() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_bridge_that_comes_back_gives_no_cause(tmp_path, ports, number):
    """Stopped or killed in the middle, with its state kept: nothing is missing, and nothing doubled."""
    where = [f"127.0.0.1:{port}" for port in ports]
    with (
        running_bridge(tmp_path / "state", *at(ports)) as first,
        canary(tmp_path, *where, "--duration-seconds", "8", *PATIENT) as bird,
    ):
        until_true(lambda: bird.acknowledged() > 80)
        first.stop(number)
        until_true(lambda: bird.value("bridge_up") == 0)
        before = bird.acknowledged()
        with running_bridge(tmp_path / "state", *at(ports)):
            until_true(lambda: bird.acknowledged() > before)
            assert bird.process.wait(100) == 0, bird.log.read_text()

    assert bird.findings() == []


def test_a_bridge_that_forgets_is_found_out(tmp_path, ports):
    """A bridge whose state is gone shows less than it has acknowledged."""
    where = [f"127.0.0.1:{port}" for port in ports]
    flags = ("--duration-seconds", "15", "--late-seconds", "1")
    with (
        running_bridge(tmp_path / "state", *at(ports)) as first,
        canary(tmp_path, *where, *flags) as bird,
    ):
        until_true(lambda: bird.acknowledged() > 40)
        first.stop(signal.SIGKILL)
        with running_bridge(tmp_path / "another", *at(ports)):
            assert bird.process.wait(100) == 1

    missing = [line for line in bird.findings() if line["event"] == "missing"]
    assert {"batch", "loss", "epoch", "prediction", "image"} == {line["what"] for line in missing}
    assert not [line for line in bird.findings() if line["event"] in ("duplicate", "wrong")]


def test_a_wrong_bucket_is_found_out(tmp_path):
    """Every image can be read, from the bridge's own disk: with a look at the store the check fails, and says why."""
    flags = ("--duration-seconds", "1", "--store-seconds", "1", *PATIENT)
    with (
        moto() as server,
        running_bridge(
            tmp_path / "state",
            *("--images-store", "s3://nowhere", "--s3-endpoint", server.endpoint),
            *("--s3-access-key", server.access_key, "--s3-secret-key", server.secret_key),
        ) as bridge,
        canary(tmp_path, bridge.grpc, bridge.http, *flags) as bird,
    ):
        assert bird.process.wait(100) == 1

    [line] = bird.findings()
    assert (line["event"], line["what"]) == ("missing", "image")
    assert "0 of them after 1 s" in line["found"]
    assert "nowhere" in line["found"]


def test_prometheus_takes_the_alert_rules(tmp_path):
    """The program promtool reads the rules on the page as they stand there."""
    rules = tmp_path / "rules.yml"
    rules.write_text(blocks((ROOT / "docs" / "canary.md").read_text(), "yaml")[-1])

    subprocess.run([tool("promtool"), "check", "rules", rules], check=True, capture_output=True)


def test_a_frozen_canary_blames_nobody(tmp_path):
    """What it could neither send nor see while it was stopped itself is neither late nor missing."""
    flags = ("--duration-seconds", "10", "--late-seconds", "5")
    with (
        running_bridge(tmp_path / "state") as bridge,
        canary(tmp_path, bridge.grpc, bridge.http, *flags) as bird,
    ):
        until_true(lambda: bird.acknowledged() > 40)
        bird.process.send_signal(signal.SIGSTOP)
        time.sleep(6)  # longer than what is late: the silence itself is what is tested
        bird.process.send_signal(signal.SIGCONT)
        assert bird.process.wait(60) == 0, bird.log.read_text()

    assert bird.findings() == []

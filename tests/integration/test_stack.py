"""`make stack` as its reader has it: started with one command, looked at through Prometheus, ended with Ctrl-C."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psutil
import pytest
import yaml
from support.boards import BOARDS, filled, links
from support.stack import ports
from support.stack.__main__ import demo_words
from support.stack.configuration import quick_rules, write_prometheus
from support.stack.programs import Programs, StackError
from support.tools import ROOT, tool
from support.waiting import until_true

from bridge.demo.training import MISHAP_BATCHES

SECONDS = 120
STEP_SECONDS = 2
SEEN_POINTS = 4

SPIKE_EVERY = 6
"""Epochs of three seconds: late enough for the first losses of an untrained network to be over."""

EPOCH_SECONDS = 3

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text())["services"]

pytestmark = pytest.mark.timeout(400)


class Stack(NamedTuple):
    """One that is up."""

    process: subprocess.Popen
    addresses: dict
    folder: Path
    output: Path

    def query(self, path, **words):
        """Ask Prometheus as Grafana does."""
        data = urllib.parse.urlencode(words).encode()
        url = f"{self.addresses['prometheus']}/api/v1/{path}"
        with urllib.request.urlopen(url, data=data or None, timeout=30) as response:  # noqa: S310
            return json.load(response)["data"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A stack on free ports whose every target has been scraped."""
    for program in ("prometheus", "prometheus-alertmanager"):
        tool(program)
    folder = tmp_path_factory.mktemp("stack")
    addresses, output = folder / "addresses.json", folder / "output"
    path = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
    words = ("--free-ports", "--scrape-seconds", "1", "--spike-every", str(SPIKE_EVERY))
    words = (*words, "--folder", folder / "stack")
    with (
        output.open("wb") as shown,
        subprocess.Popen(
            [sys.executable, "-m", "support.stack", *words, "--addresses-file", addresses],
            stdout=shown,
            stderr=shown,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        ) as process,
    ):
        try:
            until_true(lambda: addresses.exists() or process.poll() is not None, seconds=SECONDS)
            assert process.poll() is None, output.read_text()
            yield Stack(process, json.loads(addresses.read_text()), folder / "stack", output)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


def test_every_target_is_up(stack):
    """The bridge, Prometheus and Alertmanager are scraped, and all of them answer."""
    targets = stack.query("targets")["activeTargets"]

    assert {target["labels"]["job"] for target in targets} == {
        "trainbridge",
        "prometheus",
        "alertmanager",
    }
    assert {target["health"] for target in targets} == {"up"}


def test_the_shipped_rules_are_loaded_and_evaluated(stack):
    """Every rule of the file is one that Prometheus has, without an error."""
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/trainbridge.rules.yaml").read_text())
    names = {rule.get("alert") or rule["record"] for g in shipped["groups"] for rule in g["rules"]}
    rules = until_true(lambda: evaluated(stack), seconds=SECONDS)

    assert {rule["name"] for rule in rules} == names
    assert {rule.get("lastError", "") for rule in rules} == {""}


def evaluated(stack):
    """Return all rules once each has been evaluated."""
    rules = [rule for group in stack.query("rules")["groups"] for rule in group["rules"]]
    return rules if rules and all(rule["health"] != "unknown" for rule in rules) else []


def test_alerts_have_a_way_to_alertmanager(stack):
    """Prometheus knows Alertmanager, which has the shipped routes and this bridge as receiver."""
    [found_one] = stack.query("alertmanagers")["activeAlertmanagers"]
    with urllib.request.urlopen(  # noqa: S310 -- loopback
        f"{stack.addresses['alertmanager']}/api/v2/status", timeout=30
    ) as response:
        configuration = json.load(response)["config"]["original"]

    assert found_one["url"].startswith(stack.addresses["alertmanager"])
    assert f"{stack.addresses['bridge']}/api/v1/alertmanager" in configuration


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_links_in_alerts_lead_to_where_the_programs_are(stack, name):
    """They begin with the address that is printed, not with the name of the machine, where nothing listens."""
    programs = psutil.Process(stack.process.pid).children(recursive=True)
    words = [word for program in programs for word in program.cmdline()]

    assert f"--web.external-url={stack.addresses[name]}/" in words


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_health_checks_of_the_containers_are_right(stack, service):
    """The command with which compose asks whether a program works succeeds where it does."""
    port = COMPOSE[service]["ports"][0].rpartition(":")[2]
    program, *words = COMPOSE[service]["healthcheck"]["test"][1:]
    words = [word.replace(f"http://127.0.0.1:{port}", stack.addresses[service]) for word in words]

    done = subprocess.run([tool(program), *words], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_spike_on_the_session_board_leads_to_its_images(stack):
    """Each point of the jump in the loss panel's own query opens the batch with the wrong labels, and its JPEGs."""
    panel, link = next(
        (panel, link)
        for panel, link in links(BOARDS["trainbridge-session"])
        if panel["title"] == "Loss" and "held_ms" in link["url"]
    )
    [query] = [t["expr"] for t in panel["targets"] if "training_loss_interval_max" in t["expr"]]
    labels, moments = until_true(lambda: spike(stack, query), seconds=SECONDS)

    for moment in (moments[0], moments[-1]):
        with urllib.request.urlopen(expanded(link["url"], labels, moment), timeout=30) as response:  # noqa: S310
            page, shown = response.read().decode(), response.url
        epoch, batch = map(int, re.search(r"/batches/(\d+)-(\d+)", shown).groups())
        assert epoch == SPIKE_EVERY
        assert batch in MISHAP_BATCHES
    images = re.findall(r'src="([^"]+\.jpg[^"]*)"', page)
    assert images
    with urllib.request.urlopen(urllib.parse.urljoin(shown, images[0]), timeout=30) as response:  # noqa: S310
        assert response.read(3) == b"\xff\xd8\xff"


def expanded(url, labels, moment):
    """Return a link of a panel as Grafana follows it from a point."""
    url = url.replace("${__value.time}", str(int(moment * 1000)))
    url = url.replace("${__interval_ms}", str(STEP_SECONDS * 1000))
    return re.sub(r"\$\{__field\.labels\.(\w+)\}", lambda label: labels[label[1]], url)


def spike(stack, query):
    """Return the labels, and the times of all points that show the first jump, once some seconds of them are there."""
    now = time.time()
    [session, *_] = stack.query("query", query="training_session_info")["result"] or [None]
    if session is None:
        return None
    chosen = {
        "job": ".+",
        "instance": ".+",
        "session": session["metric"]["session_id"],
        "__interval": f"{STEP_SECONDS}s",
    }
    answer = stack.query(
        "query_range", query=filled(query, chosen), start=now - 240, end=now, step=STEP_SECONDS
    )
    for series in answer["result"]:
        points = [(moment, float(value)) for moment, value in series["values"]]
        jumps = [high for (_, low), (_, high) in itertools.pairwise(points) if high > 2 * low]
        moments = [moment for moment, value in points if value in jumps[:1]]
        if len(moments) > SEEN_POINTS:
            return series["metric"], moments
    return None


def test_ctrl_c_ends_every_process(stack):
    """Nothing that was started runs on, and the status is 0; the folder that somebody has named stays, with the logs."""
    children = psutil.Process(stack.process.pid).children(recursive=True)
    assert len(children) >= 4
    stack.process.send_signal(signal.SIGINT)

    assert stack.process.wait(SECONDS) == 0
    until_true(lambda: not any(child.is_running() for child in children), seconds=SECONDS)
    text = stack.output.read_text()
    assert text.endswith("Stopped.\n")
    assert "Traceback" not in text
    assert {path.stem for path in (stack.folder / "logs").iterdir()} == {
        *("bridge", "trainer", "prometheus", "alertmanager")
    }


@pytest.mark.parametrize("is_quick", [True, False])
def test_a_loss_jumps_when_its_alert_can_tell(is_quick):
    """The rules say nothing of a run that has just begun: its loss jumps after the time that they look back on."""
    words = SimpleNamespace(hang=False, diverge=True, quick_alerts=is_quick, spike_every=20)
    text = (
        quick_rules()
        if is_quick
        else (ROOT / "deploy/prometheus/trainbridge.rules.yaml").read_text()
    )
    usual = next(
        rule["expr"]
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if rule.get("record") == "training:low_loss:median10m"
    )
    needed = int(re.search(r"> (\d+)", usual)[1])
    chosen = demo_words(words)
    jump, epochs = (int(chosen[chosen.index(flag) + 1]) for flag in ("--diverge", "--epochs"))

    assert jump * EPOCH_SECONDS > needed
    assert (epochs - jump) * EPOCH_SECONDS > needed, "it ends before the alert fires"


def test_an_alert_pauses_its_run_only_where_that_is_wanted(tmp_path):
    """The label that makes a command of an alert is one that somebody asked for."""
    chosen = {"scrape_seconds": 5, "has_quick_alerts": True}
    addresses = ports.Addresses("a:1", "b:2", "c:3", "d:4")
    without, with_it = (
        yaml.safe_load(write_prometheus(tmp_path, addresses, **chosen, pauses=pauses).read_text())
        for pauses in (False, True)
    )

    assert "alert_relabel_configs" not in without["alerting"]
    [label] = with_it["alerting"]["alert_relabel_configs"]
    assert (label["regex"], label["target_label"]) == ("TrainingDiverging", "trainbridge_command")


def test_a_program_that_dies_is_reported_with_its_last_lines(tmp_path):
    """The others are ended, and whoever started them reads why."""
    failing = "print('no space left'); raise SystemExit(3)"
    with Programs(tmp_path) as programs:
        other = programs.start("other", sys.executable, "-c", "import time; time.sleep(600)")
        programs.start("broken", sys.executable, "-c", failing)
        with pytest.raises(StackError) as caught:
            programs.wait_for("it works", lambda: False)

    assert str(caught.value).startswith("broken has ended with status 3. The last lines of ")
    assert str(caught.value).endswith("no space left")
    assert other.process.poll() is not None


def test_a_port_that_is_taken_is_named_with_the_way_out(monkeypatch):
    """Before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "FIXED", {"grpc": 0, "bridge": port})
        with pytest.raises(StackError, match=rf"^port {port} is taken: .*--free-ports"):
            ports.addresses_of(are_free=False)

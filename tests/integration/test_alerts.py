"""The shipped alert rules in a real Prometheus that scrapes real bridges: what an on-call engineer gets."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from support.prometheus import running_prometheus
from support.tools import ROOT
from support.waiting import until_true

SECONDS = 90

SESSION = re.compile(r"http://(?P<bridge>[^/]+)/sessions/(?P<session_id>\S+)\n")

[BOARD] = [
    board
    for path in (ROOT / "grafana" / "dashboards").glob("*.json")
    if (board := json.loads(path.read_text()))["uid"] == "trainbridge-fleet"
]

CHOSEN = {
    "$job": ".+",
    "$instance": ".+",
    "$session": ".+",
    "$__rate_interval": "4s",
    "$__interval": "4s",
    "$__range": "5m",
}
"""What Grafana puts in the place of a board's variables."""

WITHOUT_DATA = {
    *("GPU use", "GPU use by session", "Uploads", "Errors and drops", "Ends by kind"),
    *("Time of a batch, p95", "Goodput by session"),
}
"""Panels that may be empty where a run without GPUs has hung for some seconds and is the first."""


@contextlib.contextmanager
def hanging_demo(folder):
    """Start `trainbridge demo --hang`, and give its session and its bridge as it begins to train; Ctrl-C ends it."""
    log = folder / "demo.log"
    words = (
        "demo",
        "--hang",
        "--grpc-address",
        "127.0.0.1:0",
        "--http-address",
        "127.0.0.1:0",
    )
    environment = os.environ | {"TMPDIR": str(folder)}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "bridge", *words],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            found = until_true(
                lambda: SESSION.search(log.read_text()) or process.poll() is not None,
                seconds=SECONDS,
            )
            assert process.poll() is None, log.read_text()
            yield found["session_id"], found["bridge"]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def hang(tmp_path_factory):
    """A demo that hangs and a Prometheus in which something fires: session, bridge, Prometheus and the alerts."""
    folder = tmp_path_factory.mktemp("hang")
    with (
        hanging_demo(folder) as (session_id, bridge),
        running_prometheus(folder, [bridge]) as prometheus,
    ):
        alerts = until_true(prometheus.alerts, seconds=SECONDS)
        yield session_id, bridge, prometheus, alerts


@pytest.mark.timeout(300)
def test_a_run_that_hangs_is_stalled(hang):
    """TrainingStalled fires for the demo that hangs, and nothing else does; its links lead to the page and the images."""
    session_id, bridge, prometheus, alerts = hang

    assert [(a["labels"]["alertname"], a["labels"]["session_id"]) for a in alerts] == [
        ("TrainingStalled", session_id)
    ]
    [alert] = prometheus.alerts()
    assert alert["annotations"]["page"] == f"http://{bridge}/sessions/{session_id}"
    for link in ("page", "images"):
        with urllib.request.urlopen(alert["annotations"][link], timeout=30) as response:  # noqa: S310
            assert response.status == 200
    [connected] = prometheus.query(f'training_session_connected{{session_id="{session_id}"}}')
    assert connected["value"][1] == "1"


@pytest.mark.timeout(300)
def test_the_board_shows_the_run_that_hangs(hang):
    """Every query of the board answers in this Prometheus, and the count of stalled sessions is one."""
    _, _, prometheus, _ = hang
    empty = set()
    for panel in BOARD["panels"]:
        answers = []
        for target in panel.get("targets", []):
            query = target["expr"]
            for variable, value in CHOSEN.items():
                query = query.replace(variable, value)
            answers += prometheus.query(query.replace("> 300", "> 6"))
        if not answers and panel["type"] != "row":
            empty.add(panel["title"])
        if panel["title"] in ("Running", "Stalled", "Disconnected", "Failed"):
            expected = "1" if panel["title"] in ("Running", "Stalled") else "0"
            assert [answer["value"][1] for answer in answers] == [expected], panel["title"]

    assert empty <= WITHOUT_DATA

"""The shipped alert rules in a real Prometheus that scrapes real bridges: what an on-call engineer gets."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from support.prometheus import running_prometheus
from support.waiting import until_true

SECONDS = 90

SESSION = re.compile(r"http://(?P<bridge>[^/]+)/sessions/(?P<session_id>\S+)\n")


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
        with urllib.request.urlopen(alert["annotations"][link], timeout=60) as response:  # noqa: S310
            assert response.status == 200
    [connected] = prometheus.query(f'training_session_connected{{session_id="{session_id}"}}')
    assert connected["value"][1] == "1"

"""Which processes of a job have a session, under each launcher: docs/sdk.md."""

import json
import os
import subprocess
import sys

import pytest
from support.markdown import tables_under
from support.programs import LAUNCHERS
from support.tools import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks here")

ROWS = tables_under((ROOT / "docs" / "sdk.md").read_text())["Several ranks"]

PROGRAM = """
import json, os, sys
from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge

for variables, ranks in json.load(sys.stdin):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    os.environ.update(variables)
    bridge = RecordingBridge()
    session = TrainingSession(bridge, model="ResNet18", ranks=ranks)
    session.log_batch(0.5, epoch=0, batch=0)
    session.close()
    counts = [len(bridge.batches), len(bridge.statuses)]
    print(json.dumps([counts, session.session_id]), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def sessions():
    """Return the number of batches and of statuses, and the name of the session, of each row's process."""
    given = [
        (
            dict(each.split("=") for each in variables.strip("`").split()),
            next((ranks for ranks in ("all", "light") if f'ranks="{ranks}"' in launcher), "zero"),
        )
        for launcher, variables, _ in ROWS
    ]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        env=inherited,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("row", range(len(ROWS)), ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_one_process_of_a_job_reports(sessions, row):
    """As its row says."""
    (batches, statuses), name = sessions[row]
    expected = ROWS[row][2]

    assert batches == expected.startswith("reports")
    assert bool(statuses) == (expected != "is silent")
    if "`" in expected:
        assert name == expected.split("`")[1]
    else:
        assert name.startswith("resnet18-")

"""Sessions in a real kernel of Jupyter, as cells are run, run again and raise."""

import json
import os
import subprocess
import sys

import pytest
from support.bridges import running_bridge
from support.tools import ROOT
from support.waiting import until_true

SECONDS = 150

pytestmark = pytest.mark.timeout(2 * SECONDS)

NOTEBOOK = """
import json, sys
import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(source) for source in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, allow_errors=True, timeout=120).execute()
printed = [
    [line for output in cell.outputs if output.get("name") != "stderr"
     for line in output.get("text", output.get("ename", "")).splitlines()]
    for cell in notebook.cells
]
panels = [
    [output["data"]["text/html"] for output in cell.outputs
     if output.get("output_type") == "display_data"]
    for cell in notebook.cells
]
print(json.dumps([printed, panels]))
"""

FIRST = """
import os, threading
from bridge.client import BridgeClient, TrainingSession
client = BridgeClient(os.environ["BRIDGE_URL"], timeout_seconds=60)

def train(session):
    for batch in range(20):
        session.log_batch(0.5, epoch=0, batch=batch)
    print(session.session_id, session.flush(60))
"""

THREADS = """
import time
def threads():
    return sum(each.name.startswith('trainbridge') for each in threading.enumerate())
while threads() > 4:  # panels of sessions that were replaced look once a second whether they are over
    time.sleep(0.05)
print(threads())
"""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Return a real bridge: it refuses a name that another session holds."""
    with running_bridge(tmp_path_factory.mktemp("bridge")) as bridge:
        yield bridge


@pytest.fixture
def environment(bridge, tmp_path):
    """Return the environment of a kernel, which touches no settings of whoever runs the tests."""
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")
    environment = os.environ | dict.fromkeys(folders, str(tmp_path))
    return environment | {
        "PYTHONPATH": str(ROOT),
        "TRAINBRIDGE_ADDRESS": bridge.grpc,
        "BRIDGE_URL": f"http://{bridge.http}",
    }


@pytest.fixture
def run(environment):
    """Return what runs the cells of a notebook, shuts its kernel down and returns what each has printed."""

    def run(*cells):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", NOTEBOOK],
            input=json.dumps([FIRST, *cells]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        printed, panels = json.loads(ran.stdout)
        run.panels = panels[1:]
        return printed[1:]

    return run


INTERRUPT = """
import os, time
from pathlib import Path
from jupyter_client.manager import start_new_kernel

def ran(client, code):
    status = "aborted"  # what a kernel says to requests that reach it while it is still busy with an error
    while status == "aborted":
        reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        status = reply["content"].get("ename", reply["content"]["status"])
    return status

manager, client = start_new_kernel(startup_timeout=120)
flag = Path(os.environ["FLAG"])
try:
    print(ran(client, os.environ["FIRST"]))
    print(ran(client, "session = TrainingSession(session_id='interrupted'); train(session)"))
    pending = client.execute("import time; open('%s', 'w').close()" % flag + chr(10) + "while True: time.sleep(0.01)")
    while not flag.exists():
        time.sleep(0.05)
    manager.interrupt_kernel()
    print(client.get_shell_msg(timeout=120)["content"]["ename"])
    print(ran(client, "session.log_batch(0.25, epoch=1, batch=0); session.close(60)"))
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def ended(bridge, session_id):
    """Return how the bridge says that a session has ended, once it has."""
    until_true(
        lambda: bridge.client.session(session_id).stage == "ended",
        seconds=60,
        what=f"{session_id} has ended",
    )
    session = bridge.client.session(session_id)
    return session.status, session.status_message or ""


def test_a_cell_may_be_run_again(bridge, run):
    """Its session takes over from the one before, each delivers all it has, and threads do not add up."""
    cell = "session = TrainingSession(session_id='again'); train(session)"
    *delivered, threads = run(cell, cell, cell, THREADS)

    assert delivered == [["again 0"]] * 3
    assert threads == ["4"]  # one encodes, one sends, one draws, one waits for SIGTERM
    assert ended(bridge, "again") == ("completed", "")
    session = bridge.client.session("again")
    assert (session.attempt, session.batches) == (3, 20)


def test_a_session_that_nothing_names_any_more_ends(bridge, run):
    """A cell whose session has no name is run again: the first ends, the second goes on."""
    cell = "session = TrainingSession(model='net'); train(session)"
    is_connected = "print(client.session(session.session_id).connected)"
    (first,), (second,), connected = run(cell, cell, is_connected)

    assert connected == ["True"]
    assert ended(bridge, first.split()[0]) == (
        "completed",
        "the program has let go of the session without closing it",
    )
    assert ended(bridge, second.split()[0]) == ("completed", "")


def test_an_exception_in_a_cell_ends_no_session(bridge, run):
    """Before the run or behind it: the run goes on, and has completed when the kernel is shut down."""
    before, trained, *behind, status = run(
        "1 / 0",
        "session = TrainingSession(session_id='good'); train(session)",
        "def typo():\n    undefined\ntypo()",
        "raise SystemExit(3)",
        "print(client.session('good').status)",
    )

    assert before == ["ZeroDivisionError"]
    assert [cell[-1] for cell in behind] == ["NameError", "SystemExit"]
    assert (trained, status) == (["good 0"], ["running"])
    assert ended(bridge, "good") == ("completed", "")


def test_an_exception_in_the_block_of_a_session_is_its_end(bridge, run):
    """That run has failed, and may be tried again under the same name."""
    failed, status, again = run(
        "with TrainingSession(session_id='block') as session:\n    1 / 0",
        "print(client.session('block').status_message)",
        "with TrainingSession(session_id='block') as session:\n    train(session)",
    )

    assert failed == ["ZeroDivisionError"]
    assert status == ["ZeroDivisionError: division by zero"]
    assert again == ["block 0"]
    assert ended(bridge, "block") == ("completed", "")
    assert bridge.client.session("block").attempt == 2


def test_a_panel_stays_below_its_cell(bridge, run):
    """One for each session, as it was at its end, with the link to its page; none where it is switched off."""
    run(
        "session = TrainingSession(session_id='shown', epochs=1); train(session); session.close(60)",
        "session = TrainingSession(session_id='hidden', panel=False); train(session)",
        "train(session); session.close(60)",
    )
    [[panel], *others] = run.panels

    assert others == [[], []]
    assert "completed" in panel
    assert f"http://{bridge.http}/sessions/shown" in panel
    assert "batch 19" in panel


def test_an_interrupted_cell_ends_no_session(bridge, environment, tmp_path):
    """The next cell goes on with it, and closes it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERRUPT],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment | {"FLAG": str(tmp_path / "flag"), "FIRST": FIRST},
        check=False,
    )

    assert done.stdout.split() == ["ok", "ok", "KeyboardInterrupt", "ok"], done.stderr
    assert ended(bridge, "interrupted") == ("completed", "")
    assert bridge.client.session("interrupted").batches == 21

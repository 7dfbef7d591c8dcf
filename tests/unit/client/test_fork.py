"""Forks, as data loaders make them, at the worst moment: while the SDK connects."""

import os
import subprocess
import sys

import pytest
from support.fake_bridge import ORIGINAL, FakeBridge, serving

FORKS = 25

TRAINER = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from bridge.client import TrainingSession

for number in range(int(sys.argv[2])):
    session = TrainingSession(sys.argv[1], session_id=f"run-{number}")
    session.log_batch(0.5, epoch=0, batch=0)
    time.sleep(0.0004 * number)
    child = os.fork()
    if child == 0:
        session.log_batch(0.5, epoch=9, batch=9)
        os._exit(session.close())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), session.close(20), flush=True)
"""


BORN_IN_A_CHILD = """
import logging, os, sys, time
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from bridge.client import TrainingSession

parent = None
if sys.argv[2] != "none":
    parent = TrainingSession(sys.argv[1], session_id="parent")
    parent.log_batch(0.5, epoch=0, batch=0)
    assert parent.flush(60) == 0
if sys.argv[2] == "closed":
    parent.close(20)
child = os.fork()
if child == 0:
    began = time.monotonic()
    session = TrainingSession(sys.argv[1], session_id="child")
    for batch in range(3):
        session.log_batch(0.5, epoch=1, batch=batch)
    left = session.close(60)
    print(left, time.monotonic() - began < 50, flush=True)
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, parent.close(20) if parent else 0, flush=True)
"""

WATCHER = """
import os, sys

class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))

sys.meta_path.insert(0, Watcher())
from bridge.client import TrainingSession
"""


def test_grpc_leaves_forks_alone():
    """Its own fork handlers can hang a child; they are off before gRPC is imported."""
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"}
    ran = subprocess.run(
        [sys.executable, "-c", WATCHER], capture_output=True, text=True, env=environment, check=True
    )

    assert ran.stdout == "0\n"


def born_in_a_child(bridge, parent):
    """Open a session in a forked child; return what is said, what the child reports, and the parent."""
    ran = subprocess.run(
        [sys.executable, "-c", BORN_IN_A_CHILD, bridge.address, parent],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *said, child, parent = ran.stdout.splitlines()
    return said, child.split(), parent.split()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
@pytest.mark.parametrize("parent", ["open", "closed"])
def test_a_session_that_cannot_connect_after_a_fork_says_so(parent):
    """Where the parent has been connected: it is said once, what is lost is counted, and nothing hangs."""
    with serving(FakeBridge()) as bridge:
        said, (left, was_quick), ended = born_in_a_child(bridge, parent)

    assert sum("forked" in line and "spawn" in line for line in said) == 1
    assert int(left) >= 6, "three batches and three statuses"
    assert was_quick == "True"
    assert ended == ["0", "0"]
    assert bridge.batches() == [(0, 0)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_a_session_born_after_a_fork_connects():
    """Where the parent has not been connected, there is nothing in the way."""
    with serving(FakeBridge()) as bridge:
        _, child, ended = born_in_a_child(bridge, "none")

    assert (child, ended) == (["0", "True"], ["0", "0"])
    assert bridge.batches() == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_no_child_hangs_however_far_the_connection_is():
    """Each child starts, is inert and ends; each parent delivers."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, uses_sequences=False)) as bridge:
        ran = subprocess.run(
            [sys.executable, "-c", TRAINER, bridge.address, str(FORKS)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ran.stdout.split("\n")[:-1] == ["0 0"] * FORKS, ran.stderr
    assert set(bridge.batches()) == {(0, 0)}
    assert len(bridge.batches()) == FORKS


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "ERROR"), ({"GRPC_VERBOSITY": "INFO"}, "INFO")]
)
def test_grpc_is_as_silent_as_it_documents(given, expected):
    """A run without a bridge must not fill stderr at every attempt; whoever sets the variable decides."""
    program = "import os, bridge.client.session; print(os.environ['GRPC_VERBOSITY'])"
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_VERBOSITY"} | given

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == expected

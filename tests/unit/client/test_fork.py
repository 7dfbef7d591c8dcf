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


WATCHER = """
import os, sys

class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))

sys.meta_path.insert(0, Watcher())
import bridge.client
"""


def test_grpc_is_told_to_leave_forks_alone():
    """Its own fork handlers can hang a child; they are off before gRPC is imported."""
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"}
    ran = subprocess.run(
        [sys.executable, "-c", WATCHER], capture_output=True, text=True, env=environment, check=True
    )

    assert ran.stdout == "0\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_no_child_hangs_however_far_the_connection_is():
    """Each child starts, is inert and ends; each parent delivers."""
    with serving(FakeBridge(config=ORIGINAL, frames=False, numbered=False)) as bridge:
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

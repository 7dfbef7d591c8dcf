"""A scene that is worth a picture: two bridges with one store, and trainings of which one spikes, one hangs and one is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.bridges import RunningBridge, running_bridge
from support.prometheus import Prometheus, running_prometheus
from support.tools import ROOT

KILLED_AFTER = 0.4
"""The share of the scene's time after which the fast run is killed; it comes back as a second attempt at once."""

RANKS = 2
"""Of the run that counts by steps."""

SETTINGS = ("--heartbeat-seconds", "2")


@contextmanager
def loop(name: str, bridge: RunningBridge, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of the loops in a process of its own until the block ends."""
    command = [sys.executable, "-m", "support.board_pictures.loops", name, bridge.grpc]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths} | environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def scene(folder: Path, seconds: float) -> Iterator[Prometheus]:
    """Play the scene for some seconds, and yield the Prometheus that has seen it while everything still runs."""
    store = f"file://{folder / 'store'}"
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(running_bridge(folder / name, "--images-store", store, *SETTINGS))
            for name in ("bridge-one", "bridge-two")
        )
        prometheus = stack.enter_context(running_prometheus(folder, [one.http, two.http]))
        stack.enter_context(loop("vision", one))
        stack.enter_context(loop("hanging", two))
        for rank in range(RANKS):
            stack.enter_context(
                loop("language", two, RANK=str(rank), WORLD_SIZE=str(RANKS), LOCAL_RANK=str(rank))
            )
        with loop("vision-fast", two) as fast:
            time.sleep(seconds * KILLED_AFTER)
            fast.send_signal(signal.SIGKILL)
        stack.enter_context(loop("vision-fast", two))
        time.sleep(seconds * (1 - KILLED_AFTER))
        yield prometheus

"""Training loops that look alike from outside, in processes of their own; run as a script it is one of them."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from bridge.client import TrainingSession

STEP_SECONDS = 0.05
STEPS = 20
"""Steps before something happens."""


def hang(_session: TrainingSession) -> None:
    """Wait for another rank, which is not there."""
    threading.Barrier(2).wait()


def validate(session: TrainingSession) -> None:
    """Validate, and never come to an end of it."""
    with session.phase("validation"):
        threading.Event().wait()


def go_on(session: TrainingSession) -> None:
    """Make one step after the other."""
    for step in range(STEPS, 1_000_000):
        report(session, step)


def fail(_session: TrainingSession) -> None:
    """Fail."""
    raise ValueError("out of memory")


WAYS = {way.__name__: way for way in (hang, validate, go_on, fail)}


def report(session: TrainingSession, step: int) -> None:
    """Make a step."""
    time.sleep(STEP_SECONDS)
    session.log_batch(1 / (step + 1), step=step)


@contextmanager
def troubled(address: str, session_id: str, way: str):
    """Start a loop; it is killed at the end of the block, if it still lives."""
    command = [sys.executable, str(Path(__file__)), address, session_id, way]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def main() -> None:
    """Train as the words say: address, session id, and what happens after some steps."""
    address, session_id, way = sys.argv[1:]
    with TrainingSession(address, session_id=session_id, model="troubled") as session:
        for step in range(STEPS):
            report(session, step)
        WAYS[way](session)


if __name__ == "__main__":
    main()

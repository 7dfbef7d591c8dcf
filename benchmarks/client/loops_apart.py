"""Runs one loop in a process of its own, in the environment that has its libraries."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figures import MICROSECONDS
from processes import BenchmarkError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
FRAMEWORKS_PYTHON = ROOT / ".venv-frameworks" / "newest" / "bin" / "python"

PACE = 60.0
LIMIT_SECONDS = 300.0
FOREIGN = ("TRAINBRIDGE_", "WANDB_", "MLFLOW_")


@dataclass(frozen=True, slots=True)
class Found:
    """What the calls of one loop took, in microseconds, and the process for 10,000 steps, in seconds."""

    p50: float
    p99: float
    max: float
    cpu: float


def loop_apart(  # noqa: PLR0913 -- each says one thing about a loop
    subject: str,
    payload: str,
    steps: int,
    pace: float,
    *,
    python: Path = Path(sys.executable),
    address: str = "",
    session: str = "",
    state: str = "up",
    when_ready: Callable[[], None] = lambda: None,
) -> Found:
    """Run it; `when_ready` is called between opening it and the first step, where the bridge is to be frozen.

    Raises BenchmarkError where it fails, and what it has said.
    """
    command = [str(python), str(HERE / "one_loop.py"), subject, payload, str(steps), str(pace)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)
    } | {
        "PYTHONPATH": str(ROOT),
        "TRAINBRIDGE_ADDRESS": address,
        "SUBJECT_SESSION": session,
        "SUBJECT_BRIDGE": state,
    }
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        return _found(process, state, when_ready)
    except (ValueError, KeyError, subprocess.TimeoutExpired) as error:
        process.kill()
        said = process.communicate()[1]
        raise BenchmarkError(f"{subject}, {payload}: {error}\n{said[-2_000:]}") from error
    finally:
        process.kill()
        process.wait()


def _found(process: "subprocess.Popen[str]", state: str, when_ready: Callable[[], None]) -> Found:
    if state == "frozen" and process.stdout is not None:
        json.loads(process.stdout.readline())
        when_ready()
        time.sleep(0.1)
    output, said = process.communicate("go\n", LIMIT_SECONDS)
    if process.returncode:
        raise ValueError(f"ended with {process.returncode}: {said[-2_000:]}")
    found = json.loads(output.splitlines()[-1])
    p50, p99, longest = (found[name] * MICROSECONDS for name in ("p50", "p99", "max"))
    return Found(p50, p99, longest, found["cpu"] * 10_000 / found["steps"])


def has(python: Path, library: str) -> bool:
    """Return whether an environment is there, and has a library."""
    if not python.exists():
        return False
    command = [
        str(python),
        "-c",
        f"import importlib.util as u, sys; sys.exit(not u.find_spec({library!r}))",
    ]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0

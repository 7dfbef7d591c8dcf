"""Programs of the tests in processes of their own, which talk to a bridge of their own."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.fake_bridge import FakeBridge, serving
from support.tools import ROOT

from bridge.client import Status

AT_ONCE = 3

LONGEST_SECONDS = 120

LAUNCHERS = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "SLURM_",
    "OMPI_",
    "PMI",
    "MV2_",
    "HOROVOD_",
    "TORCHELASTIC_",
)
"""How variables begin that a launcher of the tests themselves may have set."""


class Ran(NamedTuple):
    """What has become of a program."""

    status: int
    out: list[str]
    err: str
    bridge: FakeBridge

    def __str__(self):
        """Say all that there is to know of it, for a test that fails."""
        bridge = self.bridge
        statuses = [str(one).replace("\n", " ") for one in bridge.of("status_update")]
        registered = [(one.session_id, one.client_instance_id) for one in bridge.registrations]
        received = [(one.session_id, one.sequence) for one in bridge.received]
        return "\n".join(
            map(
                str,
                (
                    f"status {self.status}",
                    *(self.out, self.err, bridge.streams, statuses),
                    *(registered, bridge.metadata, received, bridge.strangers),
                ),
            )
        )

    @property
    def end(self):
        """Return how the session was said to have ended, as docs/sdk.md writes it."""
        last = self.bridge.of("status_update")[-1]
        if not Status(last.status).is_end:
            return "no word"
        name = last.ending.upper() or Status(last.status).name
        return f"{name}: {last.message}".removesuffix(": ")


def run_program(path: Path, code: str, *, number: int = 0, **variables: str) -> Ran:
    """Run a program to its end; send it a signal when it has said that it is ready."""
    path.write_text(code)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    with serving(FakeBridge()) as bridge:
        process = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited
            | {"PYTHONPATH": str(ROOT), "TRAINBRIDGE_ADDRESS": bridge.address}
            | variables,
        )
        try:
            out = [process.stdout.readline()] if number else []
            if number:
                process.send_signal(number)
            rest, err = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()
            process.wait()
    return Ran(process.returncode, [*map(str.strip, out), *rest.splitlines()], err, bridge)


@contextmanager
def running(calls):
    """Start all of these, a few at a time; yield the future of each by its name."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(call) for name, call in calls.items()}
        pool.shutdown(cancel_futures=True)

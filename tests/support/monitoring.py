"""Programs of the Prometheus project: started, waited for until they say that they are ready, and ended."""

import signal
import subprocess
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from support.waiting import until_true

STOP_SECONDS = 30


@contextmanager
def ready(command: Sequence[str], address: str, log: Path):
    """Run a program that answers at an address, host:port, until the block ends; raises AssertionError, with its log, if it ends first."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            until_true(lambda: _is_ready(address) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False

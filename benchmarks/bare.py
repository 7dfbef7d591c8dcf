"""The least a gRPC server can do with the same streams, as a process of its own."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from processes import Program, Server

Answer = Literal["end", "each", "kept"]
"""When the bare server answers: at the end with a count, each message, or what is on disk."""

Loop = Literal["std", "uvloop"]

SERVER = Path(__file__).with_name("bare_server.py")


@contextmanager
def bare(*, answer: Answer = "end", loop: Loop = "uvloop") -> Iterator[Server]:
    """Run a bare server; with `kept` its file is on the same disk as a bridge's state would be."""
    with tempfile.TemporaryDirectory(prefix="trainbridge-benchmark-") as name:
        folder = Path(name)
        command = [sys.executable, str(SERVER), str(folder / "ports.json"), loop, answer]
        with Program(command=command, folder=folder).running() as server:
            yield server

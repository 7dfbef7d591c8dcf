"""Compose files as podman-compose reads them."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import yaml

STAND_IN = "#!/bin/sh\necho podman version 4.3.1\n"
"""Where podman is not installed: it is asked for its version, and nothing is run."""


def services_of(folder: Path, *names: str) -> dict:
    """Return the services of compose files, merged in order."""
    files = [word for name in names for word in ("--file", str(folder / name))]
    command = [sys.executable, "-m", "podman_compose", *files, "config"]
    with _surroundings() as environment:
        done = subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
    return yaml.safe_load(done.stdout)["services"]


@contextmanager
def _surroundings():
    if shutil.which("podman"):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "podman"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        yield {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

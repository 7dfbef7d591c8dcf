"""The pinned protobuf compiler, and what the tests have it make."""

import subprocess
from pathlib import Path

from support.tools import ROOT, missing

COMPILER = ROOT / ".venv-proto" / "bin" / "python"
ORIGINAL = ROOT / "tests" / "original" / "metrics.proto"


def compile_original(*arguments: str) -> None:
    """Compile tests/original/metrics.proto with the compiler's own arguments."""
    if not COMPILER.exists():
        missing("the protobuf compiler is not here", "`make test` installs it into .venv-proto")
    command = [COMPILER, "-m", "grpc_tools.protoc", f"-I{ORIGINAL.parent}", *arguments, ORIGINAL]
    subprocess.run(command, check=True)


def generate(into: Path) -> None:
    """Write what bridge/wire holds into another root folder."""
    subprocess.run([ROOT / "bridge" / "wire" / "generate.sh", into], check=True)

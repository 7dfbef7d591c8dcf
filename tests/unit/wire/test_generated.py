"""The generated code is what proto/metrics.proto says today."""

import subprocess
import sys

from support.protoc import generate
from support.tools import ROOT


def test_generating_again_changes_nothing(tmp_path):
    """What is committed in bridge/wire is what the pinned generator writes, to the byte."""
    generate(tmp_path)
    names = sorted(path.name for path in (tmp_path / "bridge" / "wire").iterdir())

    assert names == [
        "metrics_pb2.py",
        "metrics_pb2.pyi",
        "metrics_pb2_grpc.py",
        "metrics_pb2_grpc.pyi",
    ]
    for name in names:
        written = (tmp_path / "bridge" / "wire" / name).read_text()
        committed = (ROOT / "bridge" / "wire" / name).read_text()
        assert written == committed, f"{name} is out of date: run `make proto`"


def test_importing_warns_of_nothing():
    """With warnings as errors, the SDK imports and its messages travel."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "tests" / "alone.py"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "messages travel" in ran.stdout

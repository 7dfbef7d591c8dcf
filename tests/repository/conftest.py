"""What several tests of the repository read."""

import shutil
import subprocess
import sys

import pytest
from support.repository import files, name_of

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return the path of a wheel built from a copy of the tracked files."""
    copy = tmp_path_factory.mktemp("copy")
    for path in files():
        target = copy / name_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=copy, check=True, capture_output=True)
    (path,) = out.glob("trainbridge-*.whl")
    return path

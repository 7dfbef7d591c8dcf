"""What users install has everything in it."""

import shutil
import subprocess
import sys
from zipfile import ZipFile

import pytest
from support.repository import files, name_of
from support.tools import ROOT

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"

DATA = {
    name_of(path)
    for path in files()
    if path.is_relative_to(ROOT / "bridge") and path.suffix not in {".sh", ".pyi"}
}
"""Modules, and what they read at run time."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the names and the metadata of a wheel built of a copy of the tracked files."""
    copy = tmp_path_factory.mktemp("copy")
    for path in files():
        target = copy / name_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=copy, check=True, capture_output=True)
    (path,) = out.glob("trainbridge-*.whl")
    with ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return set(names), archive.read(metadata).decode()


def test_wheel_has_every_module_and_what_it_reads(wheel):
    """Modules, templates, styles, the schema and py.typed are in the wheel."""
    names, _ = wheel

    assert DATA - names == set()
    assert {"bridge/py.typed", "bridge/storage/schema.sql"} <= names


def test_wheel_brings_nothing_else(wheel):
    """Tests, benchmarks and examples stay out of site-packages."""
    names, _ = wheel

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"bridge"}


def test_wheel_says_licence_and_extras(wheel):
    """The metadata has the licence, and an extra for everything beyond grpcio and protobuf."""
    names, metadata = wheel
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    always = [line for line in required if "extra ==" not in line]

    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert sorted(line.split()[1].split(">")[0] for line in always) == ["grpcio", "protobuf<8,"]

"""What users install has everything in it."""

from zipfile import ZipFile

import pytest
from support.repository import files, name_of
from support.tools import ROOT

DATA = {
    name_of(path)
    for path in files()
    if path.is_relative_to(ROOT / "bridge") and path.suffix not in {".sh", ".pyi"}
}
"""Modules, and what they read at run time."""


@pytest.fixture(scope="module")
def contents(wheel):
    """Return the names in the wheel, and its metadata."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return set(names), archive.read(metadata).decode()


def test_wheel_has_every_module_and_what_it_reads(contents):
    """Modules, templates, styles, the revisions of the tables and py.typed are in the wheel."""
    names, _ = contents

    assert DATA - names == set()
    assert {"bridge/py.typed", "bridge/storage/versions/sharing.py"} <= names


def test_wheel_brings_nothing_else(contents):
    """Tests, benchmarks and examples stay out of site-packages."""
    names, _ = contents

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"bridge"}


def test_wheel_says_licence_and_extras(contents):
    """The metadata has the licence, and an extra for everything beyond grpcio and protobuf."""
    names, metadata = contents
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    always = [line for line in required if "extra ==" not in line]

    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert sorted(line.split()[1].split(">")[0] for line in always) == ["grpcio", "protobuf<8,"]

"""The archives that an image and a release are made of are those that somebody has looked at."""

import json
import re
import subprocess
import sys

import pytest
from support.tools import ROOT

CHECK = ROOT / ".ci" / "check-hashes"
NOT_HASHED = {"torch"}
"""Installed by `make torch` alone, and in nothing that is released."""

VERSION = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
HASH = re.compile(r"sha256:([0-9a-f]{64})")


def plain(name):
    """Return a name as packages are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(name):
    """Return the version of each package in a file."""
    found = VERSION.findall((ROOT / name).read_text())
    return {plain(package): version for package, version in found}


def check(tmp_path, *rows):
    """Run the check with a report of pip's."""
    path = tmp_path / "report.json"
    install = [
        {
            "metadata": {"name": name, "version": version},
            "download_info": {
                "url": f"https://index.example/{name}.whl",
                "archive_info": {"hashes": {"sha256": sha256}},
            },
        }
        for name, version, sha256 in rows
    ]
    path.write_text(json.dumps({"install": install}))
    return subprocess.run(
        [sys.executable, CHECK, path], capture_output=True, text=True, check=False
    )


@pytest.fixture
def aiohttp():
    """Return name, version and a hash of a package."""
    text = (ROOT / "hashes.txt").read_text()
    entry = text[text.index("\naiohttp==") :]
    return "aiohttp", versions("hashes.txt")["aiohttp"], HASH.search(entry)[1]


def test_each_version_has_hashes():
    """Both files name the same versions; `make hashes` brings them together again."""
    expected = versions("constraints.txt")
    assert {name: expected[name] for name in expected.keys() - NOT_HASHED} == versions("hashes.txt")


def test_an_archive_that_is_known_is_taken(tmp_path, aiohttp):
    """However its name is spelled; the wheel of this checkout needs no hash."""
    name, version, sha256 = aiohttp
    done = check(tmp_path, (name.upper(), version, sha256), ("trainbridge", "0.1.0", "0" * 64))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("version", "sha256", "said"),
    [("", "0" * 64, "which hashes.txt lacks"), ("0.1", "", "is not in hashes.txt")],
)
def test_any_other_archive_is_refused(tmp_path, aiohttp, version, sha256, said):
    """One with the right name and version, too; the message says what to do."""
    name, known_version, known_hash = aiohttp
    done = check(tmp_path, (name, version or known_version, sha256 or known_hash))

    assert done.returncode == 1
    assert said in done.stderr
    assert "make hashes" in done.stderr

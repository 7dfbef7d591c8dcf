"""The versions with which the frameworks are tested are those that the docs name."""

import re
from importlib.metadata import version

from support.markdown import tables_under
from support.tools import ROOT

HERE = ROOT / "tests" / "frameworks"
PACKAGES = {
    "Lightning": "lightning",
    "Transformers": "transformers",
    "Accelerate": "accelerate",
    "Keras 3": "keras",
}


def pinned(name):
    """Return the versions of a file by package."""
    lines = (HERE / name).read_text().splitlines()
    return {re.split(r"[\[=]", line)[0]: line.partition("==")[2] for line in lines if "==" in line}


def test_the_docs_name_the_oldest_and_the_newest_version():
    """And one of the two is installed here."""
    oldest, newest = pinned("oldest.txt"), pinned("newest.txt")
    rows = tables_under((ROOT / "docs/frameworks/index.md").read_text())["Frameworks"]
    for name, _, versions in rows:
        package = PACKAGES[re.search(r"\[(.*?)\]", name)[1]]
        assert versions == f"{oldest[package]} to {newest[package]}", package
        assert version(package) in (oldest[package], newest[package])

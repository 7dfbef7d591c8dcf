"""Find the programs that some tests need, or say how to get them."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "bin"

HOW_TO_GET = "`make tools` gets it, into .tools/ of this checkout"


def tool(name: str) -> Path:
    """Return the program; where it is missing the test is skipped, or fails when CI is set."""
    places = (str(TOOLS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin")
    found = shutil.which(name, path=os.pathsep.join(places))
    if not found:
        missing(f"{name} is not installed here", HOW_TO_GET)
    return Path(found)


def node_tool(name: str) -> Path:
    """Return a program that npm brings; where it is missing the test is skipped, or fails when CI is set."""
    path = ROOT / "node_modules" / ".bin" / name
    if not path.exists():
        missing(f"{name} is not installed here", "`make check` gets it, into node_modules/")
    return path


def missing(what: str, how_to_get_it: str) -> None:
    """Skip the test for want of something, or fail it when CI is set."""
    reason = f"{what}; {how_to_get_it}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

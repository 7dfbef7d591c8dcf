"""Find the programs that some tests need, or say how to get them."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "bin"
POSTGRES = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
"""Where Debian puts the servers of PostgreSQL, which are not for everybody's PATH."""

HOW_TO_GET = "`make tools` gets it, into .tools/ of this checkout"


def tool(name: str) -> Path:
    """Return the program; where it is missing the test is skipped, or fails when CI is set."""
    path = found(name)
    if path is None:
        missing(f"{name} is not installed here", HOW_TO_GET)
    return path


def found(name: str) -> Path | None:
    """Return the program, or None where it is missing."""
    places = (str(TOOLS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *POSTGRES)
    path = shutil.which(name, path=os.pathsep.join(places))
    return Path(path) if path else None


def node_tool(name: str) -> Path:
    """Return a program that npm brings; where it is missing the test is skipped, or fails when CI is set."""
    path = found_node_tool(name)
    if path is None:
        missing(f"{name} is not installed here", "`make check` gets it, into node_modules/")
    return path


def found_node_tool(name: str) -> Path | None:
    """Return a program that npm brings, or None where it is missing."""
    path = ROOT / "node_modules" / ".bin" / name
    return path if path.exists() else None


def missing(what: str, how_to_get_it: str) -> None:
    """Skip the test for want of something, or fail it when CI is set."""
    reason = f"{what}; {how_to_get_it}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

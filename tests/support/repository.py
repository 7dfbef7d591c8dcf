"""The files of this repository, as the tests that read them see them."""

import subprocess
from functools import cache

from support.tools import ROOT


@cache
def files(*suffixes):
    """Return the files that git tracks or would, with one of the suffixes if any are given."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = (ROOT / name for name in sorted(set(listed.stdout.splitlines())))
    return [path for path in found if path.is_file() and path.name.endswith(suffixes or ("",))]


def name_of(path):
    """Return a file's name from the root."""
    return path.relative_to(ROOT).as_posix()

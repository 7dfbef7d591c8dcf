"""What the tests see of this machine, and leave on it: one temporary folder, which goes when they are over."""

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "trainbridge-tests-"
UNSET = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
"""Where programs would leave files instead of in HOME."""


def enter():
    """Make the folder, and have every temporary file, cache and profile go into it; returns it.

    Folders of tests that were killed are removed.
    """
    root = Path(tempfile.gettempdir())
    for folder in root.glob(f"{PREFIX}*"):
        if not is_running(folder.name.removeprefix(PREFIX)):
            remove(folder)
    folder = root / f"{PREFIX}{os.getpid()}"
    home = folder / "home"
    home.mkdir(parents=True)
    settings = Path("~/.gitconfig").expanduser()
    if settings.exists():
        os.environ.setdefault("GIT_CONFIG_GLOBAL", str(settings))  # may say whose checkout is safe
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ |= {"TMPDIR": str(folder), "HOME": str(home)}
    tempfile.tempdir = None  # it is looked up anew
    return folder


def remove(folder):
    """Remove a folder with whatever is still in it."""
    shutil.rmtree(folder, ignore_errors=True)


def is_running(pid):
    """Return whether there is a process with this id, given as text."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True

"""Looks around inside a container, and prints what it finds as JSON; runs with the image's own Python."""

import json
import os
import stat
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

FORBIDDEN_PROGRAMS = ("pip", "pip3", "pipx", "uv", "conda", "easy_install", "gcc", "cc", "g++", "ld", "as", "make",
                      "git", "curl", "wget", "ssh", "nc")  # fmt: skip  # a list of words
FORBIDDEN_MODULES = ("pip", "ensurepip", "setuptools", "wheel", "pytest", "grpc_tools", "torch")
ELSEWHERE = ("/proc", "/sys", "/dev")


def files():
    """Yield every file and folder of the image, links left out."""
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if str(Path(folder, name)) not in ELSEWHERE]
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if not path.is_symlink():
                yield path


def main():
    """Print what can be written, what runs as another, what could install or build, and what is installed."""
    found = {"writable": [], "setuid": [], "wheels": [], "uncompiled": []}
    for path in files():
        mode = path.lstat().st_mode
        if os.access(path, os.W_OK):
            found["writable"].append(str(path))
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            found["setuid"].append(str(path))
        if path.suffix == ".whl":
            found["wheels"].append(str(path))
    places = [Path(place) for place in os.environ["PATH"].split(":")]
    found["programs"] = [
        str(place / name)
        for place in places
        for name in FORBIDDEN_PROGRAMS
        if (place / name).exists()
    ]
    found["modules"] = [name for name in FORBIDDEN_MODULES if find_spec(name)]
    found["installed"] = {item.metadata["Name"]: item.version for item in distributions()}
    import bridge.service  # noqa: F401, PLC0415 -- what it needs at run time is what is looked at

    found["uncompiled"] = sorted(
        name
        for name, module in sys.modules.items()
        if (cached := getattr(module, "__cached__", None)) and not Path(cached).exists()
    )
    found["ids"] = [os.getuid(), os.getgid(), os.getgroups()]
    found["environment"] = dict(os.environ)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

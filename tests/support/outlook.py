"""What `make test` says before it begins: how long it takes, what it leaves out, and how to have that too."""

import os
from importlib.util import find_spec

from support.tools import found, found_node_tool

MINUTES = "about 40 minutes on two cores that have nothing else to do"

PROGRAMS = {
    "chromium": "how the pages look and behave in a browser",
    "promtool": "alert rules and /metrics as Prometheus reads them",
    "prometheus": "a real Prometheus",
    "prometheus-alertmanager": "alerts that send commands",
    "amtool": "the configuration of Alertmanager",
    "swift-python": "object storage with a real server",
    "ip": "networks that break",
    "mkfs.ext4": "disks that fail",
    "postgres": "bridges that share a PostgreSQL",
    "haproxy": "bridges behind a proxy",
}
"""What stays untested where a program is missing."""


def lines():
    """Return the outlook, one line each."""
    return [
        f"All tests take {MINUTES}; the percentage at the end of a line is how many are done.",
        *(f"  left out: {what}, for want of {why}" for what, why in left_out()),
    ]


def left_out():
    """Yield what stays untested here, and what it takes."""
    for name, what in PROGRAMS.items():
        if not found(name):
            yield what, f"{name}: `make tools` gets it, into .tools/ of this checkout"
    if not found_node_tool("pyright"):
        yield "types as users see them", "pyright: `make check` gets it, into node_modules/"
    if find_spec("torch") is None:
        yield "training with PyTorch", "PyTorch: `make torch` gets it, into .venv (5 GB)"
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        yield "full disks, cut networks and limited memory", "the rights of root"

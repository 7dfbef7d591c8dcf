"""Limits of memory as the kernel enforces them, and what a process has used."""

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest

ROOTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),  # cgroup v1
    (Path("/sys/fs/cgroup"), "memory.max"),  # cgroup v2
)


@contextmanager
def limited(pid, size_bytes):
    """Have the kernel kill a process that takes more memory from now on; a test that may not is skipped."""
    name = f"trainbridge-test-{token_hex(3)}"
    for root, limit in ROOTS:
        group = root / name
        with suppress(OSError):
            group.mkdir()
            (group / limit).write_text(str(size_bytes))
            (group / "cgroup.procs").write_text(str(pid))
            break
        with suppress(OSError):
            group.rmdir()
    else:
        pytest.skip("no control group can be made here to limit memory")
    try:
        yield
    finally:
        with suppress(OSError):  # it is over: its process has left it
            (root / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def resident_bytes(pid="self"):
    """Return how much memory a process holds."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(pid):
    """Return the most memory that a process has ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024

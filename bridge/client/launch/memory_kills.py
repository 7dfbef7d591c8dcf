"""How many processes the kernel has killed for want of memory."""

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def out_of_memory_kills(own: Path = OWN_CGROUP, cgroups: Path = CGROUPS) -> int | None:
    """Return how many processes of our cgroup were killed for their memory; None where nothing counts them."""
    try:
        lines = own.read_text().splitlines()
        (path,) = [line[3:] for line in lines if line.startswith("0::")]
        events = (cgroups / path.strip("/") / "memory.events").read_text().splitlines()
        return int(dict(line.split() for line in events)["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None

"""The limit of open files is known, and as high as it may be."""

import subprocess
import sys

from bridge.open_files import shortage

SCRIPT = """
import resource
from bridge.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_the_limit_is_raised_as_far_as_it_may_be():
    """Shells start programs with a lower one than the system allows."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["256", "256"]


def test_a_limit_below_what_clients_may_take_is_reported():
    """With both ways out; a process without a limit has no shortage."""
    text = shortage(1_024, grpc_connections=4_000, http_connections=1_000)

    assert "1024" in text
    assert "ulimit -n" in text
    assert "http_max_connections" in text
    assert shortage(10_000, grpc_connections=4_000, http_connections=1_000) == ""
    assert shortage(None, grpc_connections=4_000, http_connections=1_000) == ""

"""A bridge's process that stands still, as SIGSTOP leaves it: connections open, and nothing answers."""

import signal
import subprocess
import sys
from contextlib import contextmanager

CODE = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def stopped_process():
    """Yield the address that a stopped process listens at."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    port = int(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()

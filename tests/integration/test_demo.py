"""The demo on a terminal: it goes on until somebody ends it, and leaves nothing behind however it ends."""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading

import pytest
from support.waiting import until_true

SECONDS = 90

OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Runs Python with a terminal of its own, which a shell would give it."""


class Terminal:
    """A demo with a terminal of its own, and all that it has shown there."""

    def __init__(self, temporary):
        environment = os.environ | {"TMPDIR": str(temporary)}
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, "-m", "bridge", "demo", "--epochs", "1",
             "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        )  # fmt: skip  # flags beside their values
        os.close(theirs)
        self.text = ""
        self._is_open = True
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def port(self):
        """Return the port of the pages as soon as it is shown."""
        shown = until_true(
            lambda: re.search(r"http://127\.0\.0\.1:(\d+)/sessions/", self.text), seconds=SECONDS
        )
        return int(shown[1])

    def type(self, text):
        """Press keys."""
        os.write(self._ours, text)

    def close(self):
        """Close the window."""
        self._is_open = False
        self._reader.join()

    def _read(self):
        with contextlib.suppress(OSError):  # nobody writes any more
            while self._is_open:
                if select.select([self._ours], [], [], 0.05)[0]:
                    self.text += os.read(self._ours, 4096).decode(errors="replace")
        os.close(self._ours)


def is_listening(port):
    """Return whether anybody answers at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


ENDS = {
    "Ctrl-C": lambda terminal: terminal.type(b"\x03"),
    "SIGTERM": lambda terminal: terminal.process.send_signal(signal.SIGTERM),
    "closed window": lambda terminal: terminal.close(),
    "kill -9": lambda terminal: terminal.process.kill(),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_demo_leaves_nothing_behind(tmp_path, end):
    """One run follows the other until Ctrl-C, quietly; nothing answers at its ports afterwards, and its folder is gone."""
    terminal = Terminal(tmp_path)
    try:
        port = terminal.port()
        assert is_listening(port)
        if end == "Ctrl-C":
            until_true(lambda: terminal.text.count(f":{port}/sessions/") >= 2, seconds=SECONDS)
        ENDS[end](terminal)
        status = terminal.process.wait(SECONDS)
        until_true(lambda: not is_listening(port), seconds=SECONDS)
        until_true(lambda: not list(tmp_path.iterdir()), seconds=SECONDS)
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()

    assert "Traceback" not in terminal.text
    if end in ("Ctrl-C", "SIGTERM"):
        assert status == 0
        assert "Stopped." in terminal.text

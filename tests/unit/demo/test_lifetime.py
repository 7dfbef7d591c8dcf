"""When the demo ends."""

import os
import pty
import signal
import subprocess
import sys

SECONDS = 60

FIRST_OF_A_TERMINAL = """
import fcntl, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, lambda *_: None)
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]], stderr=subprocess.DEVNULL).returncode)
"""
"""Runs a program as make does: it waits for its end, and keeps the signal of a closed terminal for itself."""

WAITING = """
import sys, time
from bridge.demo.lifetime import end_with_terminal
end_with_terminal()
sys.stdout.write("waiting")
sys.stdout.flush()
time.sleep(600)
"""


def test_a_closed_terminal_is_noticed_without_its_signal():
    """`make demo` as the only program of a window: the signal goes to make alone, and the demo ends nevertheless."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST_OF_A_TERMINAL, WAITING],
        stdin=theirs, stdout=theirs, start_new_session=True,
    )  # fmt: skip  # flags beside their values
    os.close(theirs)
    try:
        text = b""
        while b"waiting" not in text:
            text += os.read(ours, 100)
        os.close(ours)
        process.wait(SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

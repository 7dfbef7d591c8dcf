"""Whose SIGTERM it is; what becomes of a process that it ends, in tests/integration/test_ends_of_runs.py."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.process_hooks import TERMINATION
from bridge.client.termination import Termination
from bridge.client.testing import RecordingBridge

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")


@pytest.fixture(autouse=True)
def _default():
    """Each test begins and ends with the system's own handling."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    TERMINATION.release()
    signal.signal(signal.SIGTERM, before)


def handler():
    """Return who handles the signal."""
    return signal.getsignal(signal.SIGTERM)


def threads():
    """Return the threads that wait for the signal too."""
    return [thread for thread in threading.enumerate() if thread.name == "trainbridge-signals"]


def test_the_signal_is_handled_while_there_is_a_session():
    """Then it is the system's again, and no thread and no file descriptor stay behind."""
    with TrainingSession(RecordingBridge()), TrainingSession(RecordingBridge()):
        assert handler() == TERMINATION._on_signal
        assert len(threads()) == 1

    assert handler() is signal.SIG_DFL
    until_true(lambda: not threads())
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_a_handler_of_the_program_is_left_alone(own):
    """Whether it was there before the session, or has come during it."""
    signal.signal(signal.SIGTERM, own)
    with TrainingSession(RecordingBridge()):
        assert handler() is own
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with TrainingSession(RecordingBridge()):
        signal.signal(signal.SIGTERM, own)

    assert handler() is own


def test_a_session_of_another_thread_handles_nothing():
    """Python takes handlers in the main thread alone; nothing is raised."""
    seen = []

    def train():
        with TrainingSession(RecordingBridge()):
            seen.append(handler())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()

    assert seen == [signal.SIG_DFL]


def test_the_wakeup_of_an_event_loop_is_left_alone():
    """Whoever has it keeps it: asyncio would no longer see signals otherwise."""

    async def train():
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, ended.set)
        with TrainingSession(RecordingBridge()):
            assert not threads()
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(ended.wait(), 60)

    asyncio.run(train())


def test_a_handler_that_calls_the_one_before_it_keeps_the_decision():
    """What it goes on with, such as a checkpoint, is not cut off."""
    ended, kept = [], []
    termination = Termination(lambda: ended.append(True))
    termination.watch()
    before = handler()
    signal.signal(signal.SIGTERM, lambda *given: (kept.append(True), before(*given)))
    os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)
    termination.release()

    assert (kept, ended) == ([True], [])
    assert handler() is signal.SIG_DFL


STUCK = """
import os, signal, threading
from bridge.client.termination import Termination
stuck = threading.Lock()
stuck.acquire()
import bridge.client.termination as module
module.LONGEST_SECONDS = 0.2
Termination(stuck.acquire).watch()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_the_process_dies_whatever_the_report_waits_for():
    """A thread may be stuck with a lock."""
    ran = subprocess.run([sys.executable, "-c", STUCK], check=False, timeout=60)

    assert ran.returncode == -signal.SIGTERM

"""Run a program under a session: announce it, stand beside the program, and report what it could not."""

import threading
from collections.abc import Sequence
from contextlib import suppress

from bridge.client.clock import now_ms
from bridge.client.launch.memory_kills import out_of_memory_kills
from bridge.client.launch.preparation import Launch, say
from bridge.client.launch.program import Program
from bridge.client.launch.run_folder import VARIABLE, RunFolder

LOAD_SECONDS = 10.0
"""How long the end of a program waits for the thread that announces it, which may still load gRPC."""


def launch(words: Sequence[str], settled: Launch, *, seconds: float) -> int:
    """Run a program to its end, and return the exit status of this command.

    `seconds`: how long what is left is delivered for after the end. Raises OSError, where the program cannot be
    started: its filename is that of the program.
    """
    folder = RunFolder.create(settled.run)
    try:
        return _run(words, settled, folder, seconds)
    finally:
        folder.remove()


def _run(words: Sequence[str], settled: Launch, folder: RunFolder, seconds: float) -> int:
    kills = out_of_memory_kills()
    program = Program(words, {**settled.environment, VARIABLE: str(folder.path)})
    for warning in settled.warnings:
        say(warning)
    announcer = _Announcer(settled, folder)
    if settled.run.is_reported:
        announcer.thread.start()
    try:
        code = program.wait(announcer.stand_by)
    finally:
        announcer.stop()
    more = (out_of_memory_kills() or 0) - kills if kills is not None else 0
    # These import gRPC and whatever arrays need, with threads of their own: not before signals are blocked.
    from bridge.client.launch.aftermath import Aftermath  # noqa: PLC0415
    from bridge.client.launch.announcement import identity_of  # noqa: PLC0415
    from bridge.client.launch.outcome import Outcome  # noqa: PLC0415

    outcome = Outcome(code, max(0, more))
    if not settled.run.is_reported:
        program.release()
        return outcome.exit_status
    identity = identity_of(settled.run, announcer.started_ms)
    aftermath = Aftermath(settled, folder, identity, is_hurried=program.asked_to_end)
    aftermath.settle(outcome, seconds, release=program.release)
    return outcome.exit_status


class _Announcer:
    """Announces the run until the program's own session does that, in a thread that loads gRPC."""

    def __init__(self, settled: Launch, folder: RunFolder) -> None:
        self._launch = settled
        self._folder = folder
        self._is_over = threading.Event()
        self.thread = threading.Thread(target=self._announce, name="trainbridge-run", daemon=True)
        self.started_ms = now_ms()

    def stand_by(self) -> bool:
        """Give way to a session of the program; return whether there is still something to wait for."""
        if not self._launch.run.is_reported:
            return False
        if self._folder.read_session() is None:
            return True
        self._is_over.set()
        return False

    def stop(self) -> None:
        """Leave the session alone."""
        self._is_over.set()
        if self.thread.ident is not None:
            self.thread.join(LOAD_SECONDS)

    def _announce(self) -> None:
        from bridge.client import console  # noqa: PLC0415 -- while the program runs already
        from bridge.client.launch.announcement import RunConnection, identity_of  # noqa: PLC0415

        console.attach()
        if self._is_over.is_set():
            return
        connection = RunConnection(
            self._launch.bridge,
            identity_of(self._launch.run, self.started_ms),
            is_succeeded=lambda: self._folder.read_session() is not None,
        )
        with suppress(RuntimeError):  # no thread can be started; the end is reported later
            connection.announce()
        self._is_over.wait()
        connection.stop()

"""Programs that run side by side, each with a log of its own, until the first of them or all of them end."""

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 120.0
"""On a machine that is busy with something else."""

STOP_SECONDS = 40.0
"""A bridge delivers what it has before it ends."""

LAST_LINES = 12
POLL_SECONDS = 0.05


class StackError(Exception):
    """The stack cannot start, or go on; the message says why, and what to do."""


@dataclass(frozen=True)
class Program:
    """One that has been started."""

    name: str
    process: subprocess.Popen
    log: Path

    def check_alive(self):
        """Raise StackError, with the last lines of its log, if it has ended."""
        if self.process.poll() is not None:
            raise StackError(
                f"{self.name} has ended with status {self.process.returncode}. The last lines of {self.log}:\n\n"
                f"{self.last_lines() or '(it has written nothing)'}"
            )

    def last_lines(self):
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])


@dataclass
class Programs:
    """All that run, in the order in which they were started."""

    logs: Path
    _running: list[Program] = field(default_factory=list)

    def __enter__(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        self._stop()

    def start(self, name, *words):
        """Start one; Ctrl-C reaches only us, so that we can end them in order."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_ending_with_us(), *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        program = Program(name, process, log)
        self._running.append(program)
        return program

    def check_alive(self):
        """Raise StackError if any of them has ended."""
        for program in self._running:
            program.check_alive()

    def wait_for(self, what, is_so):
        """Return the first true thing that `is_so` returns; raises StackError if a program ends, or after some time."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := is_so()):
            self.check_alive()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{what}: not within {START_SECONDS:g} s; the logs are in {self.logs}"
                )
            time.sleep(POLL_SECONDS)
        return found

    def _stop(self):
        """End them in reverse order: who sends before who receives."""
        for program in reversed(self._running):
            program.process.terminate()
            try:
                program.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
        self._running.clear()


def _ending_with_us():
    """Return what has a program end with us, also where we are killed and cannot end it (Linux)."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()

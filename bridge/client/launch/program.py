"""The program itself: started, sent the signals that come, and waited for."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bridge.client.launch.preparation import say

FORWARDED = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"),
        *("SIGTSTP", "SIGCONT", "SIGWINCH", "SIGXCPU"),
    )
    if hasattr(signal, name)
)

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""With which somebody asks the program to end."""

TO_ALL = "slurmstepd"
"""The sender that signals every process of a job step, so that the program has had it too."""

POLL_SECONDS = 0.25
"""How often is looked after something else while the program runs."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of shells."""


class Program:
    """A process, and what keeps this one out of its way.

    It has our standard streams, our process group and our terminal, the signal mask that we had, and the
    default for what Python ignores. All signals are blocked here and read one by one, so that the kernel's own,
    such as Ctrl-C of a terminal, which reach the program as well, are distinguished from those sent to us alone.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it. Raises OSError, FileNotFoundError and PermissionError where that is impossible."""
        self._waited = {*FORWARDED, signal.SIGCHLD}
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, nobody could wait for it
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._waited)
        self.asked_to_end = False
        """Whether a signal has asked it to end, to which this command should not add much time."""
        restored = [
            each for each in (signal.SIGPIPE, signal.SIGXFSZ) if _is_ignored_by_python(each)
        ]
        try:
            self.process = os.posix_spawnp(
                words[0], list(words), dict(environment), setsigmask=self._mask, setsigdef=restored
            )
        except OSError:
            self.release()
            raise

    def wait(self, meanwhile: Callable[[], bool]) -> int:
        """Return its exit status, or minus the signal that has killed it; calls `meanwhile` until that is False."""
        is_needed = True
        while True:
            seconds = POLL_SECONDS if is_needed else 3600.0
            code = self._reap()
            if code is not None:
                return code
            came = signal.sigtimedwait(self._waited, seconds)
            if came is not None and came.si_signo != signal.SIGCHLD:
                self._pass_on(came)
            is_needed = is_needed and meanwhile()

    def release(self) -> None:
        """Take signals again as before; those that came for the program are over."""
        while signal.sigtimedwait(self._waited, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _reap(self) -> int | None:
        """Wait for every child that has ended: as the first process of a container, we are given all orphans."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if process == self.process:
                return os.waitstatus_to_exitcode(status)
            if not process:
                return None

    def _send(self, number: int) -> None:
        try:
            os.kill(self.process, number)  # not reaped yet, so nobody else has its number
        except PermissionError:
            say(
                f"{signal.Signals(number).name} cannot be passed on: the program runs as another user, as with sudo; send it to"
                f" process {self.process} as that user, or start `trainbridge run` as that user: sudo trainbridge run ..."
            )

    def _pass_on(self, came: signal.struct_siginfo) -> None:
        number = came.si_signo
        self.asked_to_end |= number in ENDING
        if not _has_reached_program(came):
            self._send(number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)  # the shell waits for us to stop


def _has_reached_program(came: signal.struct_siginfo) -> bool:
    """Return whether whoever has sent a signal has sent it to the program as well."""
    if came.si_code > 0:  # by the kernel: the terminal, to the whole group in its foreground
        return True
    try:
        return Path(f"/proc/{came.si_pid}/comm").read_text().strip() == TO_ALL
    except OSError:
        return False


def _is_ignored_by_python(number: int) -> bool:
    """Return whether Python has ignored it for itself alone; `nohup` and others mean the program."""
    return signal.getsignal(number) is signal.SIG_IGN

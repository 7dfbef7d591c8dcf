"""What is left to do when the program has ended: deliver what it could not, and say how it ended."""

import logging
import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from bridge.client.calls import StatusCall
from bridge.client.identity import Identity
from bridge.client.launch.announcement import report_end
from bridge.client.launch.endings_left import leave_end
from bridge.client.launch.outcome import Outcome
from bridge.client.launch.preparation import Launch, say, write_on_stderr
from bridge.client.launch.run_folder import RunFolder, RunSession
from bridge.client.spool.folder import Folder, InUseError
from bridge.client.sync import UndeliverableError, deliver

HURRIED_SECONDS = 8.0
"""Where somebody has asked the program to end, who may soon kill this command: Kubernetes after 30 s."""

PATIENCE_SECONDS = 5.0
"""How long nothing may move."""

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class OutOfTimeError(UndeliverableError):
    """Not all could be delivered in the time there is."""


class Aftermath:
    """Settles one run, in bounded time; a signal cuts that short, and nothing that a spool keeps is lost."""

    def __init__(
        self, settled: Launch, folder: RunFolder, identity: Identity, *, is_hurried: bool
    ) -> None:
        """Settle this run; `is_hurried`: somebody waits for its end."""
        self._launch = settled
        self._identity = identity
        self._is_hurried = is_hurried
        self._session = folder.read_session()

    def settle(self, outcome: Outcome, seconds: float, release: Callable[[], None]) -> None:
        """Deliver and report; `release` lets signals through again. Never raises, but for mistakes of our own."""
        seconds = min(seconds, HURRIED_SECONDS) if self._is_hurried else seconds
        session, end = self._session, outcome.status
        spool = Path(session.spool) if session is not None and session.spool else None
        has_spool = spool is not None and spool.is_dir()
        if spool is not None and has_spool and session is not None and not session.end:
            leave_end(spool, end)
        for number in INTERRUPTS:
            with suppress(ValueError):
                signal.signal(number, _interrupt)
        # What has to be known is said below, in one sentence.
        logging.getLogger("trainbridge").addHandler(logging.NullHandler())
        try:
            release()
            if spool is not None and has_spool:
                self._deliver(spool, seconds)
            elif session is None or not session.end:
                self._report(session, end, seconds)
        except KeyboardInterrupt:
            say(f"interrupted; {_way_on(spool if has_spool else None)}")

    def _deliver(self, spool: Path, seconds: float) -> None:
        """Deliver what the program has left in its spool."""
        line = _Progress(time.monotonic() + seconds)
        try:
            deliver(
                spool,
                self._launch.bridge,
                patience_seconds=min(seconds, PATIENCE_SECONDS),
                progress=line.show,
            )
        except InUseError:
            pass  # a process of the program goes on, and delivers it by itself
        except (UndeliverableError, OSError, ValueError) as error:
            line.clear()
            say(f"not all of the run is delivered: {error}; {_way_on(spool)}")
        else:
            line.clear()

    def _report(self, session: RunSession | None, end: StatusCall, seconds: float) -> None:
        """Report the end, where the program has no spool, or has had no session."""
        identity = self._identity
        if session is not None:
            identity = replace(
                identity, session_id=session.session_id, instance_id=session.instance_id
            )
        try:
            if report_end(self._launch.bridge, identity, end, min(seconds, PATIENCE_SECONDS)):
                return
        except KeyboardInterrupt:
            self._keep(identity, end)
            raise
        self._keep(identity, end)

    def _keep(self, identity: Identity, end: StatusCall) -> None:
        """Leave the end of a run in the spool, as its bridge is away."""
        if self._launch.spool is None:
            say("the bridge does not know how the program ended, and nothing is kept (--no-spool)")
            return
        try:
            folder = Folder.create(self._launch.spool, identity)
            leave_end(folder.path, end)
            folder.release()
        except OSError as error:
            say(f"the bridge does not know how the program ended: {error.strerror}")
        else:
            say(f"no bridge at {self._launch.bridge.target}; {_way_on(folder.path)}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _way_on(spool: Path | None) -> str:
    if spool is None:
        return "how the program ended may not be reported"
    return f"what is left stays in {spool}; deliver it with: trainbridge sync {shlex.quote(str(spool))}"


class _Progress:
    """A line on a terminal while much is left; says when the time is over."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._is_shown = False

    def show(self, _session_id: str, done: int, messages: int) -> None:
        """Show how much is delivered. Raises OutOfTimeError."""
        if time.monotonic() > self._deadline:
            raise OutOfTimeError(
                f"{messages - done} messages are left, and the time is over (--sync-seconds)"
            )
        if sys.stderr is not None and sys.stderr.isatty() and done < messages:
            self._is_shown = True
            write_on_stderr(f"\rtrainbridge run: {done}/{messages} messages delivered\x1b[K")

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            write_on_stderr("\r\x1b[K")

"""How the session of a program that `trainbridge run` has started takes over the session of its run."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from bridge.client.launch.run_folder import (
    LOCK_FILE,
    Run,
    RunFolder,
    RunSession,
    folder_of_run,
)
from bridge.client.ranks import RankCheck
from bridge.client.stable_names import AUTO
from bridge.protocol import Status

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows, where `trainbridge run` does not start
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("trainbridge")

_USED: set[str] = set()
"""Folders of runs whose session this process has had: its second session is another run."""

OUT_OF_SIGHT = (
    "this process belongs to a run of `trainbridge run`, whose folder %s cannot be read from here (%s): its session"
    " is another one than that of the run. Where processes run on other machines or in containers, start"
    " `trainbridge run` there, such as with `srun trainbridge run -- ...`"
)


@dataclass(frozen=True, slots=True)
class Membership:
    """The part of one session in the run that it belongs to."""

    folder: RunFolder
    run: Run
    instance_id: str = ""
    """Under which it registers; "": under one of its own, since another rank reports the run."""
    lock: int = -1

    @property
    def session_id(self) -> str:
        """What the run is called."""
        return self.run.session_id

    def begin(self, session_id: str, spool: Path | None) -> None:
        """Say that this process reports the run from now on, and where what it cannot send is kept."""
        if self.instance_id:
            session = RunSession(session_id, self.instance_id, os.getpid(), str(spool or ""))
            self._write(session)

    def end(self, status: Status) -> None:
        """Say that the end is reported: `trainbridge run` has nothing to add to that."""
        session = self.folder.read_session()
        if self.instance_id and session and session.instance_id == self.instance_id:
            self._write(replace(session, end=status.name))
        self._unlock()

    def leave(self) -> None:
        """Leave the run to another process: this one has turned out not to be rank 0."""
        if self.instance_id:
            with suppress(OSError):
                self.folder.remove_session()
            _USED.discard(str(self.folder.path))
        self._unlock()

    def _write(self, session: RunSession) -> None:
        with suppress(OSError):  # a full disk; then the run ends with what `trainbridge run` sees
            self.folder.write_session(session)

    def _unlock(self) -> None:
        if self.lock >= 0:
            with suppress(OSError):
                os.close(self.lock)


NO_RUN = Membership(RunFolder(Path()), Run(""))
"""Of a session that `trainbridge run` knows nothing of."""


def join_run(
    wanted: str | None,
    rank: RankCheck,
    environment: Mapping[str, str] = os.environ,
) -> Membership:
    """Return the part of a new session in the run of this process; NO_RUN: it has none, and is as always.

    One process at a time reports the run. It takes over the session that `trainbridge run` has announced;
    one that comes after another has failed is a new attempt of the same session. A second session of one process, one
    beside another that is alive, and one after another that has completed are runs of their own.
    """
    folder = folder_of_run(environment)
    if folder is None or fcntl is None:
        return NO_RUN
    try:
        run = folder.read_run()
    except (OSError, ValueError) as error:
        log.warning(OUT_OF_SIGHT, folder.path, getattr(error, "strerror", None) or error)
        return NO_RUN
    if rank.process.rank:
        return Membership(folder, run) if run.session_id else NO_RUN
    if not rank.is_known or not run.is_reported or not run.session_id:
        return NO_RUN
    membership = _take_over(folder, run)
    if membership is not NO_RUN and wanted not in (None, "", AUTO, run.session_id):
        log.warning(
            "this session is reported as %s, as `trainbridge run` has begun the run, and not as %s: give it"
            " --session-id %s",
            run.session_id,
            wanted,
            wanted,
        )
    return membership


def _take_over(folder: RunFolder, run: Run) -> Membership:
    if str(folder.path) in _USED:
        return NO_RUN
    try:
        lock = os.open(folder.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        log.warning(OUT_OF_SIGHT, folder.path, error.strerror)
        return NO_RUN
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process reports the run
        os.close(lock)
        return NO_RUN
    before = folder.read_session()
    if before is not None and before.has_succeeded:
        os.close(lock)
        return NO_RUN
    _USED.add(str(folder.path))
    return Membership(folder, run, run.instance_id if before is None else uuid4().hex, lock)

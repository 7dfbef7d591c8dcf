"""The runs that writers of this process report to: those of one folder, and of its train and val, share one."""

import os
import weakref
from collections.abc import Callable
from pathlib import Path

from bridge.client.compat.histograms import Histograms
from bridge.client.compat.late_session import LateSession
from bridge.client.compat.step_log import StepLog
from bridge.client.compat.tags import split_of


class OpenRun:
    """One run, until the last of its writers is closed."""

    def __init__(self, late: LateSession, loss_tag: str | None, histograms: int) -> None:
        """Begin without writers."""
        self.late = late
        self.steps = StepLog(late, loss_tag)
        self.histograms = Histograms(late, histograms)
        self._writers = 0
        self._error: BaseException | None = None

    def join(self) -> None:
        """Count a writer."""
        self._writers += 1

    def leave(self, error: BaseException | None = None) -> None:
        """Count one less, and end the run where it was the last; it has failed if one of them says so."""
        self._writers -= 1
        self._error = error or self._error
        if self._writers == 0:
            self.late.close(self._error)


_RUNS: "weakref.WeakValueDictionary[str, OpenRun]" = weakref.WeakValueDictionary()
"""By folder; a run whose writers the program has dropped is gone."""


def place_of(log_dir: str) -> tuple[str, str]:
    """Return the folder of the run that a writer's folder belongs to, and the split that it stands for."""
    parent, name = os.path.split(log_dir.rstrip("/\\"))
    split = split_of(name)
    return (parent, split) if split and parent else (log_dir.rstrip("/\\"), split)


def run_of(folder: str, make: Callable[[], OpenRun]) -> OpenRun:
    """Return the open run of a folder, or a new one, with one writer more."""
    key = f"{os.getpid()}:{folder if '://' in folder else Path(folder).resolve()}"
    run = _RUNS.get(key)
    if run is None or run.late.is_closed:
        run = _RUNS[key] = make()
    run.join()
    return run

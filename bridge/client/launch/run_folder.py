"""The folder by which `trainbridge run` and the sessions of the program that it has started know of each other."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import mkdtemp

VARIABLE = "TRAINBRIDGE_RUN_DIR"
"""Names the folder, to every process of the program."""

RUN_FILE = "run.json"
SESSION_FILE = "session.json"
LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class Run:
    """What `trainbridge run` says of the run."""

    session_id: str
    """What the session of the run is called; "": each rank looks for a name itself."""
    instance_id: str = ""
    """By which the bridge knows the first process of the program as the one that has announced the run."""
    labels: Mapping[str, str] = field(default_factory=dict)
    is_reported: bool = True
    """Whether rank 0 is, or may be, among the processes of this program."""


@dataclass(frozen=True, slots=True)
class RunSession:
    """What the last process that has reported the run says of its session."""

    session_id: str
    instance_id: str
    process: int
    spool: str = ""
    """The folder that keeps its messages; "": none does."""
    end: str = ""
    """The status that it has ended with, once the bridge or the spool has that; "": it has not."""

    @property
    def has_succeeded(self) -> bool:
        """Return whether nothing is left to report of the run."""
        return self.end == "COMPLETED"


class RunFolder:
    """A folder of one run on one machine."""

    def __init__(self, path: Path) -> None:
        """Use a folder that is there."""
        self.path = path

    @classmethod
    def create(cls, run: Run) -> "RunFolder":
        """Make a folder that nobody else can read. Raises OSError."""
        folder = cls(Path(mkdtemp(prefix="trainbridge-run-")))
        write_whole(folder.path / RUN_FILE, json.dumps(asdict(run)))
        return folder

    def read_run(self) -> Run:
        """Return what is said of the run. Raises OSError, ValueError."""
        try:
            return Run(**json.loads((self.path / RUN_FILE).read_text()))
        except TypeError as error:
            raise ValueError(f"{RUN_FILE} is not one of this version") from error

    def read_session(self) -> RunSession | None:
        """Return the session that reports the run, or has; None where there has been none."""
        try:
            return RunSession(**json.loads((self.path / SESSION_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write_session(self, session: RunSession) -> None:
        """Say which session reports the run. Raises OSError."""
        write_whole(self.path / SESSION_FILE, json.dumps(asdict(session)))

    def remove_session(self) -> None:
        """Say that none does. Raises OSError."""
        (self.path / SESSION_FILE).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete it, as far as that is possible; never raises OSError."""
        try:
            for path in self.path.iterdir():
                path.unlink()
            self.path.rmdir()
        except OSError:
            return


def folder_of_run(environment: Mapping[str, str] = os.environ) -> RunFolder | None:
    """Return the folder of the run that this process belongs to; None: it belongs to none."""
    path = environment.get(VARIABLE, "")
    return RunFolder(Path(path)) if path else None


def write_whole(path: Path, text: str) -> None:
    """Write a file that nobody ever reads half of. Raises OSError."""
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    unfinished.write_text(text)
    unfinished.replace(path)

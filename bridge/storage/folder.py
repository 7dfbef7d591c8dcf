"""The state folder of one bridge, held by it alone."""

import fcntl
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import SettingError


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where a bridge keeps what must outlive it."""

    path: Path
    is_durable: bool
    """False: it goes with the process."""

    @property
    def instance_id(self) -> str:
        """A name of its own for the bridge that lives here, the same after a restart."""
        file = self.path / "instance-id"
        if not file.exists():
            file.write_text(f"{socket.gethostname()}-{secrets.token_hex(4)}\n")
        return file.read_text().strip()

    @property
    def database(self) -> Path:
        """The database file."""
        return self.path / "trainbridge.db"

    @property
    def spool(self) -> Path:
        """The folder of shards that are not in the object store yet."""
        return self.path / "spool"

    @property
    def images(self) -> Path:
        """The default object store."""
        return self.path / "images"


@contextmanager
def state_folder(path: Path | None) -> Iterator[StateFolder]:
    """Make the folder where it is missing and hold it; None: a temporary one.

    Raises SettingError when it cannot be written to, or another bridge holds it.
    """
    if path is None:
        with tempfile.TemporaryDirectory(prefix="trainbridge-") as temporary:
            yield StateFolder(Path(temporary), is_durable=False)
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise SettingError(f"state: {path} cannot be written to ({error.strerror})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingError(f"state: {path} is in use by another bridge") from error
        yield StateFolder(path, is_durable=True)

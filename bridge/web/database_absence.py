"""What pages show while a database that bridges share does not answer: what is in memory, and why the rest is missing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import StorageError
from bridge.storage.index import ImageIndex
from bridge.web.dependencies import ArchiveEntry

AWAY_SECONDS = 10.0
"""After it has not answered, pages do not wait for it so long."""

MISSING = (
    "The database does not answer at the moment: what training loops send now is not acknowledged, so that they keep it,"
    " and images and what other bridges have are missing here."
)


@dataclass(slots=True)
class DatabaseAbsence:
    """Whether the database is known not to answer, so that not every page finds it out for itself."""

    is_shared: bool
    """Nothing is left out for a database of the bridge's own: there it is an error."""
    monotonic: Callable[[], float] = time.monotonic
    _until: float = float("-inf")

    def note(self) -> None:
        """Note that it has not answered just now."""
        self._until = self.monotonic() + AWAY_SECONDS

    @property
    def is_known(self) -> bool:
        """Whether it has not answered just now."""
        return self.is_shared and self.monotonic() < self._until

    @property
    def problem(self) -> str:
        """What a page says of it, "" where it answers as far as is known."""
        return MISSING if self.is_known else ""

    def rendered(self, render: Callable[[ImageIndex], str], index: ImageIndex) -> str:
        """Return a page, without images while the database does not answer; blocks, and raises StorageError."""
        if not self.is_known:
            try:
                return render(index)
            except StorageError:
                if not self.is_shared:
                    raise
                self.note()
        return render(NO_IMAGES)


class NoRows:
    """Stands in for a database that does not answer; only images are looked for in it."""

    dialect = "sqlite"
    bridge_id = ""

    def query(self, _statement: object, _parameters: object = None, /) -> list[tuple[object, ...]]:
        """Return nothing."""
        return []


class NoAttempts:
    """Stands in for an archive that does not answer; only earlier attempts are looked for in it."""

    def attempts(self, _session_id: str, /) -> Sequence[ArchiveEntry]:
        """Return nothing."""
        return ()


ABSENCE = web.AppKey("database_absence", DatabaseAbsence)

NO_IMAGES = ImageIndex(NoRows())  # type: ignore[arg-type]  # a database that is only queried
"""An index without images."""

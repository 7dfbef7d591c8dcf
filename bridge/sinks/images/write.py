"""What the image sink has for one commit."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from bridge.sinks.images.candidate import ImageCandidate
from bridge.sinks.images.shards.operations import SpoolOp, SpoolResult
from bridge.sinks.images.shards.spool import Spool
from bridge.storage.database import Database
from bridge.storage.image_counts import ImageCount, add_counts
from bridge.storage.transaction import Transaction
from bridge.storage.windows import put_windows
from bridge.telemetry import Telemetry


class OnWritten(Protocol):
    """Called with what has become of the operations of a commit that has succeeded."""

    def __call__(self, result: SpoolResult, moved: AbstractSet[str], /) -> None:
        """Take it; of the sessions that have `moved` nothing was recorded."""


@dataclass(slots=True)
class ImagesWrite:
    """The operations of one commit, what was decided before it, and what open windows hold."""

    spool: Spool
    database: Database
    telemetry: Telemetry
    on_written: OnWritten
    operations: list[SpoolOp]
    counts: Sequence[ImageCount]
    windows: Sequence[tuple[str, ImageCandidate | None]]
    result: SpoolResult | None = None
    unwritable_windows: int = 0
    moved: set[str] = field(default_factory=set)
    """Sessions that another bridge has taken: nothing of them was recorded, though it is in the files."""

    def write(self, transaction: Transaction) -> None:
        """Write the files once, and the index with each try."""
        if self.result is None:
            self.result = self.spool.write(self.operations)
        self.moved = set()
        if transaction.owned is not None:
            names = self.result.sessions | {count.session_id for count in self.counts}
            names |= {name for name, _ in self.windows}
            self.moved = {name for name in names if not transaction.owns(name)}
        self.result.write_index(transaction, self.database, self.moved)
        add_counts(transaction, [one for one in self.counts if one.session_id not in self.moved])
        self.unwritable_windows = put_windows(
            transaction,
            [
                (session_id, candidate and candidate.snapshot())
                for session_id, candidate in self.windows
                if session_id not in self.moved
            ],
        )

    def on_committed(self) -> None:
        """Hand back what has become of the operations."""
        if self.result is not None:
            self.on_written(self.result, self.moved)
        if self.unwritable_windows:
            self.telemetry.dropped("window", "unwritable", self.unwritable_windows)

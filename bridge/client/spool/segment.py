"""One file of a spool."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.client.entry import Entry, Kind
from bridge.client.spool.records import MAGIC, Mark, mark, packed, read

SUFFIX = ".spool"

Change = Callable[[Entry], Entry | None]
"""Takes a message; returns it, another in its place, or None to leave it out."""


@dataclass(slots=True, eq=False)
class Segment:
    """A file of records, and what is known of it."""

    path: Path
    size_bytes: int = 0
    first: int = 0
    """The lowest sequence in it; 0: it holds no message."""
    last: int = 0
    messages: int = 0
    batches: int = 0
    with_images: int = 0
    """Messages in it that have images."""
    droppable: int = 0
    """Messages in it that may be dropped."""
    thinned: int = 0
    """How often every other one of those has been dropped."""

    def note(self, entry: Entry) -> None:
        """Take a message in it into account."""
        self.first = self.first or entry.sequence
        self.last = max(self.last, entry.sequence)
        self.messages += 1
        self.batches += entry.kind is Kind.BATCH
        self.with_images += entry.images > 0
        self.droppable += entry.kind.may_be_dropped

    def read(self, place: int = 0) -> Iterator[tuple[Entry | Mark | None, int]]:
        """Yield what stands in the file from a place on; see `records.read`. Raises OSError."""
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return
            file.seek(max(place, len(MAGIC)))
            yield from read(file, self.size_bytes)

    def rewrite(self, change: Change) -> None:
        """Write the file anew, with every message changed; a crash leaves the old one or the new one."""
        self.messages = self.batches = self.with_images = self.droppable = 0
        new = self.path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(MAGIC)
            for found, _ in self.read():
                if isinstance(found, Mark):
                    file.write(mark(found.sequence, ended=found.ended))
                elif found is not None and (kept := change(found)) is not None:
                    file.write(packed(kept))
                    self.note(kept)
            file.flush()
            os.fsync(file.fileno())
            self.size_bytes = file.tell()
        new.replace(self.path)


def segments_in(folder: Path) -> list[Segment]:
    """Return the files of a spool, oldest first, without having read them. Raises OSError."""
    paths = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    return [Segment(path, path.stat().st_size) for path in paths]

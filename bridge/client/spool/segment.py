"""One file of a spool."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.folder import SUFFIX
from bridge.client.spool.ranges import Ranges, merged
from bridge.client.spool.records import (
    MAGIC,
    OLD_MAGIC,
    AckRecord,
    Damage,
    GapRecord,
    NextFileRecord,
    Record,
    ack_record,
    gap_record,
    is_old,
    message_record,
    next_file_record,
    read_records,
)

Change = Callable[[OutgoingMessage], OutgoingMessage | None]
"""Takes a message; returns it, another in its place, or None to leave it out."""


@dataclass(slots=True, eq=False)
class Segment:
    """A file of records, and what is known about it."""

    path: Path
    size_bytes: int = 0
    is_file: bool = True
    """It is a regular file, rather than a folder or a pipe under its name."""
    floor: int = 0
    """What it holds up to this sequence is in another file too."""
    first: int = 0
    """The lowest sequence in it; 0: it has no messages."""
    last: int = 0
    messages: int = 0
    batches: int = 0
    with_images: int = 0
    """Messages in it that have images."""
    droppable: int = 0
    """Messages in it that may be dropped."""
    thinned: int = 0
    """How often every other one of those has been dropped."""
    failures: int = 0
    """How often it could not be read."""

    @property
    def number(self) -> int:
        """Its place among the files of its spool; 0 where the spool has not named it."""
        return int(self.path.stem) if self.path.stem.isdecimal() else 0

    def count_message(self, message: OutgoingMessage) -> None:
        """Account for a message in it."""
        self.first = self.first or message.sequence
        self.last = max(self.last, message.sequence)
        self.messages += 1
        self.batches += message.priority is Priority.BATCH
        self.with_images += message.images > 0
        self.droppable += message.priority.may_be_dropped

    def read(self, position: int = 0) -> Iterator[tuple[Record, int]]:
        """Yield the records from a position on; see `records.read_records`. Raises OSError."""
        if not self.is_file or self.size_bytes < len(MAGIC):
            yield Damage(self.size_bytes), self.size_bytes
            return
        with self.path.open("rb") as file:
            magic = file.read(len(MAGIC))
            begin, old = len(MAGIC), magic == OLD_MAGIC
            if magic not in (MAGIC, OLD_MAGIC):
                begin, old = 0, is_old(file, self.size_bytes)
            file.seek(max(position, begin))
            yield from read_records(file, self.size_bytes, is_old=old)

    def read_messages(
        self, after: int, position: int = 0, on_damage: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[OutgoingMessage, int]]:
        """Yield the messages behind a sequence, in order, each with the position behind it. Raises OSError.

        `on_damage` is called for each part that cannot be read.
        """
        for found, end in self.read(position):
            if isinstance(found, Damage):
                on_damage()
            elif isinstance(found, OutgoingMessage) and found.sequence > after:
                after = found.sequence
                yield found, end

    def is_old(self) -> bool:
        """Return whether it was written before gaps were recorded. Raises OSError."""
        with self.path.open("rb") as file:
            return file.read(len(OLD_MAGIC)) == OLD_MAGIC

    def rewrite(self, change: Change) -> None:
        """Rewrite the file with every message changed; a crash leaves the old file or the new one."""
        new = self.path.with_suffix(".new")
        whole = Segment(self.path)
        gaps: Ranges = []
        with new.open("wb") as file:
            file.write(MAGIC)
            for found, _ in self.read():
                if isinstance(found, AckRecord):
                    file.write(ack_record(found.sequence, includes_end=found.includes_end))
                elif isinstance(found, NextFileRecord):
                    file.write(next_file_record(found))
                elif isinstance(found, GapRecord):
                    gaps += found.ranges
                elif isinstance(found, OutgoingMessage) and (kept := change(found)) is not None:
                    file.write(message_record(kept))
                    whole.count_message(kept)
                elif isinstance(found, OutgoingMessage):
                    gaps.append((found.sequence, found.sequence))
            if gaps:
                file.write(gap_record(GapRecord(merged(gaps), is_lost=False)))
            file.flush()
            os.fsync(file.fileno())
            whole.size_bytes = file.tell()
        new.replace(self.path)
        self._become(whole)

    def _become(self, other: "Segment") -> None:
        """Take over the counts, but neither `first` nor `last`: it still covers all sequences it ever held."""
        self.size_bytes = other.size_bytes
        self.messages, self.batches = other.messages, other.batches
        self.with_images, self.droppable = other.with_images, other.droppable


def segments_in(folder: Path) -> list[Segment]:
    """Return the files of a spool, oldest first, without reading them. Raises OSError."""
    paths = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    return [_segment(path) for path in paths]


def _segment(path: Path) -> Segment:
    is_file = path.is_file()
    return Segment(path, path.stat().st_size if is_file else 0, is_file)

"""The messages of one session in segment files, within a limit of bytes."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.folder import Folder
from bridge.client.spool.loading import scan
from bridge.client.spool.records import (
    GapRecord,
    ack_record,
    gap_record,
    message_record,
)
from bridge.client.spool.segment import Change, Segment, segments_in
from bridge.client.spool.writer import SegmentWriter

SEGMENT_BYTES = 8 << 20
SEGMENTS = 16
"""How many segments a full spool has at least: one is what is deleted, or sheds, at once."""

READ_ATTEMPTS = 3
"""A segment that could not be read this often is given up, and the others are read."""


@dataclass(slots=True)
class Shed:
    """What a full spool gave up, as sequence: number of images."""

    stripped: dict[int, int] = field(default_factory=dict)
    """Messages that lost their images."""
    dropped: dict[int, int] = field(default_factory=dict)
    """Messages that were lost."""


class Spool:
    """Appends messages, reads them back in order, and deletes those that are acknowledged.

    For one thread; only `sync` is called by another one. Everything raises OSError.
    """

    def __init__(self, folder: Folder, limit_bytes: int) -> None:
        """Use an empty folder, for at most `limit_bytes`; or call `load`."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._segments: list[Segment] = []
        self._writer = SegmentWriter(
            folder, self._segments, min(SEGMENT_BYTES, limit_bytes // SEGMENTS)
        )
        self._read_to: tuple[int, Segment, int] | None = None
        """Up to which sequence was read, and where the next record is."""
        self.last = 0
        """The highest sequence written."""
        self.has_end = False
        """The status that ends the session has been written."""
        self.acked_through = 0
        """The highest sequence that is recorded as acknowledged."""
        self.damaged = 0
        """How many damaged parts were found when loading or reading."""
        self.lost = 0
        """At least how many messages were missing or unreadable when loading."""
        self.is_lost_uncounted = False
        """More than `lost` may be: nothing says what was in a missing segment, or behind a damaged end."""
        self.is_end_unknown = False
        """What was unreadable may have been the status that ends the session."""
        self._is_loaded = False

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def size_bytes(self) -> int:
        """How many bytes all segments take."""
        return sum(segment.size_bytes for segment in self._segments)

    def load(self) -> None:
        """Read what another process has left, and record what is missing.

        From then on nothing is deleted but all of it at once: something may still turn out to be damaged.
        """
        self._is_loaded = True
        contents = scan(
            segments_in(self.path), last_segment_number=self._folder.last_segment_number
        )
        self._segments += contents.segments
        self._writer.number = contents.number
        self.last, self.acked_through, self.has_end = (
            contents.last,
            contents.acked_through,
            contents.has_end,
        )
        self.damaged, self.lost = contents.damaged, contents.lost
        self.is_lost_uncounted = contents.is_lost_uncounted
        self.is_end_unknown = contents.is_end_unknown
        if contents.unrecorded_gap is not None:
            self._try_write(gap_record(contents.unrecorded_gap))

    def count_unacknowledged(self) -> tuple[int, int]:
        """Return how many messages are not recorded as acknowledged, and how many of them are batches."""
        return self.count_after(self.acked_through)

    def count_after(self, sequence: int) -> tuple[int, int]:
        """Return how many messages are behind a sequence, and how many of them are batches."""
        messages = batches = 0
        for segment in self._segments:
            if segment.first > sequence:
                messages += segment.messages
                batches += segment.batches
            elif segment.last > sequence:
                after = max(segment.floor, sequence)
                priorities = [message.priority for message, _ in segment.read_messages(after)]
                messages += len(priorities)
                batches += priorities.count(Priority.BATCH)
        return messages, batches

    def append(self, messages: list[OutgoingMessage]) -> None:
        """Append messages; on return the operating system has them, but not yet the disk: see `sync`."""
        self._writer.write(b"".join(self._records_of(messages)))
        for message in messages:
            self._segments[-1].count_message(message)
            self.has_end |= message.priority is Priority.FINAL
        self.last = messages[-1].sequence

    def acknowledge(self, sequence: int) -> None:
        """Record that everything up to a sequence is acknowledged, and delete the segments that ends with."""
        if sequence <= self.acked_through or not self._segments:
            return
        record = ack_record(sequence, includes_end=self.has_end and sequence >= self.last)
        if self._is_loaded:
            self._try_write(record)
        else:
            self._write_ack(record, sequence)
        self.acked_through = sequence

    def _write_ack(self, record: bytes, sequence: int) -> None:
        """Write the record twice, since nothing else says that what is deleted next was not lost.

        On a full disk it is written afterwards: deleting makes room for it.
        """
        try:
            self._writer.write(record * 2)
        except OSError:
            self._delete(sequence)
            self._writer.write(record * 2)
        else:
            self._delete(sequence)

    def _delete(self, sequence: int) -> None:
        *full, last = self._segments
        self._segments[:] = [segment for segment in full if segment.last > sequence] + [last]
        for segment in full:
            if segment.last <= sequence:
                segment.path.unlink(missing_ok=True)

    def read(self, after: int, limit_bytes: int) -> list[OutgoingMessage]:
        """Return the next messages behind a sequence, at least one if any is readable."""
        found: list[OutgoingMessage] = []
        for segment in self._segments:
            if segment.last <= after or segment.failures >= READ_ATTEMPTS:
                continue
            position = 0
            if self._read_to is not None and self._read_to[:2] == (after, segment):
                position = self._read_to[2]
            try:
                for message, end in segment.read_messages(after, position, self._count_damage):
                    found.append(message)
                    after = message.sequence
                    limit_bytes -= message.size
                    self._read_to = (after, segment, end)
                    if limit_bytes <= 0:
                        return found
            except FileNotFoundError:
                segment.failures = READ_ATTEMPTS
                self.damaged += 1
            except OSError:
                segment.failures += READ_ATTEMPTS if self._is_loaded else 1
                if segment.failures < READ_ATTEMPTS:
                    raise
                self.damaged += 1
        return found

    def make_room(self) -> Shed | None:
        """Shed something where the limit is exceeded, and return what; None: nothing had to go, or could.

        Images of the oldest batches go first, then every other message of those that may be dropped.
        """
        if self.size_bytes <= self._limit_bytes:
            return None
        for segment in self._segments:
            if segment.with_images:
                return self._strip(segment)
        *full, last = self._segments
        thinnable = [segment for segment in full if segment.droppable]
        if (
            not thinnable and last.droppable
        ):  # only then: rewriting the last one ends it, however short it is
            thinnable = [last]
        return self._thin(min(thinnable, key=_thinned)) if thinnable else None

    def sync(self) -> None:
        """Flush what has been written to the disk itself, so that it survives a loss of power."""
        self._writer.sync()

    def close(self) -> None:
        """Flush everything, and leave it to whoever delivers it later."""
        try:
            self.sync()
        finally:
            self.release()

    def set_aside(self) -> Path:
        """Rename the folder so that no delivery looks for it; return its path. Raises OSError."""
        try:
            return self._folder.set_aside()
        finally:
            self.release()

    def remove(self) -> None:
        """Delete everything: it has been delivered."""
        try:
            self._folder.remove()
        finally:
            self.release()

    def release(self) -> None:
        """Close all files and the lock; in a forked child, the parent keeps the lock. Never raises."""
        self._writer.release()
        self._folder.release()

    def _count_damage(self) -> None:
        self.damaged += 1

    def _records_of(self, messages: list[OutgoingMessage]) -> Iterator[bytes]:
        """Yield the records of messages, and of the gaps before them, which would look like losses."""
        last = self.last
        for message in messages:
            if message.sequence > last + 1:
                yield gap_record(GapRecord([(last + 1, message.sequence - 1)], is_lost=False))
            yield message_record(message)
            last = message.sequence

    def _try_write(self, record: bytes) -> None:
        """Write a record that a delivery could do without, where the disk takes it."""
        with contextlib.suppress(OSError):
            self._writer.write(record)

    def _strip(self, segment: Segment) -> Shed:
        shed = Shed()

        def change(message: OutgoingMessage) -> OutgoingMessage:
            if message.images:
                shed.stripped[message.sequence] = message.images
                message.strip()
            return message

        self._rewrite(segment, change)
        return shed

    def _thin(self, segment: Segment) -> Shed:
        shed = Shed()
        keep = [True]

        def change(message: OutgoingMessage) -> OutgoingMessage | None:
            if not message.priority.may_be_dropped:
                return message
            keep[0] = not keep[0]
            if keep[0]:
                return message
            shed.dropped[message.sequence] = message.images
            return None

        self._rewrite(segment, change)
        segment.thinned += 1
        return shed

    def _rewrite(self, segment: Segment, change: Change) -> None:
        if segment is self._segments[-1]:
            self._writer.rotate()
        self._read_to = None
        try:
            segment.rewrite(change)
        except FileNotFoundError:
            segment.with_images = segment.droppable = 0  # it has been deleted under us


def _thinned(segment: Segment) -> int:
    return segment.thinned

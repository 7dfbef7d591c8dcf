"""The messages of one session in files, of which there are never many bytes too many."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.folder import SUFFIX, Folder, sync_folder
from bridge.client.spool.loading import read_all
from bridge.client.spool.records import MAGIC, Gap, Next, following, gap, mark, packed
from bridge.client.spool.segment import Change, Segment, segments_in

SEGMENT_BYTES = 8 << 20
SEGMENTS = 16
"""A spool has at least so many segments when it is full: what is deleted or shed at once is one of them."""

READ_ATTEMPTS = 3
"""A file that could not be read so often is given up, and the others are read."""


@dataclass(slots=True)
class Shed:
    """What there was no room for, by sequence: how many images."""

    stripped: dict[int, int] = field(default_factory=dict)
    """Messages that lost their images."""
    dropped: dict[int, int] = field(default_factory=dict)
    """Messages that were lost."""


class Spool:
    """Appends messages, reads them back in order, and forgets those that are acknowledged.

    One thread works with it; only `sync` is for another one. Everything raises OSError.
    """

    def __init__(self, folder: Folder, limit_bytes: int) -> None:
        """Write into an empty folder, at most so much."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._segment_bytes = min(SEGMENT_BYTES, limit_bytes // SEGMENTS)
        self._segments: list[Segment] = []
        self._number = 0
        self._lock = threading.Lock()
        self._file = -1
        """Of the last segment, where it is open for writing."""
        self._rolled: list[int] = []
        """Files that are full and wait for `sync`."""
        self._unsynced = False
        self._read_to: tuple[int, Segment, int] | None = None
        """Up to which sequence has been read, and where the next record stands."""
        self.last = 0
        """The highest sequence here."""
        self.ended = False
        """The status that ends the session has been written."""
        self.marked = 0
        """The highest sequence that is known, here, to be acknowledged."""
        self.damaged = 0
        """Places that were found damaged when this was loaded, or when it was read."""
        self.lost = 0
        """Messages that were missing, or could not be read, when this was loaded; at least so many."""
        self.is_lost_uncounted = False
        """More than `lost` may be, since nobody knows what was in a file or behind its end."""
        self.is_end_unknown = False
        """What could not be read may have been the status that ends the session."""
        self._keeps_all = False

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def size_bytes(self) -> int:
        """How much room all of it takes."""
        return sum(segment.size_bytes for segment in self._segments)

    def load(self) -> None:
        """Read what another process has left, and note all that is to be known of it.

        From then on nothing is deleted but all of it at once: something may turn out to be damaged.
        """
        self._keeps_all = True
        contents = read_all(segments_in(self.path), begun=self._folder.begun)
        self._segments = contents.segments
        self._number = contents.number
        self.last, self.marked, self.ended = contents.last, contents.marked, contents.ended
        self.damaged, self.lost = contents.damaged, contents.lost
        self.is_lost_uncounted = contents.is_lost_uncounted
        self.is_end_unknown = contents.is_end_unknown
        if contents.found is not None:
            self._note(gap(contents.found))

    def unmarked(self) -> tuple[int, int]:
        """Return how many messages are not known to be acknowledged, and how many of them are batches."""
        return self.count_after(self.marked)

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
        """Write messages behind all others; the system has them when this returns, see `sync`."""
        self._write(b"".join(self._packed(messages)))
        for message in messages:
            self._segments[-1].note(message)
            self.ended |= message.priority is Priority.FINAL
        self.last = messages[-1].sequence

    def mark(self, sequence: int) -> None:
        """Note that everything up to a sequence is acknowledged, and delete what is all that."""
        if sequence <= self.marked or not self._segments:
            return
        note = mark(sequence, ended=self.ended and sequence >= self.last)
        if self._keeps_all:
            self._note(note)
        else:
            self._mark(note, sequence)
        self.marked = sequence

    def _mark(self, note: bytes, sequence: int) -> None:
        """Write a note twice, since nothing else says that what is deleted next has not been lost.

        On a full disk it comes afterwards: deleting makes the room for it.
        """
        try:
            self._write(note * 2)
        except OSError:
            self._delete(sequence)
            self._write(note * 2)
        else:
            self._delete(sequence)

    def _delete(self, sequence: int) -> None:
        *full, last = self._segments
        self._segments = [segment for segment in full if segment.last > sequence] + [last]
        for segment in full:
            if segment.last <= sequence:
                segment.path.unlink(missing_ok=True)

    def read(self, after: int, limit_bytes: int) -> list[OutgoingMessage]:
        """Return the next messages behind a sequence, at least one if there is any that can be read."""
        found: list[OutgoingMessage] = []
        for segment in self._segments:
            if segment.last <= after or segment.failures >= READ_ATTEMPTS:
                continue
            place = 0
            if self._read_to is not None and self._read_to[:2] == (after, segment):
                place = self._read_to[2]
            try:
                for message, end in segment.read_messages(after, place, self._note_damage):
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
                segment.failures += READ_ATTEMPTS if self._keeps_all else 1
                if segment.failures < READ_ATTEMPTS:
                    raise
                self.damaged += 1
        return found

    def make_room(self) -> Shed | None:
        """Shed something where there is too much, and return what; None: nothing had to be, or could be.

        Images of the oldest batches go first, then every other message of those that may be dropped.
        """
        if self.size_bytes <= self._limit_bytes:
            return None
        for segment in self._segments:
            if segment.with_images:
                return self._strip(segment)
        *full, last = self._segments
        thick = [segment for segment in full if segment.droppable]
        if (
            not thick and last.droppable
        ):  # the last one only then: it is ended by that, however short
            thick = [last]
        return self._thin(min(thick, key=_thinned)) if thick else None

    def sync(self) -> None:
        """Bring what has been written to the disk itself, so that it survives a loss of power."""
        with self._lock:
            files, self._rolled = self._rolled, []
            if self._unsynced and self._file >= 0:
                files.append(os.dup(self._file))
            self._unsynced = False
        for file in files:
            try:
                os.fsync(file)
            finally:
                os.close(file)
        if files:
            sync_folder(self.path)

    def roll(self) -> None:
        """Begin a new file with the next message."""
        with self._lock:
            if self._file >= 0:
                self._rolled.append(self._file)
            self._file = -1

    def close(self) -> None:
        """Leave what there is to whoever delivers it later."""
        try:
            self.sync()
        finally:
            self.release()

    def set_aside(self) -> Path:
        """Keep everything where no delivery looks for it; return where. Raises OSError."""
        try:
            return self._folder.set_aside()
        finally:
            self.release()

    def remove(self) -> None:
        """Delete everything: it is delivered."""
        try:
            self._folder.remove()
        finally:
            self.release()

    def release(self) -> None:
        """Let go of all files; in a child process, where the parent's lock stays. Never raises."""
        files, self._file, self._rolled = [self._file, *self._rolled], -1, []
        for file in files:
            with contextlib.suppress(OSError):
                os.close(file)
        self._folder.release()

    def _write(self, content: bytes) -> None:
        if self._file < 0 or self._segments[-1].size_bytes >= self._segment_bytes:
            self._begin()
        segment = self._segments[-1]
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.roll()  # the record that was torn ends its file
            raise
        segment.size_bytes += len(content)
        self._unsynced = True

    def _begin(self) -> None:
        self._number += 1
        path = self.path / f"{self._number:08}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            os.write(file, MAGIC)
        except OSError:
            os.close(file)
            path.unlink()  # an empty file would look like one that was damaged
            raise
        self._folder.note_begun(self._number)
        self._note_next()
        self.roll()
        with self._lock:
            self._file = file
        self._segments.append(Segment(path, len(MAGIC)))

    def _note_damage(self) -> None:
        self.damaged += 1

    def _packed(self, messages: list[OutgoingMessage]) -> Iterator[bytes]:
        """Yield the records of messages, and of the gaps before them: those are not damage."""
        last = self.last
        for message in messages:
            if message.sequence > last + 1:
                yield gap(Gap([(last + 1, message.sequence - 1)], is_lost=False))
            yield packed(message)
            last = message.sequence

    def _note(self, record: bytes) -> None:
        """Write what a delivery would find out again, where the disk takes it."""
        with contextlib.suppress(OSError):
            self._write(record)

    def _note_next(self) -> None:
        """Note in the last file that another one follows: it would not be missed where somebody deletes it."""
        if self._file < 0:
            return
        note = following(Next(self._number))
        with contextlib.suppress(OSError):
            self._segments[-1].size_bytes += os.write(self._file, note)

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
            self.roll()
        self._read_to = None
        try:
            segment.rewrite(change)
        except FileNotFoundError:
            segment.with_images = segment.droppable = 0  # somebody has deleted it


def _thinned(segment: Segment) -> int:
    return segment.thinned

"""What is appended to the last segment of a spool, and when the next one begins."""

import contextlib
import os
import threading

from bridge.client.spool.folder import SUFFIX, Folder, sync_folder
from bridge.client.spool.records import MAGIC, NextFileRecord, next_file_record
from bridge.client.spool.segment import Segment


class SegmentWriter:
    """Appends records to the last of the segments, and begins another one when that is full.

    For one thread; only `sync` is called by another one. Everything raises OSError.
    """

    def __init__(self, folder: Folder, segments: list[Segment], segment_bytes: int) -> None:
        """Append the segments it begins to `segments`."""
        self.number = 0
        """Of the last segment."""
        self._folder = folder
        self._segments = segments
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._file = -1
        """The descriptor of the last segment, where it is open for writing."""
        self._rotated: list[int] = []
        """Descriptors of full segments that wait for `sync`."""
        self._unsynced = False

    def write(self, content: bytes) -> None:
        """Append records; on return the operating system has them, but not yet the disk."""
        if self._file < 0 or self._segments[-1].size_bytes >= self._segment_bytes:
            self._begin()
        segment = self._segments[-1]
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.rotate()  # a torn record ends its segment
            raise
        segment.size_bytes += len(content)
        self._unsynced = True

    def rotate(self) -> None:
        """Begin a new segment with the next record."""
        with self._lock:
            if self._file >= 0:
                self._rotated.append(self._file)
            self._file = -1

    def sync(self) -> None:
        """Flush what has been written to the disk itself, so that it survives a loss of power."""
        with self._lock:
            files, self._rotated = self._rotated, []
            if self._unsynced and self._file >= 0:
                files.append(os.dup(self._file))
            self._unsynced = False
        for file in files:
            try:
                os.fsync(file)
            finally:
                os.close(file)
        if files:
            sync_folder(self._folder.path)

    def release(self) -> None:
        """Close all files. Never raises."""
        files, self._file, self._rotated = [self._file, *self._rotated], -1, []
        for file in files:
            with contextlib.suppress(OSError):
                os.close(file)

    def _begin(self) -> None:
        self.number += 1
        path = self._folder.path / f"{self.number:08}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            os.write(file, MAGIC)
        except OSError:
            os.close(file)
            path.unlink()  # an empty segment would look like a damaged one
            raise
        self._folder.record_segment(self.number)
        self._record_next_segment()
        self.rotate()
        with self._lock:
            self._file = file
        self._segments.append(Segment(path, len(MAGIC)))

    def _record_next_segment(self) -> None:
        """Record in the last segment that another one follows, so that its loss is noticed where somebody deletes it."""
        if self._file < 0:
            return
        record = next_file_record(NextFileRecord(self.number))
        with contextlib.suppress(OSError):
            self._segments[-1].size_bytes += os.write(self._file, record)

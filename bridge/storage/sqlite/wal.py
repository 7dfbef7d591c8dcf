"""Finds damage in a write-ahead log, before SQLite silently ignores the rest of it.

The format is that of sqlite.org/fileformat2.html, section 4, and sqlite.org/walformat.html for its index.
"""

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.storage.folder import open_file

HEADER = struct.Struct(">IIII8sII")
"""Magic, format, page size, number of checkpoints, salts, checksum."""

FRAME = struct.Struct(">II8sII")
"""Page, size of the database where it ends a commit or else 0, salts, checksum."""

WORD_ORDER = {0x377F0682: "<", 0x377F0683: ">"}
"""Of checksums, by the magic number."""

FORMAT = 3_007_000
PAGE_SIZES = tuple(2**power for power in range(9, 17))
PAGE_BYTES = 4096
"""Where the header is damaged."""

INDEX = struct.Struct("=16xI12x8sII")
"""Of the index: the number of committed frames, the salts of the log, and a checksum of the bytes before it."""

INDEX_BYTES = 100
"""The same twice, and the number of frames already in the database."""

MASK = 0xFFFFFFFF

Checksum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LogDamage:
    """What a start loses of a damaged log."""

    commits: int
    """Unreadable commits that were acknowledged, or about to be; at least this many, where the log was cut."""
    hides_newer: bool
    """The database has newer pages than what is left of the log, which must not be read any more."""


@dataclass(frozen=True, slots=True)
class _Frame:
    salts: bytes
    ends_commit: bool
    checksum: Checksum
    summed: bytes
    """The bytes that the checksum covers; empty where they are not read."""


@dataclass(frozen=True, slots=True)
class _Index:
    salts: bytes = b""
    committed: int = 0
    copied: int = 0
    """How many frames are already in the database."""


class _Log:
    def __init__(self, file: int | None) -> None:
        self._file = file
        self.size = 0 if file is None else os.fstat(file).st_size
        head = b"" if file is None else os.pread(file, HEADER.size, 0)
        head = head.ljust(HEADER.size, b"\0")
        magic, version, page_bytes, _, self.salts, *checksum = HEADER.unpack(head)
        self.order = WORD_ORDER.get(magic, "")
        self.checksum: Checksum = (checksum[0], checksum[1])
        self.page_bytes = page_bytes if page_bytes in PAGE_SIZES else PAGE_BYTES
        self.is_sound = (
            bool(self.order)
            and version == FORMAT
            and page_bytes in PAGE_SIZES
            and _checksum(self.order, head[:24], (0, 0)) == self.checksum
        )

    def frames(self, first: int = 0, *, is_whole: bool = False) -> Iterator[_Frame]:
        """Yield the frames from one on; `is_whole`: with the bytes that their checksums cover."""
        if self._file is None:
            return
        step = FRAME.size + self.page_bytes
        for at in range(HEADER.size + first * step, self.size - step + 1, step):
            data = os.pread(self._file, step if is_whole else FRAME.size, at)
            _, pages, salts, *checksum = FRAME.unpack_from(data)
            summed = data[:8] + data[FRAME.size :] if is_whole else b""
            yield _Frame(salts, pages != 0, (checksum[0], checksum[1]), summed)

    def sound_frames(self) -> tuple[int, int]:
        """Return how many frames in a row are sound, and how many of these belong to whole commits."""
        checksum, sound, committed = self.checksum, 0, 0
        for frame in self.frames(is_whole=True):
            checksum = _checksum(self.order, frame.summed, checksum)
            if frame.salts != self.salts or frame.checksum != checksum:
                break
            sound += 1
            committed = sound if frame.ends_commit else committed
        return sound, committed


def damage_of(database: Path) -> LogDamage | None:
    """Return the damage of the log of a database that nobody has open; None: there is none.

    A transaction that a kill interrupted does not count as damage: its frames end before its commit, or with
    a torn one. Frames after a damaged one were written later, so it was once intact. So were all frames that
    the index calls committed: it is never ahead of the disk.

    Raises OSError where the log cannot be read.
    """
    index = _index(Path(f"{database}-shm"))
    try:
        file = open_file(Path(f"{database}-wal"), os.O_RDONLY)
    except FileNotFoundError:
        return _damage(_Log(None), index)
    try:
        return _damage(_Log(file), index)
    finally:
        os.close(file)


def _damage(log: _Log, index: _Index) -> LogDamage | None:
    salts, sound, committed = log.salts, 0, 0
    if log.is_sound:
        sound, committed = log.sound_frames()
        # The first damaged one may be the torn end of the last transaction.
        behind = list(log.frames(sound + 1))
    else:
        behind = list(log.frames())
        salts = behind[0].salts if behind else index.salts
    if index.salts != salts:
        index = _Index()
    has_lost = any(frame.salts == salts and frame.ends_commit for frame in behind)
    if not has_lost and index.committed <= max(committed, index.copied):
        return None
    lost = log.frames(max(committed, index.copied))
    commits = sum(frame.salts == salts and frame.ends_commit for frame in lost)
    return LogDamage(max(commits, 1), hides_newer=index.copied > committed)


def _index(path: Path) -> _Index:
    """Return the contents of the index; an empty one if it is missing or was not finished."""
    with suppress(OSError):
        file = open_file(path, os.O_RDONLY)
        try:
            head = os.pread(file, INDEX_BYTES, 0)
        finally:
            os.close(file)
        if len(head) == INDEX_BYTES and head[:48] == head[48:96]:
            committed, salts, *checksum = INDEX.unpack_from(head)
            if _checksum("=", head[:40], (0, 0)) == tuple(checksum):
                return _Index(salts, committed, int.from_bytes(head[96:], sys.byteorder))
    return _Index()


def _checksum(order: str, data: bytes, before: Checksum) -> Checksum:
    first, second = before
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & MASK
        second = (second + other + first) & MASK
    return first, second

"""Shards as files: append to one, close it, and find out how far a torn one is whole."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.sinks.images.shard import (
    BLOCK,
    INDEX_NAME,
    JPEG,
    JSON,
    TAIL_BYTES,
    Spot,
    Trailer,
    ending,
    index_line,
    padded,
    parse_trailer,
)

PIECES_PER_WRITE = 1024
"""More are refused by the kernel (IOV_MAX)."""

_sync = getattr(os, "fdatasync", os.fsync)


def append(path: Path, pieces: Sequence[bytes], *, at: int) -> None:
    """Write pieces at offset `at`, the end of what is known to be good, and have them on disk.

    When that fails, whatever is behind `at` is cut off again and OSError is raised.
    """
    with _descriptor(path, os.O_WRONLY | os.O_CREAT) as file:
        try:
            _write(file, pieces, at)
            _sync(file)
            if at == 0:
                sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, at)
            raise


def close(path: Path, spots: Sequence[Spot], *, at: int, changed_seconds: float) -> int:
    """Write index and trailer behind the images, which end at `at`, and return the size of the file.

    The same images give the same bytes. Raises OSError, and cuts off what it has written.
    """
    end = ending(list(_index_lines(path, spots)), at=at, changed_seconds=changed_seconds)
    append(path, [end], at=at)
    size = at + len(end)
    os.truncate(path, size)
    return size


def trailer_of(path: Path) -> Trailer | None:
    """Return the trailer of a closed shard; None: it is still open, or torn."""
    with _descriptor(path, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        return parse_trailer(os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES)))


def index_of(path: Path, trailer: Trailer) -> bytes:
    """Return the index of a closed shard."""
    with _descriptor(path, os.O_RDONLY) as file:
        return os.pread(file, trailer.index_length, trailer.index_offset)


def walk(path: Path, *, limit: int | None = None) -> list[Spot]:
    """Return the images that are whole, from the beginning up to the first that is not.

    Nothing behind `limit` counts, where it is given.
    """
    with _descriptor(path, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        return list(_walk(file, size if limit is None else min(limit, size)))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    with _descriptor(folder, os.O_RDONLY) as file:
        os.fsync(file)


def _walk(file: int, limit: int) -> Iterator[Spot]:
    position = 0
    while (spot := _spot(file, position)) is not None and spot.end <= limit:
        if not _is_whole(file, spot):
            return
        yield spot
        position = spot.end


def _spot(file: int, position: int) -> Spot | None:
    jpeg = _member(os.pread(file, BLOCK, position), JPEG)
    if jpeg is None:
        return None
    name, length = jpeg
    follower = _member(os.pread(file, BLOCK, position + BLOCK + padded(length)), JSON)
    if follower is None or follower[0] != name:
        return None
    return Spot(position + BLOCK, length, follower[1])


def _member(head: bytes, suffix: bytes) -> tuple[bytes, int] | None:
    """Return name without suffix and size that a header tells, or None where it is no such header."""
    name = head[:100].rstrip(b"\0")
    if len(head) < BLOCK or name == INDEX_NAME or not name.endswith(suffix):
        return None
    try:
        size, told = int(head[124:135], 8), int(head[148:154], 8)
    except ValueError:
        return None
    if told != sum(head) - sum(head[148:156]) + 8 * ord(" "):
        return None
    return name.removesuffix(suffix), size


def _is_whole(file: int, spot: Spot) -> bool:
    ends = os.pread(file, 2, spot.offset) + os.pread(file, 2, spot.offset + spot.length - 2)
    if ends != b"\xff\xd8\xff\xd9":
        return False
    try:
        json.loads(os.pread(file, spot.json_length, spot.json_offset))
    except ValueError:
        return False
    return True


def _index_lines(path: Path, spots: Sequence[Spot]) -> Iterator[bytes]:
    with _descriptor(path, os.O_RDONLY) as file:
        for spot in spots:
            member = os.pread(file, BLOCK + spot.json_length, spot.json_offset - BLOCK)
            name = member[:100].rstrip(b"\0").removesuffix(JSON)
            yield index_line(name, spot, member[BLOCK:])


def _write(file: int, pieces: Sequence[bytes], at: int) -> None:
    for first in range(0, len(pieces), PIECES_PER_WRITE):
        some: Sequence[bytes | memoryview] = pieces[first : first + PIECES_PER_WRITE]
        while some:
            written = os.pwritev(file, some, at)
            at += written
            some = _behind(some, written)


def _behind(pieces: Sequence[bytes | memoryview], written: int) -> Sequence[bytes | memoryview]:
    """Return what is left of the pieces when `written` bytes of them are out."""
    for number, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[number + 1 :]]
        written -= len(piece)
    return []


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield file
    finally:
        os.close(file)

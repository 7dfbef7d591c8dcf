"""Shards as files: append to one, close it, and find out what of a damaged one is whole."""

import errno
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.sinks.images.shards.layout import (
    BLOCK,
    DAMAGED_NAME,
    INDEX_NAME,
    JPEG,
    JSON,
    TAIL_BYTES,
    Spot,
    Trailer,
    ending,
    header,
    index_line,
    padded,
    parse_trailer,
)

PIECES_PER_WRITE = 1024
"""More are refused by the kernel (IOV_MAX)."""

OCTAL = re.compile(rb"[0-7]+")

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What a file raises that somebody removed, or put something else in place of."""

Identity = tuple[int, int]
"""Device and inode: what sets a file apart from one that is put in its place."""

_sync = getattr(os, "fdatasync", os.fsync)


def append(
    path: Path, pieces: Sequence[bytes], *, at: int, identity: Identity | None = None
) -> Identity:
    """Write pieces at offset `at`, the end of what is known to be good, and have them on disk.

    When that fails, whatever is behind `at` is cut off again and OSError is raised; one of `MISSING` where
    the file is gone, has another `identity`, or is shorter than it was. A file is only made at offset 0.
    """
    with _descriptor(path, os.O_WRONLY | (0 if at else os.O_CREAT)) as file:
        found = os.fstat(file)
        known = (found.st_dev, found.st_ino)
        if found.st_size < at or identity not in (None, known):
            raise FileNotFoundError(errno.ENOENT, "not the file that it was", str(path))
        try:
            _write(file, pieces, at)
            _sync(file)
            if at == 0:
                sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, at)
            raise
    return known


def close(
    path: Path,
    spots: Sequence[Spot],
    *,
    at: int,
    changed_seconds: float,
    identity: Identity | None = None,
) -> int:
    """Write index and trailer behind the images, which end at `at`, and return the size of the file.

    The same images give the same bytes. Raises OSError as `append` does, and cuts off what it has written.
    """
    end = ending(list(_index_lines(path, spots)), at=at, changed_seconds=changed_seconds)
    append(path, [end], at=at, identity=identity)
    size = at + len(end)
    os.truncate(path, size)
    return size


def trailer_of(path: Path) -> Trailer | None:
    """Return the trailer of a closed shard; None: it is still open, or torn."""
    with _descriptor(path, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        trailer = parse_trailer(os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES)))
        return trailer if trailer is not None and trailer.fits(size) else None


def index_of(path: Path, trailer: Trailer) -> bytes:
    """Return the index of a closed shard."""
    with _descriptor(path, os.O_RDONLY) as file:
        return os.pread(file, trailer.index_length, trailer.index_offset)


def walk(path: Path, *, limit: int | None = None) -> list[Spot]:
    """Return the images that are whole; what is damaged between them is passed over.

    Nothing behind `limit` counts, where it is given.
    """
    with _descriptor(path, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        return list(_walk(file, size if limit is None else min(limit, size)))


def is_whole(path: Path, trailer: Trailer) -> bool:
    """Tell whether a closed shard is what it was: every image, all between them, and the index."""
    spots = walk(path, limit=trailer.index_offset - BLOCK)
    return (
        bool(spots)
        and len(spots) == trailer.images
        and spots[-1].end == trailer.index_offset - BLOCK
        and not gaps(spots)
        and b"".join(_index_lines(path, spots)) == index_of(path, trailer)
    )


def image_at(path: Path, offset: int, length: int) -> bytes | None:
    """Return the bytes of an image; None where they are not those that were written.

    Raises OSError where they cannot be read; waits for nobody, whatever stands in place of the shard.
    """
    with _descriptor(path, os.O_RDONLY | os.O_NONBLOCK) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        spot = _spot(file, offset - BLOCK, os.pread(file, BLOCK, offset - BLOCK))
        if spot is None or spot.length != length or not _is_whole(file, spot):
            return None
        return os.pread(file, length, offset)


def gaps(spots: Sequence[Spot]) -> list[tuple[int, int]]:
    """Return where damage lies before and between images: begin and end of each stretch."""
    ends = [0, *(spot.end for spot in spots)]
    begins = [spot.offset - BLOCK for spot in spots]
    return [pair for pair in zip(ends, begins, strict=False) if pair[0] < pair[1]]


def bridge_gaps(path: Path, spots: Sequence[Spot]) -> None:
    """Make what is damaged between images a member of its own, which readers pass over.

    No image moves, and the file is a tar file again.
    """
    if not gaps(spots):
        return
    with _descriptor(path, os.O_WRONLY) as file:
        for begin, end in gaps(spots):
            head = header(DAMAGED_NAME % begin, end - begin - BLOCK, b"%011o\0" % 0)
            _write(file, [head], begin)
        _sync(file)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    with _descriptor(folder, os.O_RDONLY) as file:
        os.fsync(file)


def _walk(file: int, limit: int) -> Iterator[Spot]:
    position = 0
    while position < limit:
        head = os.pread(file, BLOCK, position)
        if _is_index(head):
            return
        spot = _spot(file, position, head)
        if spot is not None and spot.end <= limit and _is_whole(file, spot):
            yield spot
        # What is damaged ends where the next image begins: everything does at a multiple of BLOCK.
        position = spot.end if spot is not None and spot.end <= limit else position + BLOCK


def _is_index(head: bytes) -> bool:
    return head.startswith(INDEX_NAME + b"\0") and _size(head) is not None


def _spot(file: int, position: int, head: bytes) -> Spot | None:
    jpeg = _member(head, JPEG)
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
    size = _size(head) if name.endswith(suffix) else None
    return None if size is None else (name.removesuffix(suffix), size)


def _size(head: bytes) -> int | None:
    """Return the size that a header says, or None where its checksum is not right."""
    if (
        len(head) < BLOCK
        or not OCTAL.fullmatch(head[124:135])
        or not OCTAL.fullmatch(head[148:154])
    ):
        return None
    if int(head[148:154], 8) != sum(head) - sum(head[148:156]) + 8 * ord(" "):
        return None
    return int(head[124:135], 8)


def _is_whole(file: int, spot: Spot) -> bool:
    jpeg = os.pread(file, spot.length, spot.offset)
    if jpeg[:2] + jpeg[-2:] != b"\xff\xd8\xff\xd9":
        return False
    text = os.pread(file, spot.json_length, spot.json_offset)
    try:
        # It becomes a line of the index, behind what is put before it.
        is_line = text.startswith(b"{") and b"\n" not in text and b"\r" not in text
        told = json.loads(text) if is_line else {}
        # Shards of earlier versions have no checksum.
        return bool(told) and told.get("crc32") in (None, zlib.crc32(jpeg))
    except (ValueError, RecursionError):
        return False


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

"""Shards as files: append to one, close it, and find what is whole in a damaged one."""

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
    ImageExtent,
    Trailer,
    ending,
    header,
    index_line,
    padded,
    parse_trailer,
)
from bridge.storage.folder import sync_folder

BUFFERS_PER_WRITE = 1024
"""The kernel refuses more (IOV_MAX)."""

OCTAL = re.compile(rb"[0-7]+")

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Raised for a file that somebody removed or replaced."""

Identity = tuple[int, int]
"""Device and inode: they tell a file from another that has taken its place."""

_sync = getattr(os, "fdatasync", os.fsync)


def append(
    path: Path, buffers: Sequence[bytes], *, at: int, identity: Identity | None = None
) -> Identity:
    """Write buffers to disk at offset `at`, the end of what is known to be good.

    When that fails, whatever follows `at` is cut off again and OSError is raised; one of `MISSING` where
    the file is gone, has another `identity`, or is shorter than it was. A file is only created at offset 0.
    """
    with _descriptor(path, os.O_WRONLY | (0 if at else os.O_CREAT)) as file:
        found = os.fstat(file)
        current = (found.st_dev, found.st_ino)
        if found.st_size < at or identity not in (None, current):
            raise FileNotFoundError(errno.ENOENT, "not the file that it was", str(path))
        try:
            _write(file, buffers, at)
            _sync(file)
            if at == 0:
                sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, at)
            raise
    return current


def close(
    path: Path,
    extents: Sequence[ImageExtent],
    *,
    at: int,
    changed_seconds: float,
    identity: Identity | None = None,
) -> int:
    """Write index and trailer after the images, which end at `at`, and return the size of the file.

    The same images give the same bytes. Raises OSError as `append` does, and cuts off what it has written.
    """
    end = ending(list(_index_lines(path, extents)), at=at, changed_seconds=changed_seconds)
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


def walk(path: Path, *, limit: int | None = None) -> list[ImageExtent]:
    """Return where the images that are whole lie; what is damaged between them is skipped.

    Nothing after `limit` counts, where it is given.
    """
    with _descriptor(path, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        return list(_walk(file, size if limit is None else min(limit, size)))


def is_whole(path: Path, trailer: Trailer) -> bool:
    """Return whether a closed shard is undamaged: every image, all between them, and the index."""
    extents = walk(path, limit=trailer.index_offset - BLOCK)
    return (
        bool(extents)
        and len(extents) == trailer.images
        and extents[-1].end == trailer.index_offset - BLOCK
        and not gaps(extents)
        and b"".join(_index_lines(path, extents)) == index_of(path, trailer)
    )


def image_at(path: Path, offset: int, length: int) -> bytes | None:
    """Return the bytes of an image; None where they are not those that were written.

    Raises OSError where they cannot be read; does not block, even where a pipe has replaced the shard.
    """
    with _descriptor(path, os.O_RDONLY | os.O_NONBLOCK) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        extent = _extent(file, offset - BLOCK, os.pread(file, BLOCK, offset - BLOCK))
        if extent is None or extent.length != length or not _is_whole(file, extent):
            return None
        return os.pread(file, length, offset)


def gaps(extents: Sequence[ImageExtent]) -> list[tuple[int, int]]:
    """Return the start and end of each damaged stretch before and between images."""
    ends = [0, *(extent.end for extent in extents)]
    starts = [extent.offset - BLOCK for extent in extents]
    return [pair for pair in zip(ends, starts, strict=False) if pair[0] < pair[1]]


def bridge_gaps(path: Path, extents: Sequence[ImageExtent]) -> None:
    """Make each damaged stretch between images a member of its own, which readers skip.

    No image moves, and the file is a tar file again.
    """
    if not gaps(extents):
        return
    with _descriptor(path, os.O_WRONLY) as file:
        for start, end in gaps(extents):
            head = header(DAMAGED_NAME % start, end - start - BLOCK, b"%011o\0" % 0)
            _write(file, [head], start)
        _sync(file)


def _walk(file: int, limit: int) -> Iterator[ImageExtent]:
    position = 0
    while position < limit:
        head = os.pread(file, BLOCK, position)
        if _is_index(head):
            return
        extent = _extent(file, position, head)
        if extent is not None and extent.end <= limit and _is_whole(file, extent):
            yield extent
        # Damage ends where the next image begins, and every member begins at a multiple of BLOCK.
        position = extent.end if extent is not None and extent.end <= limit else position + BLOCK


def _is_index(head: bytes) -> bool:
    return head.startswith(INDEX_NAME + b"\0") and _size(head) is not None


def _extent(file: int, position: int, head: bytes) -> ImageExtent | None:
    jpeg = _member(head, JPEG)
    if jpeg is None:
        return None
    name, length = jpeg
    json_member = _member(os.pread(file, BLOCK, position + BLOCK + padded(length)), JSON)
    if json_member is None or json_member[0] != name:
        return None
    return ImageExtent(position + BLOCK, length, json_member[1])


def _member(head: bytes, suffix: bytes) -> tuple[bytes, int] | None:
    """Return the name without suffix and the size in a header, or None where it is not such a header."""
    name = head[:100].rstrip(b"\0")
    size = _size(head) if name.endswith(suffix) else None
    return None if size is None else (name.removesuffix(suffix), size)


def _size(head: bytes) -> int | None:
    """Return the size in a header, or None where its checksum does not match."""
    if (
        len(head) < BLOCK
        or not OCTAL.fullmatch(head[124:135])
        or not OCTAL.fullmatch(head[148:154])
    ):
        return None
    if int(head[148:154], 8) != sum(head) - sum(head[148:156]) + 8 * ord(" "):
        return None
    return int(head[124:135], 8)


def _is_whole(file: int, extent: ImageExtent) -> bool:
    jpeg = os.pread(file, extent.length, extent.offset)
    if jpeg[:2] + jpeg[-2:] != b"\xff\xd8\xff\xd9":
        return False
    text = os.pread(file, extent.json_length, extent.json_offset)
    try:
        # It becomes part of a line of the index, so it must be one line itself.
        is_line = text.startswith(b"{") and b"\n" not in text and b"\r" not in text
        fields = json.loads(text) if is_line else {}
        # Shards of earlier versions have no checksum.
        return bool(fields) and fields.get("crc32") in (None, zlib.crc32(jpeg))
    except (ValueError, RecursionError):
        return False


def _index_lines(path: Path, extents: Sequence[ImageExtent]) -> Iterator[bytes]:
    with _descriptor(path, os.O_RDONLY) as file:
        for extent in extents:
            member = os.pread(file, BLOCK + extent.json_length, extent.json_offset - BLOCK)
            name = member[:100].rstrip(b"\0").removesuffix(JSON)
            yield index_line(name, extent, member[BLOCK:])


def _write(file: int, buffers: Sequence[bytes], at: int) -> None:
    for first in range(0, len(buffers), BUFFERS_PER_WRITE):
        remaining: Sequence[bytes | memoryview] = buffers[first : first + BUFFERS_PER_WRITE]
        while remaining:
            written = os.pwritev(file, remaining, at)
            at += written
            remaining = _unwritten(remaining, written)


def _unwritten(buffers: Sequence[bytes | memoryview], written: int) -> Sequence[bytes | memoryview]:
    """Return what remains of the buffers after `written` bytes of them."""
    for number, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[number + 1 :]]
        written -= len(buffer)
    return []


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield file
    finally:
        os.close(file)

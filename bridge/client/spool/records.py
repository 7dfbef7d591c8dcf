"""The form of a message in a spool file.

A file opens with MAGIC. Each record is, little-endian: CRC-32 of all that follows in the record (4 bytes),
length of the body (4), sequence (8), batch (8, signed; -1: none), images (2), kind (1), body. The kinds are
those of `Kind`, and MARK: no message, but a note that everything up to its sequence is acknowledged.
"""

from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO
from zlib import crc32

from bridge.client.entry import Entry, Kind

MAGIC = b"TBSPOOL1"

MARK = 255
MARK_ENDED = 254
"""A mark of a session whose last status is acknowledged too."""

CHECK = Struct("<I")
REST = Struct("<IQqHB")
HEADER_BYTES = CHECK.size + REST.size

KINDS = {kind.value: kind for kind in Kind}


def packed(entry: Entry) -> bytes:
    """Return the record of a message."""
    return _record(entry.sequence, entry.batch, entry.images, entry.kind, entry.body)


def mark(sequence: int, *, ended: bool) -> bytes:
    """Return a note that everything up to a sequence is acknowledged."""
    return _record(sequence, -1, 0, MARK_ENDED if ended else MARK, b"")


def _record(sequence: int, batch: int, images: int, kind: int, body: bytes) -> bytes:
    rest = REST.pack(len(body), sequence, batch, images, kind)
    return CHECK.pack(crc32(body, crc32(rest))) + rest + body


class Mark:
    """Everything up to a sequence is acknowledged."""

    __slots__ = ("ended", "sequence")

    def __init__(self, sequence: int, *, ended: bool) -> None:
        """Note the sequence, and whether that includes the end of the session."""
        self.sequence = sequence
        self.ended = ended


def read(file: BinaryIO, size_bytes: int) -> Iterator[tuple[Entry | Mark | None, int]]:
    """Yield what stands in a file from its position on, each with the place behind it.

    None stands for a damaged record. A torn one, at the end, is left out with all that follows.
    """
    place = file.tell()
    while place + HEADER_BYTES <= size_bytes:
        header = file.read(HEADER_BYTES)
        length, sequence, batch, images, kind = REST.unpack_from(header, CHECK.size)
        place += HEADER_BYTES + length
        if place > size_bytes:
            return
        body = file.read(length)
        is_whole = CHECK.unpack_from(header)[0] == crc32(body, crc32(header[CHECK.size :]))
        if not is_whole:
            yield None, place
        elif kind in KINDS:
            yield Entry(sequence, KINDS[kind], body, batch, images), place
        else:
            yield Mark(sequence, ended=kind == MARK_ENDED), place

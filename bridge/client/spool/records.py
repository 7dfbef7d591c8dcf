"""The format of a spool file.

A file begins with MAGIC. Each record is, little-endian: MARKER, CRC-32 of the header that follows (4 bytes),
the header, and the body. The header: length of the body (4), sequence (8), batch (8, signed; -1: none),
images (2), kind (1), CRC-32 of the body (4). Behind damage, reading continues at the next marker; the
header has a checksum of its own, so that a damaged body still says which message it was.

The kind is a message's `Priority`, or: ACK, everything up to the sequence is acknowledged; ABSENT and LOST,
sequences that are not in the spool; NEXT_FILE, another file follows.

Files that begin with OLD_MAGIC are read too: they have no markers, and one CRC-32 for header and body.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO, Protocol
from zlib import crc32

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.ranges import Ranges, from_bytes, to_bytes

MAGIC = b"TBSPOOL2"
OLD_MAGIC = b"TBSPOOL1"
MARKER = b"\xf7TB\xb2"

ACK = 255
ACK_END = 254
"""Everything is acknowledged, including the status that ends the session."""
ABSENT = 253
"""Sequences that were given up, or acknowledged, before they were written here."""
LOST = 252
"""Sequences that were found missing by a delivery."""

NEXT_FILE = 251
"""Another file has been begun; its number is in the field of the batch."""

CHECK = Struct("<I")
REST = Struct("<IQqHBI")
HEADER_BYTES = len(MARKER) + CHECK.size + REST.size

OLD_REST = Struct("<IQqHB")
OLD_HEADER_BYTES = CHECK.size + OLD_REST.size
OLD_KINDS = {*Priority, ACK, ACK_END}

PRIORITIES = {priority.value: priority for priority in Priority}

WINDOW_BYTES = 64 << 10
"""How much is searched at once for the next record."""


@dataclass(frozen=True, slots=True)
class AckRecord:
    """Everything up to a sequence is acknowledged."""

    sequence: int
    includes_end: bool
    """It includes the status that ends the session."""


@dataclass(frozen=True, slots=True)
class GapRecord:
    """Sequences that are not in the spool, for a known reason."""

    ranges: Ranges
    is_lost: bool
    """A delivery found them missing; otherwise they were dropped, or acknowledged before they were written."""
    unnumbered: int = 0
    """At least how many damaged messages with unknown sequences were found."""
    is_end_unknown: bool = False
    """One of them may have been the status that ends the session."""


@dataclass(frozen=True, slots=True)
class NextFileRecord:
    """Another file has been begun."""

    number: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes between two records, or behind the last one, that cannot be read."""

    size_bytes: int
    sequence: int = 0
    """Of the message it was, where its header is readable; otherwise 0."""
    kind: int = -1
    """As above; otherwise -1."""
    has_ack_length: bool = False
    """It is as long as an AckRecord, which no message is."""

    @property
    def is_unnumbered(self) -> bool:
        """Whether there may have been a message whose sequence is unknown."""
        return not self.sequence and not self.has_ack_length


Record = OutgoingMessage | AckRecord | GapRecord | NextFileRecord | Damage


def message_record(message: OutgoingMessage) -> bytes:
    """Return the record of a message."""
    return _record(message.sequence, message.batch, message.images, message.priority, message.body)


def ack_record(sequence: int, *, includes_end: bool) -> bytes:
    """Return the record that everything up to a sequence is acknowledged."""
    return _record(sequence, -1, 0, ACK_END if includes_end else ACK, b"")


def gap_record(found: GapRecord) -> bytes:
    """Return the record of sequences that are not in the spool."""
    last = found.ranges[-1][1] if found.ranges else 0
    kind = LOST if found.is_lost else ABSENT
    batch = 0 if found.is_end_unknown else -1
    return _record(last, batch, found.unnumbered, kind, to_bytes(found.ranges))


def next_file_record(found: NextFileRecord) -> bytes:
    """Return the record that another file follows."""
    return _record(0, found.number, 0, NEXT_FILE, b"")


def read_records(
    file: BinaryIO, size_bytes: int, *, is_old: bool = False
) -> Iterator[tuple[Record, int]]:
    """Yield the records of a file from its position on, each with the position behind it."""
    record_format = OLD_FORMAT if is_old else FORMAT
    position = file.tell()
    while position < size_bytes:
        found, end = record_format.record(file, position, size_bytes)
        if isinstance(found, Damage):
            end = record_format.next(file, position + 1, size_bytes)
            size = end - position
            found = Damage(
                size, found.sequence, found.kind, has_ack_length=size == record_format.ack_bytes
            )
            file.seek(end)
        yield found, end
        position = end


class Format(Protocol):
    """How records of one version of the format are read."""

    ack_bytes: int
    """The length of an AckRecord."""

    def record(self, file: BinaryIO, position: int, size_bytes: int) -> tuple[Record, int]:
        """Return the record at the file's position, which is `position`, and the position behind it."""

    def next(self, file: BinaryIO, position: int, size_bytes: int) -> int:
        """Return where the next record begins, from `position` on; the end of the file if none does."""


class _CurrentFormat:
    ack_bytes = HEADER_BYTES

    def record(self, file: BinaryIO, position: int, size_bytes: int) -> tuple[Record, int]:
        header = file.read(HEADER_BYTES)
        if position + HEADER_BYTES > size_bytes or not _is_header(header):
            return Damage(0), position
        length, sequence, batch, images, kind, check = REST.unpack_from(
            header, len(MARKER) + CHECK.size
        )
        end = position + HEADER_BYTES + length
        body = file.read(length) if end <= size_bytes else b""
        if end > size_bytes or len(body) < length or crc32(body) != check:
            return Damage(0, sequence, kind), position
        return _record_from(sequence, batch, images, kind, body), end

    def next(self, file: BinaryIO, position: int, size_bytes: int) -> int:
        while position < size_bytes:
            file.seek(position)
            window = file.read(min(WINDOW_BYTES + HEADER_BYTES - 1, size_bytes - position))
            found = window.find(MARKER)
            while 0 <= found < WINDOW_BYTES:
                if _is_header(window[found : found + HEADER_BYTES]):
                    return position + found
                found = window.find(MARKER, found + 1)
            position += WINDOW_BYTES
        return size_bytes


class _OldFormat:
    ack_bytes = OLD_HEADER_BYTES

    def record(self, file: BinaryIO, position: int, size_bytes: int) -> tuple[Record, int]:
        header = file.read(OLD_HEADER_BYTES)
        if position + OLD_HEADER_BYTES > size_bytes or len(header) < OLD_HEADER_BYTES:
            return Damage(0), position
        length, sequence, batch, images, kind = OLD_REST.unpack_from(header, CHECK.size)
        end = position + OLD_HEADER_BYTES + length
        if end > size_bytes or kind not in OLD_KINDS:
            return Damage(0), position
        body = file.read(length)
        if CHECK.unpack_from(header)[0] != crc32(body, crc32(header[CHECK.size :])):
            return Damage(0), position
        return _record_from(sequence, batch, images, kind, body), end

    def next(self, file: BinaryIO, position: int, size_bytes: int) -> int:
        """Try every position: nothing marks where an old record begins."""
        while position + OLD_HEADER_BYTES <= size_bytes:
            file.seek(position)
            window = file.read(min(WINDOW_BYTES + OLD_HEADER_BYTES - 1, size_bytes - position))
            for offset in range(len(window) - OLD_HEADER_BYTES + 1):
                length, _, batch, _, kind = OLD_REST.unpack_from(window, offset + CHECK.size)
                end = position + offset + OLD_HEADER_BYTES + length
                if kind not in OLD_KINDS or end > size_bytes or not -1 <= batch < 1 << 32:
                    continue
                file.seek(position + offset)
                found, _ = self.record(file, position + offset, size_bytes)
                if not isinstance(found, Damage):
                    return position + offset
            position += WINDOW_BYTES
        return size_bytes


FORMAT: Format = _CurrentFormat()
OLD_FORMAT: Format = _OldFormat()


def is_old(file: BinaryIO, size_bytes: int) -> bool:
    """Return whether a file whose beginning is damaged has records of the old format."""
    return FORMAT.next(file, 0, size_bytes) == size_bytes > OLD_FORMAT.next(file, 0, size_bytes)


def _record(sequence: int, batch: int, images: int, kind: int, body: bytes) -> bytes:
    rest = REST.pack(len(body), sequence, batch, images, kind, crc32(body))
    return MARKER + CHECK.pack(crc32(rest)) + rest + body


def _is_header(header: bytes) -> bool:
    if len(header) < HEADER_BYTES or not header.startswith(MARKER):
        return False
    check = CHECK.pack(crc32(header[len(MARKER) + CHECK.size :]))
    return header.startswith(check, len(MARKER))


def _record_from(sequence: int, batch: int, images: int, kind: int, body: bytes) -> Record:
    if kind in PRIORITIES:
        return OutgoingMessage(sequence, PRIORITIES[kind], body, batch, images)
    if kind in (ACK, ACK_END):
        return AckRecord(sequence, includes_end=kind == ACK_END)
    if kind == NEXT_FILE:
        return NextFileRecord(batch)
    try:
        return GapRecord(from_bytes(body), kind == LOST, images, is_end_unknown=batch == 0)
    except ValueError:
        return Damage(len(body), sequence, kind)

"""The form of a message in a spool file.

A file opens with MAGIC. Each record is, little-endian: MARKER, CRC-32 of the header that follows (4 bytes),
the header, and the body. The header: length of the body (4), sequence (8), batch (8, signed; -1: none),
images (2), kind (1), CRC-32 of the body (4). The marker is where reading goes on behind something damaged,
and the header has a check of its own, so that a damaged body still says which message it was.

The kinds are those of `Priority`, and MARK: no message, but a note that everything up to its sequence is
acknowledged; ABSENT and LOST: notes of sequences that are not here; NEXT: a note that another file follows.

Files that open with OLD_MAGIC are read too: they have no markers, and one CRC-32 for header and body.
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

MARK = 255
MARK_ENDED = 254
"""A mark of a session whose last status is acknowledged too."""
ABSENT = 253
"""Sequences that were given up, or acknowledged, before they were written here."""
LOST = 252
"""Sequences that were found missing by a delivery."""

NEXT = 251
"""Another file has been begun; its number stands in place of a batch."""

CHECK = Struct("<I")
REST = Struct("<IQqHBI")
HEADER_BYTES = len(MARKER) + CHECK.size + REST.size

OLD_REST = Struct("<IQqHB")
OLD_HEADER_BYTES = CHECK.size + OLD_REST.size
OLD_KINDS = {*Priority, MARK, MARK_ENDED}

PRIORITIES = {priority.value: priority for priority in Priority}

WINDOW_BYTES = 64 << 10
"""So much is searched at once for the next record."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything up to a sequence is acknowledged."""

    sequence: int
    ended: bool
    """That includes the end of the session."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences that are not in the spool, for a reason that is known."""

    ranges: Ranges
    is_lost: bool
    """A delivery found them missing; else they were given up, or acknowledged before they were written."""
    unnumbered: int = 0
    """Messages that were found damaged and whose sequences are not known; at least so many."""
    is_end_unknown: bool = False
    """One of them may have been the status that ends the session."""


@dataclass(frozen=True, slots=True)
class Next:
    """Another file has been begun."""

    number: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes between two records, or behind the last one, that cannot be read."""

    size_bytes: int
    sequence: int = 0
    """Of the message it was, where its header can be read; else 0."""
    kind: int = -1
    """As above; else -1."""
    is_mark: bool = False
    """They have the length of a mark, which no message has."""

    @property
    def is_unnumbered(self) -> bool:
        """Tell whether there may have been a message whose sequence is not known."""
        return not self.sequence and not self.is_mark


Found = OutgoingMessage | Mark | Gap | Next | Damage


def packed(message: OutgoingMessage) -> bytes:
    """Return the record of a message."""
    return _record(message.sequence, message.batch, message.images, message.priority, message.body)


def mark(sequence: int, *, ended: bool) -> bytes:
    """Return a note that everything up to a sequence is acknowledged."""
    return _record(sequence, -1, 0, MARK_ENDED if ended else MARK, b"")


def gap(found: Gap) -> bytes:
    """Return a note of sequences that are not here."""
    last = found.ranges[-1][1] if found.ranges else 0
    kind = LOST if found.is_lost else ABSENT
    batch = 0 if found.is_end_unknown else -1
    return _record(last, batch, found.unnumbered, kind, to_bytes(found.ranges))


def following(found: Next) -> bytes:
    """Return a note that another file follows."""
    return _record(0, found.number, 0, NEXT, b"")


def read(file: BinaryIO, size_bytes: int, *, is_old: bool = False) -> Iterator[tuple[Found, int]]:
    """Yield what stands in a file from its position on, each with the place behind it."""
    form = OLD_FORM if is_old else FORM
    place = file.tell()
    while place < size_bytes:
        found, end = form.record(file, place, size_bytes)
        if isinstance(found, Damage):
            end = form.next(file, place + 1, size_bytes)
            size = end - place
            found = Damage(size, found.sequence, found.kind, is_mark=size == form.mark_bytes)
            file.seek(end)
        yield found, end
        place = end


class Form(Protocol):
    """How records of one version are read."""

    mark_bytes: int
    """The length of a mark."""

    def record(self, file: BinaryIO, place: int, size_bytes: int) -> tuple[Found, int]:
        """Return the record at the file's position, which is `place`, and the place behind it."""

    def next(self, file: BinaryIO, place: int, size_bytes: int) -> int:
        """Return where the next record begins at `place` or behind it; the end of the file if none does."""


class _NewForm:
    mark_bytes = HEADER_BYTES

    def record(self, file: BinaryIO, place: int, size_bytes: int) -> tuple[Found, int]:
        header = file.read(HEADER_BYTES)
        if place + HEADER_BYTES > size_bytes or not _is_header(header):
            return Damage(0), place
        length, sequence, batch, images, kind, check = REST.unpack_from(
            header, len(MARKER) + CHECK.size
        )
        end = place + HEADER_BYTES + length
        body = file.read(length) if end <= size_bytes else b""
        if end > size_bytes or len(body) < length or crc32(body) != check:
            return Damage(0, sequence, kind), place
        return _found(sequence, batch, images, kind, body), end

    def next(self, file: BinaryIO, place: int, size_bytes: int) -> int:
        while place < size_bytes:
            file.seek(place)
            window = file.read(min(WINDOW_BYTES + HEADER_BYTES - 1, size_bytes - place))
            found = window.find(MARKER)
            while 0 <= found < WINDOW_BYTES:
                if _is_header(window[found : found + HEADER_BYTES]):
                    return place + found
                found = window.find(MARKER, found + 1)
            place += WINDOW_BYTES
        return size_bytes


class _OldForm:
    mark_bytes = OLD_HEADER_BYTES

    def record(self, file: BinaryIO, place: int, size_bytes: int) -> tuple[Found, int]:
        header = file.read(OLD_HEADER_BYTES)
        if place + OLD_HEADER_BYTES > size_bytes or len(header) < OLD_HEADER_BYTES:
            return Damage(0), place
        length, sequence, batch, images, kind = OLD_REST.unpack_from(header, CHECK.size)
        end = place + OLD_HEADER_BYTES + length
        if end > size_bytes or kind not in OLD_KINDS:
            return Damage(0), place
        body = file.read(length)
        if CHECK.unpack_from(header)[0] != crc32(body, crc32(header[CHECK.size :])):
            return Damage(0), place
        return _found(sequence, batch, images, kind, body), end

    def next(self, file: BinaryIO, place: int, size_bytes: int) -> int:
        """Try every place: nothing marks where an old record begins."""
        while place + OLD_HEADER_BYTES <= size_bytes:
            file.seek(place)
            window = file.read(min(WINDOW_BYTES + OLD_HEADER_BYTES - 1, size_bytes - place))
            for offset in range(len(window) - OLD_HEADER_BYTES + 1):
                length, _, batch, _, kind = OLD_REST.unpack_from(window, offset + CHECK.size)
                end = place + offset + OLD_HEADER_BYTES + length
                if kind not in OLD_KINDS or end > size_bytes or not -1 <= batch < 1 << 32:
                    continue
                file.seek(place + offset)
                found, _ = self.record(file, place + offset, size_bytes)
                if not isinstance(found, Damage):
                    return place + offset
            place += WINDOW_BYTES
        return size_bytes


FORM: Form = _NewForm()
OLD_FORM: Form = _OldForm()


def is_old(file: BinaryIO, size_bytes: int) -> bool:
    """Tell which form the records of a file have whose opening cannot be read."""
    return FORM.next(file, 0, size_bytes) == size_bytes > OLD_FORM.next(file, 0, size_bytes)


def _record(sequence: int, batch: int, images: int, kind: int, body: bytes) -> bytes:
    rest = REST.pack(len(body), sequence, batch, images, kind, crc32(body))
    return MARKER + CHECK.pack(crc32(rest)) + rest + body


def _is_header(header: bytes) -> bool:
    if len(header) < HEADER_BYTES or not header.startswith(MARKER):
        return False
    check = CHECK.pack(crc32(header[len(MARKER) + CHECK.size :]))
    return header.startswith(check, len(MARKER))


def _found(sequence: int, batch: int, images: int, kind: int, body: bytes) -> Found:
    if kind in PRIORITIES:
        return OutgoingMessage(sequence, PRIORITIES[kind], body, batch, images)
    if kind in (MARK, MARK_ENDED):
        return Mark(sequence, ended=kind == MARK_ENDED)
    if kind == NEXT:
        return Next(batch)
    try:
        return Gap(from_bytes(body), kind == LOST, images, is_end_unknown=batch == 0)
    except ValueError:
        return Damage(len(body), sequence, kind)

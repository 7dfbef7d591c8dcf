"""The layout of a shard: a tar file of images, and an index at its end.

For each image there are two members, `<epoch>-<batch>-<image>.jpg` and a `.json` of the same name, which is
what WebDataset takes for one sample. The last two members begin with a dot, which WebDataset skips:
`.index.jsonl` has one line per image, and `.trailer.json`, of a fixed size, says where the index begins.
"""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bridge.model import Image
from bridge.sinks.images.candidate import ImageCandidate

BLOCK = 512
"""Everything in a tar file begins at a multiple of this (POSIX.1-1988, "ustar")."""

FORMAT = "trainbridge-shard-1"
INDEX_NAME = b".index.jsonl"
TRAILER_NAME = b".trailer.json"
DAMAGED_NAME = b".damaged-%d"
"""A member that covers damage, so that the file is a tar file again; the number is its offset."""
END_OF_ARCHIVE = bytes(2 * BLOCK)
TAIL_BYTES = 4 * BLOCK
"""The trailer member, and the end of the archive."""

JPEG = b".jpg"
JSON = b".json"

_PADDING = tuple(bytes(size) for size in range(BLOCK))
_MODE_AND_OWNER = b"0000644\0" + b"0000000\0" * 2
_TRAILING_FIELDS = b"".join(
    (b"0", bytes(100), b"ustar\x0000", bytes(64), b"0000000\0" * 2, bytes(167)),
)
_FIXED_SUM = sum(_MODE_AND_OWNER) + sum(_TRAILING_FIELDS) + 8 * ord(" ")


@dataclass(frozen=True, slots=True)
class ImageExtent:
    """Where one image lies in a shard; its JSON begins one header after the padded JPEG."""

    offset: int
    length: int
    json_length: int

    @property
    def json_offset(self) -> int:
        """Where its JSON begins."""
        return self.offset + padded(self.length) + BLOCK

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.json_offset + padded(self.json_length)


@dataclass(frozen=True, slots=True)
class Trailer:
    """Where the index of a shard lies, and how many images it lists."""

    index_offset: int
    index_length: int
    images: int

    def fits(self, size_bytes: int) -> bool:
        """Return whether a shard of this size ends with such an index and this trailer."""
        return self.index_offset + padded(self.index_length) + TAIL_BYTES == size_bytes

    @property
    def metadata(self) -> dict[str, str]:
        """The same, as the metadata of an object."""
        return {
            "format": FORMAT,
            "index-offset": str(self.index_offset),
            "index-length": str(self.index_length),
            "images": str(self.images),
        }


def padded(size: int) -> int:
    """Return how many bytes a member of `size` bytes takes in a tar file."""
    return -(-size // BLOCK) * BLOCK


def pack(
    candidate: ImageCandidate, *, at: int, repeat: int = 0
) -> tuple[list[bytes], list[ImageExtent]]:
    """Return the members for a batch, to be written from offset `at` on, and where its images will lie.

    `repeat` is how often this batch is in the shard already: it makes the names differ.
    """
    batch = candidate.batch
    head = b'{"session_id":%s,"attempt":%d,"epoch":%d,"batch_idx":%d,"index":' % (
        _quoted(candidate.session_id),
        candidate.attempt,
        batch.epoch,
        batch.index,
    )
    tail = b',"batch_loss":%s,"loss_missing":%s,"timestamp_ms":%s,"received_ms":%d}' % (
        _number(batch.loss),
        b"true" if batch.loss is None else b"false",
        _whole(batch.sent_ms or None),
        candidate.received_ms,
    )
    changed = _time_field(candidate.received)
    suffix = b"-r%d" % repeat if repeat else b""
    buffers: list[bytes] = []
    extents: list[ImageExtent] = []
    for image in batch.images:
        name = b"%06d-%08d-%02d%s" % (batch.epoch, batch.index, image.index, suffix)
        text = b"".join((head, _columns(image, candidate.class_names), tail))
        jpeg = image.jpeg
        extent = ImageExtent(at + BLOCK, len(jpeg), len(text))
        buffers += (
            header(name + JPEG, len(jpeg), changed),
            jpeg,
            b"".join(
                (
                    _PADDING[-len(jpeg) % BLOCK],
                    header(name + JSON, len(text), changed),
                    text,
                    _PADDING[-len(text) % BLOCK],
                )
            ),
        )
        extents.append(extent)
        at = extent.end
    return buffers, extents


def header(name: bytes, size: int, changed: bytes) -> bytes:
    """Return the header of a member (POSIX.1-1988, "ustar Interchange Format").

    The checksum is the sum of all bytes of the header, its own field taken as spaces.
    """
    length = b"%011o\0" % size
    checksum = _FIXED_SUM + sum(name) + sum(length) + sum(changed)
    return b"".join(
        (
            name.ljust(100, b"\0"),
            _MODE_AND_OWNER,
            length,
            changed,
            b"%06o\0 " % checksum,
            _TRAILING_FIELDS,
        )
    )


def ending(lines: list[bytes], *, at: int, changed_seconds: float) -> bytes:
    """Return what closes a shard whose images end at offset `at`: index, trailer, end of archive."""
    index = b"".join(lines)
    changed = _time_field(changed_seconds)
    trailer = b'{"format":"%s","index_offset":%d,"index_length":%d,"images":%d}' % (
        FORMAT.encode(),
        at + BLOCK,
        len(index),
        len(lines),
    )
    return b"".join(
        (
            header(INDEX_NAME, len(index), changed),
            index,
            _PADDING[-len(index) % BLOCK],
            header(TRAILER_NAME, BLOCK, changed),
            trailer.ljust(BLOCK - 1) + b"\n",
            END_OF_ARCHIVE,
        )
    )


def index_line(name: bytes, extent: ImageExtent, text: bytes) -> bytes:
    """Return the index line of an image, given its name without extension and its JSON."""
    location = b'{"name":"%s%s","offset":%d,"length":%d,' % (
        name,
        JPEG,
        extent.offset,
        extent.length,
    )
    return b"".join((location, text[1:], b"\n"))


def parse_trailer(tail: bytes) -> Trailer | None:
    """Return the trailer in the last `TAIL_BYTES` or more of a shard; None: it has not been closed."""
    tail = tail[-TAIL_BYTES:]
    if not tail.startswith(TRAILER_NAME + b"\0") or not tail.endswith(END_OF_ARCHIVE):
        return None
    try:
        found = json.loads(tail[BLOCK : 2 * BLOCK])
        numbers = (found["index_offset"], found["index_length"], found["images"])
        is_ours = found["format"] == FORMAT and all(type(n) is int and n >= 0 for n in numbers)
        return Trailer(*numbers) if is_ours else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def parse_index(index: bytes) -> Iterator[dict[str, Any]]:
    """Yield the fields of each image in the index."""
    yield from map(json.loads, index.splitlines())


def _time_field(seconds: float) -> bytes:
    return b"%011o\0" % max(0, min(int(seconds), 0o77777777777))


def _columns(image: Image, class_names: tuple[str, ...]) -> bytes:
    return (
        b'%d,"crc32":%d,"predicted_class":%s,"predicted_label":%s,"confidence":%s,"true_class":%s,"true_label":%s'
        % (
            image.index,
            zlib.crc32(image.jpeg),
            _whole(image.predicted_class),
            _label(image.predicted_class, class_names),
            _number(image.confidence),
            _whole(image.true_class),
            _label(image.true_class, class_names),
        )
    )


def _whole(value: int | None) -> bytes:
    return b"null" if value is None else b"%d" % value


def _number(value: float | None) -> bytes:
    """JSON knows neither NaN nor infinity (RFC 8259, section 6)."""
    if value is None or not math.isfinite(value):
        return b"null"
    return repr(float(value)).encode()


def _label(index: int | None, class_names: tuple[str, ...]) -> bytes:
    if index is None or not 0 <= index < len(class_names):
        return b"null"
    return _quoted(class_names[index])


@lru_cache(maxsize=4096)
def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()

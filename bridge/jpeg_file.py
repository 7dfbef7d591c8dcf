"""The structure of a JPEG file, its size and its true end, without decoding it.

Uses nothing but the standard library: the bridge and the SDK read files by the same rules.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

START = b"\xff\xd8"
END = b"\xff\xd9"

START_OF_IMAGE = 0xD8
END_OF_IMAGE = 0xD9
START_OF_SCAN = 0xDA

FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0..SOF15 without DHT, JPG and DAC (ITU-T T.81, table B.1)."""

COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive, Huffman-coded: what browsers show."""

SEGMENT_LIMIT = 4_096
"""A hostile file of empty segments takes a few milliseconds. An ICC profile of 16 MiB has 255."""

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""A marker that a length follows, or SOI or EOI.

In entropy-coded data 0xFF is followed by 0x00 or is RST0..RST7 (T.81, B.1.1.5), so that this finds
the first marker behind it, and steps over fill bytes and what decoders step over between segments.
"""

_BARE = frozenset({*range(0xC0), *range(0xD0, 0xD8), 0xFF})
"""Behind 0xFF: no marker that a length follows (T.81, B.1.1.3), or a fill byte."""

_NOT_IN_FRONT = frozenset({START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN})
_FRAME = struct.Struct(">BHHB")
"""Precision, height, width, components (T.81, B.2.2)."""


class Frame(NamedTuple):
    """What the frame header (SOF) says of the picture; a tuple, as one is made for every image."""

    marker: int
    precision: int
    """Bits a sample."""
    height: int
    """Pixels; 0 where it follows behind the first scan (DNL)."""
    width: int
    components: int
    """1: grey, 3: colours, 4: CMYK or YCCK."""

    @property
    def is_common(self) -> bool:
        """Whether every browser and library shows it, and in the right colours."""
        return self.marker in COMMON_FRAMES and self.precision == 8 and self.components in (1, 3)


def frame_of(data: bytes) -> Frame | None:
    """Return what the frame header says, or None where there is none in front of the first scan."""
    position, last = len(START), len(data) - 10
    for _ in range(SEGMENT_LIMIT):  # a loop of its own, since the bridge does this for every image
        if position > last:
            return None
        if data[position] != 0xFF or (marker := data[position + 1]) in _BARE:
            found = _MARKER.search(data, position)
            if found is None or (position := found.start()) > last:
                return None
            marker = data[position + 1]
        if marker in FRAME_MARKERS:
            return Frame(marker, *_FRAME.unpack_from(data, position + 4))
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _NOT_IN_FRONT or length < 2:
            return None
        position += 2 + length
    return None


def end_of(data: bytes) -> int | None:
    """Return where a JPEG file truly ends, or None where it breaks off or has no picture in it.

    End markers inside segments (the thumbnail in an EXIF segment, tables) are stepped over, and so
    is the data of every scan. What lies behind the end marker is not looked at.
    """
    seen = False
    for marker, body in _segments(data):
        if marker == START_OF_SCAN:
            seen = True
        elif marker == END_OF_IMAGE:
            return body if seen else None
    return None


def has_scan(data: bytes) -> bool:
    """Return whether there is anything of the picture, which may break off."""
    return any(marker == START_OF_SCAN for marker, _ in _segments(data))


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position behind it; the last is EOI where the file is whole."""
    position = len(START)
    for _ in range(SEGMENT_LIMIT):
        found = _MARKER.search(data, position)
        if found is None:
            return
        position = found.end()
        marker = data[position - 1]
        yield marker, position
        length = int.from_bytes(data[position : position + 2])
        if marker in (START_OF_IMAGE, END_OF_IMAGE) or length < 2:
            return
        position += length

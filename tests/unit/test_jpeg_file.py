"""Where a JPEG file ends."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.jpegs import jpeg, png

from bridge.jpeg_file import SEGMENT_LIMIT, end_of, frame_of

NOISE = Image.effect_noise((64, 48), 90)


def saved(picture=NOISE, **options):
    """Return a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_segment(data, marker=0xE1):
    """Return a JPEG with one more segment in front."""
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    return b"\xff\xd8" + segment + saved()[2:]


FILES = {
    "baseline": saved(),
    "colours": saved(NOISE.convert("RGB"), quality=100),
    "progressive, several scans": saved(NOISE.convert("RGB"), progressive=True),
    "restart markers": saved(restart_marker_blocks=1),
    "a thumbnail in its EXIF segment": with_segment(b"Exif\0\0" + saved()),
    "an end marker in a comment": with_segment(b"\xff\xd9", marker=0xFE),
    "fill bytes": b"\xff\xd8\xff\xff" + saved()[2:-2] + b"\xff\xff\xff\xff\xd9",
    "bytes between segments": b"\xff\xd8\x00\x00" + saved()[2:],
    "a bare marker": b"\xff\xd8\xff\x01" + saved()[2:],
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
@pytest.mark.parametrize("behind", [b"", bytes(512), saved(), b"\xff\xd9" * 9], ids=len)
def test_the_end_is_where_decoders_see_it(file, behind):
    """Thumbnails, tables, scans and restart markers are stepped over; what is behind is not."""
    assert end_of(file + behind) == len(file)
    assert frame_of(file + behind)[2:4] == (48, 64)


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_that_breaks_off_has_no_end(file):
    """Wherever it breaks off, and whatever end markers there are inside."""
    for length in range(0, len(file) - 1, 7):
        assert end_of(file[:length]) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", jpeg()[:2] + jpeg(), png()])
def test_what_has_no_picture_has_no_end(data):
    """An end marker alone makes no file."""
    assert end_of(data) is None


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(noise):
    """No bytes make the walk fail or leave the file."""
    data = b"\xff\xd8" + noise
    end = end_of(data)

    assert end is None or data[:end].endswith(b"\xff\xd9")
    frame_of(data)


def test_a_walk_ends():
    """A file of nothing but empty segments is given up after some thousands."""
    file = b"\xff\xd8" + b"\xff\xe0\x00\x02" * (SEGMENT_LIMIT + 1) + saved()[2:]

    assert end_of(file) is None
    assert frame_of(file) is None

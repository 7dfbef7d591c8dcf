"""What passes as a JPEG."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.jpegs import jpeg, png

from bridge.jpeg_file import end_of
from bridge.receiver.jpeg import checked


def fault_of(data, *, max_dimension):
    """Return what is wrong with a JPEG, or None."""
    return checked(data, max_dimension=max_dimension)[1]


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"exif": b"Exif\0\0" + b"x" * 999}]
)
def test_real_files_pass(options):
    """Baseline and progressive files, and ones with metadata in front, are taken."""
    buffer = io.BytesIO()
    Image.new("RGB", (33, 7), (200, 10, 10)).save(buffer, "JPEG", **options)

    assert fault_of(buffer.getvalue(), max_dimension=64) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (png(), "is not a JPEG"),
        (jpeg()[:-40], "without an end"),
        (b"\xff\xd8\xff\xd9", "without a frame header"),
        (b"\xff\xd8\xff\xe0\x00\x00" + b"\xff\xd9" * 20, "without a frame header"),
        (jpeg(80, 8), "80x8 pixels"),
    ],
)
def test_everything_else_is_refused_with_a_reason(data, reason):
    """Empty, foreign, cut-off and oversized files get different errors."""
    assert reason in fault_of(data, max_dimension=64)


def test_padding_behind_the_end_is_tolerated():
    """Encoders that pad their output are served."""
    assert fault_of(jpeg() + bytes(8), max_dimension=64) is None


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(noise):
    """No bytes make the walk fail or run on, and what passes has a size."""
    data = b"\xff\xd8" + noise + b"\xff\xd9"

    fault = fault_of(data, max_dimension=0)

    assert isinstance(fault, str)
    assert fault.startswith("is ")


@pytest.mark.parametrize(
    "behind", [bytes(8), bytes(512), b"\x00\x00\x00\x18ftypmp42" + bytes(9_000)]
)
def test_data_behind_the_end_is_not_a_fault(behind):
    """Files with whatever behind their end are taken, and can be cut there."""
    file = jpeg() + behind

    assert fault_of(file, max_dimension=64) is None
    assert file[: end_of(file)] == jpeg()


@pytest.mark.parametrize("behind", [b"", bytes(512)])
def test_a_file_that_breaks_off_is_refused_whatever_is_behind(behind):
    """The end of a thumbnail in its EXIF segment is not the end of the file."""
    exif = b"\xff\xe1" + (len(jpeg()) + 2).to_bytes(2) + jpeg()
    file = b"\xff\xd8" + exif + jpeg()[2:-20] + behind

    assert fault_of(file, max_dimension=64) == "is a JPEG without an end"

"""A look at the header of a JPEG, in microseconds and without a decoder."""

START = b"\xff\xd8"
END = b"\xff\xd9"
TAIL_BYTES = 64
"""Some encoders leave padding behind the end marker; this much is tolerated."""

FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0..SOF15 without DHT, JPG and DAC (ITU-T T.81, table B.1)."""

BARE_MARKERS = frozenset(range(0xD0, 0xD8)) | {0x01}
"""RST0..RST7 and TEM carry no length (ITU-T T.81, B.1.1.3)."""

START_OF_SCAN = 0xDA


def fault_of(data: bytes, *, max_dimension: int) -> str | None:
    """Say what is wrong with a JPEG file, or None.

    Walks the segments to the frame header (SOF) and looks for the end marker; the entropy-coded data
    is not read. At most `max_dimension` pixels a side pass.
    """
    if not data:
        return "is empty"
    if data[:2] != START:
        return "is not a JPEG"
    if data.rfind(END, -TAIL_BYTES) < 0:
        return "is a JPEG without an end"
    size = _size_of(data)
    if size is None or 0 in size:
        return "is a JPEG without a frame header that tells its size"
    height, width = size
    if max(width, height) > max_dimension:
        return f"is {width}x{height} pixels; at most {max_dimension} a side are taken"
    return None


def _size_of(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) as the frame header tells, or None where there is none."""
    position, end = 2, len(data) - 8
    while position < end:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker in FRAME_MARKERS:
            return (
                data[position + 5] << 8 | data[position + 6],
                data[position + 7] << 8 | data[position + 8],
            )
        if marker == START_OF_SCAN:
            return None
        if marker == 0xFF:
            position += 1
        elif marker in BARE_MARKERS:
            position += 2
        else:
            position += 2 + (data[position + 2] << 8 | data[position + 3])
    return None

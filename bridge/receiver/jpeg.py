"""A look at the header of a JPEG, in microseconds and without a decoder."""

from bridge.jpeg_file import END, START, end_of, frame_of


def checked(data: bytes, *, max_dimension: int) -> tuple[bytes, str | None]:
    """Return a JPEG file without what lies behind its end, and what is wrong with it, or None.

    Walks the segments to the frame header (SOF). The entropy-coded data is read only where the file
    does not end with an end marker: data behind the end (Motion Photos, padding) is not a fault. At most
    `max_dimension` pixels a side pass.
    """
    if not data:
        return data, "is empty"
    if data[:2] != START:
        return data, "is not a JPEG"
    end = len(data) if data.endswith(END) else end_of(data)
    if end is None:
        return data, "is a JPEG without an end"
    frame = frame_of(data)
    if frame is None or 0 in (frame.height, frame.width):
        return data, "is a JPEG without a frame header that gives its size"
    if max(frame.width, frame.height) > max_dimension:
        size = f"{frame.width}x{frame.height}"
        return data, f"is {size} pixels; at most {max_dimension} a side are taken"
    return data[:end], None

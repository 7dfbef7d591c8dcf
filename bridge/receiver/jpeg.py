"""A look at the header of a JPEG, in microseconds and without a decoder."""

from bridge.jpeg_file import END, START, end_of, frame_of


def fault_of(data: bytes, *, max_dimension: int) -> str | None:
    """Return what is wrong with a JPEG file, or None.

    Walks the segments to the frame header (SOF). The entropy-coded data is read only where the file
    does not end with an end marker: data behind the end (Motion Photos, padding) is no fault, and
    `data[:end_of(data)]` is the file without it. At most `max_dimension` pixels a side pass.
    """
    if not data:
        return "is empty"
    if data[:2] != START:
        return "is not a JPEG"
    frame = frame_of(data)
    if not data.endswith(END) and end_of(data) is None:
        return "is a JPEG without an end"
    if frame is None or 0 in (frame.height, frame.width):
        return "is a JPEG without a frame header that gives its size"
    if max(frame.width, frame.height) > max_dimension:
        return f"is {frame.width}x{frame.height} pixels; at most {max_dimension} a side are taken"
    return None

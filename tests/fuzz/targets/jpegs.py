"""Images on their way: the walk through the segments of a JPEG, which is not decoded."""

from bridge.jpeg_file import END, START, end_of, frame_of, has_scan
from bridge.receiver.jpeg import checked


def run(data: bytes) -> None:
    """Look at a file as it is, and behind the marker that each JPEG begins with."""
    for file in (data, START + data, START + data + END):
        kept, fault = checked(file, max_dimension=4_096)
        assert file.startswith(kept)
        if fault is None:
            frame = frame_of(kept)
            assert frame is not None
            assert 0 < max(frame.width, frame.height) <= 4_096
        has_scan(file)
        end = end_of(file)
        assert end is None or 0 < end <= len(file)

"""Shards: the trailer and the index at the end of one, and the images in it, as they may lie in a store."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.sinks.images.shards.file import gaps, image_at, is_whole, trailer_of, walk
from bridge.sinks.images.shards.index_lines import SMALLEST_MEMBERS, read_index
from bridge.sinks.images.shards.layout import parse_trailer
from bridge.storage.packed import packed

KEY = "run/2023-11-14/1700000000000-abcd0123-000001.tar"


def run(data: bytes) -> None:
    """Read an object as a tail, as an index, and as a file of the spool; what is damaged costs itself alone."""
    parse_trailer(data)
    found = read_index(data, KEY, end=1 << 20)
    assert sum(len(batch.images) for batch in found.batches) <= (1 << 20) // SMALLEST_MEMBERS
    packed({"labels": [[number, name] for number, name in found.labels.items()]})
    with TemporaryDirectory() as folder:
        path = Path(folder, "shard.tar")
        path.write_bytes(data)
        _read_file(path, len(data))


def _read_file(path: Path, size: int) -> None:
    extents = walk(path)
    assert all(0 <= extent.offset < extent.end <= size + 1024 for extent in extents)
    gaps(extents)
    trailer = trailer_of(path)
    if trailer is not None:
        is_whole(path, trailer)
    for extent in extents:
        assert image_at(path, extent.offset, extent.length) is not None

"""A shard file is whole up to a point that can be found."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.images import NOON, candidate, members

from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import pack


@pytest.fixture
def path(tmp_path):
    """Return where a shard may be."""
    return tmp_path / "shard.tar"


def grow(path, batches=3):
    """Write an open shard; return where its images are."""
    extents, at = [], 0
    for number in range(batches):
        buffers, more = pack(candidate(1, number), at=at)
        shard_file.append(path, buffers, at=at)
        extents += more
        at = more[-1].end
    return extents


def test_an_open_shard_is_walked_to_its_end(path):
    """Every image that was written is found where it was said to be."""
    assert (
        shard_file.walk(path) == grow(path)
        if path.exists()
        else grow(path) == shard_file.walk(path)
    )


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_torn_shard_is_whole_up_to_the_tear(path, data):
    """Wherever the file ends, all images before that are found, and nothing half."""
    path.unlink(missing_ok=True)
    extents = grow(path)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    tail = data.draw(st.sampled_from([b"", b"\0" * 600, b"garbage" * 200]))
    path.write_bytes(whole[:cut] + tail)

    found = shard_file.walk(path)

    # Zeros behind the tear may complete the padding of the last image: then it is whole.
    certain = [extent for extent in extents if extent.end <= cut]
    possible = [extent for extent in extents if extent.json_offset + extent.json_length <= cut]
    assert found in (certain, possible)


def test_bytes_that_never_reached_the_disk_are_noticed(path):
    """After a power loss a file may be long enough, and hold zeros where a picture was."""
    extents = grow(path)
    whole = bytearray(path.read_bytes())
    last = extents[-1]
    whole[last.offset : last.offset + last.length] = bytes(last.length)
    path.write_bytes(whole)

    assert shard_file.walk(path) == extents[:-1]


def test_nothing_after_the_limit_counts(path):
    """What no commit has recorded is not found."""
    extents = grow(path)

    assert shard_file.walk(path, limit=extents[3].end) == extents[:4]
    assert shard_file.walk(path, limit=extents[3].end - 1) == extents[:3]


def test_closing_again_gives_the_same_bytes(path):
    """A shard that is closed after a crash in the middle of it is none the worse."""
    extents = grow(path)
    size = shard_file.close(path, extents, at=extents[-1].end, changed_seconds=NOON)
    first = path.read_bytes()
    path.write_bytes(first + b"left over from a longer try")

    again = shard_file.close(path, shard_file.walk(path), at=extents[-1].end, changed_seconds=NOON)

    assert (again, path.read_bytes()) == (size, first)
    assert len(members(first)) == 2 * len(extents) + 2


def test_many_pieces_are_written_in_order(path):
    """More buffers than the kernel takes at once arrive all the same."""
    buffers = [b"%d," % number for number in range(5000)]

    shard_file.append(path, buffers, at=0)
    shard_file.append(path, [b"end"], at=sum(map(len, buffers)))

    assert path.read_bytes() == b"".join(buffers) + b"end"

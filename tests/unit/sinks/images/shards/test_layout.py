"""A shard is a tar file that others read, and finds its own images from its end."""

import io
import json
import math
import subprocess
import tarfile
import zlib
from dataclasses import replace

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture
from support.images import NOON, NOON_MS, candidate, members
from support.tools import tool

from bridge.sinks.images.shards import file as shard_file
from bridge.sinks.images.shards.layout import (
    BLOCK,
    TAIL_BYTES,
    header,
    pack,
    parse_index,
    parse_trailer,
)

# WebDataset leaves closing its files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def write(path, *candidates):
    """Write a closed shard; return where its images are."""
    extents, at = [], 0
    for number, one in enumerate(candidates):
        repeat = sum(1 for other in candidates[:number] if other.batch.index == one.batch.index)
        buffers, more = pack(one, at=at, repeat=repeat)
        shard_file.append(path, buffers, at=at)
        extents += more
        at = more[-1].end
    shard_file.close(path, extents, at=at, changed_seconds=NOON)
    return extents


@pytest.fixture
def path(tmp_path):
    """Return where a shard may be."""
    return tmp_path / "shard.tar"


def test_webdataset_reads_samples_and_nothing_else(path):
    """Each sample is one picture with what is known of it, in the order sent; index and trailer are none."""
    write(path, candidate(1, 0), candidate(1, 12, images=3, loss=2.5))

    samples = list(
        webdataset.WebDataset(str(path), shardshuffle=False).decode("pil").to_tuple("jpg", "json")
    )

    assert len(samples) == 5
    picture, fields = samples[3]
    assert (picture.size, picture.mode) == ((16, 16), "RGB")
    assert fields == {
        "session_id": "run",
        "attempt": 1,
        "epoch": 1,
        "batch_idx": 12,
        "index": 1,
        "crc32": zlib.crc32(candidate(1, 12, images=3, loss=2.5).batch.images[1].jpeg),
        "predicted_class": 1,
        "predicted_label": "dog",
        "confidence": 0.75,
        "true_class": 2,
        "true_label": 'a "bird"',
        "batch_loss": 2.5,
        "loss_missing": False,
        "timestamp_ms": None,
        "received_ms": NOON_MS,
    }


def test_the_tar_program_lists_it(path):
    """Nothing about a shard puzzles tar."""
    write(path, candidate(1, 0, images=1))

    listed = subprocess.run([tool("tar"), "tf", path], capture_output=True, text=True, check=True)

    assert listed.stderr == ""
    assert listed.stdout.split() == [
        "000001-00000000-00.jpg",
        "000001-00000000-00.json",
        ".index.jsonl",
        ".trailer.json",
    ]


def test_the_end_of_a_shard_leads_to_every_image(path):
    """One read of the tail finds any picture, whole."""
    sent = [candidate(3, number, images=2) for number in range(4)]
    write(path, *sent)
    whole = path.read_bytes()

    trailer = parse_trailer(whole[-TAIL_BYTES:])
    lines = list(
        parse_index(whole[trailer.index_offset : trailer.index_offset + trailer.index_length])
    )

    assert trailer.images == len(lines) == 8
    pictures = [image.jpeg for one in sent for image in one.batch.images]
    found = [whole[line["offset"] : line["offset"] + line["length"]] for line in lines]
    assert found == pictures
    assert lines[3]["name"] == "000003-00000001-01.jpg"
    assert trailer == shard_file.trailer_of(path)


def test_the_index_tells_what_the_members_tell(path):
    """Index and JSON members agree, but for name and place."""
    write(path, candidate(1, 0), candidate(1, 1))
    held = members(path.read_bytes())

    for line in map(json.loads, held[".index.jsonl"].splitlines()):
        name, _, _ = line.pop("name"), line.pop("offset"), line.pop("length")
        assert line == json.loads(held[name.replace(".jpg", ".json")])


def test_a_batch_sent_twice_has_two_names(path):
    """WebDataset refuses a shard with the same name twice."""
    write(path, candidate(1, 5, images=1), candidate(1, 5, images=1))

    keys = [sample["__key__"] for sample in webdataset.WebDataset(str(path), shardshuffle=False)]

    assert keys == ["000001-00000005-00", "000001-00000005-00-r1"]


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_null(path, strange):
    """A shard is strict JSON, so that every language reads it."""
    write(path, candidate(1, 0, loss=strange, images=1))

    def refuse(constant):
        raise AssertionError(constant)

    text = members(path.read_bytes())["000001-00000000-00.json"]
    assert json.loads(text, parse_constant=refuse)["batch_loss"] is None


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 8**11 - 1),
    st.integers(0, 2**40),
)
def test_any_header_is_understood(epoch, number, size, seconds):
    """The largest numbers that the protocol allows fit, and tarfile agrees with every field."""
    name = f"{epoch:06d}-{number:08d}-15-r12.json"
    time = b"%011o\0" % min(seconds, 0o77777777777)

    found = tarfile.TarInfo.frombuf(header(name.encode(), size, time), "ascii", "strict")

    assert (found.name, found.size, found.mtime) == (name, size, min(seconds, 0o77777777777))
    assert found.isreg()


def test_a_large_picture_is_packed_whole(path):
    """Padding and lengths hold for any size, at the edges of a block too."""
    buffer = io.BytesIO()
    Picture.effect_noise((300, 300), 90).save(buffer, "JPEG", quality=95)
    extents = write(path, candidate(1, 0))
    assert all(extent.offset % BLOCK == 0 and extent.json_offset % BLOCK == 0 for extent in extents)

    for extra in (0, 1, 511, 512, 513):
        picture = buffer.getvalue() + bytes(extra)
        size = len(picture)
        assert len(pack_one(picture)) % BLOCK == 0
        assert pack_one(picture)[BLOCK : BLOCK + size] == picture


def pack_one(picture):
    """Return the members of one picture."""
    one = candidate(1, 0, images=1)
    image = replace(one.batch.images[0], jpeg=picture)
    buffers, _ = pack(replace(one, batch=replace(one.batch, images=(image,))), at=0)
    return b"".join(buffers)


@pytest.mark.parametrize("tail", [b"", bytes(TAIL_BYTES), b"x" * TAIL_BYTES])
def test_what_is_not_a_shard_has_no_trailer(tail):
    """An open or foreign file is not taken for a closed shard."""
    assert parse_trailer(tail) is None


def test_what_is_not_reported_is_null(path):
    """A loss that is missing differs from one that is not a number; a confidence and a time are null."""
    one = candidate(1, 0, images=1, loss=None)
    images = tuple(replace(image, confidence=None) for image in one.batch.images)
    write(
        path,
        replace(one, batch=replace(one.batch, images=images)),
        candidate(1, 1, images=1, loss=math.nan),
    )

    held = members(path.read_bytes())
    missing, nan = (json.loads(held[f"000001-0000000{number}-00.json"]) for number in (0, 1))

    assert (missing["batch_loss"], missing["loss_missing"]) == (None, True)
    assert (nan["batch_loss"], nan["loss_missing"]) == (None, False)
    assert (missing["confidence"], missing["timestamp_ms"]) == (None, None)

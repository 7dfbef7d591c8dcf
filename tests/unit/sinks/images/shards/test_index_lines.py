"""The index of a shard may hold anything; what is taken from it can be written."""

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.sinks.images.shards.index_lines import LARGEST_IMAGE, SMALLEST_MEMBERS, read_index
from bridge.storage.shards import Shard, put_batches, put_shards
from bridge.storage.sqlite.database import SqliteDatabase

END = 100_000

GOOD = {
    "name": "000001-00000002-00.jpg",
    "offset": 512,
    "length": 300,
    "session_id": "run",
    "epoch": 1,
    "batch_idx": 2,
    "index": 0,
    "predicted_class": 1,
    "predicted_label": "dog",
    "confidence": 0.5,
    "true_class": None,
    "true_label": None,
    "batch_loss": 0.25,
    "timestamp_ms": 0,
    "received_ms": 1_700_000_000_000,
}

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**32, 2**63, 2**64, -1, -(2**63), 10**400, END, 0]),
    st.floats(),
    st.text(),
    st.sampled_from(["\ud800", "", "x" * 100_000, "1"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def line(**changes):
    """Return a line as a bridge writes it, but for some values; ... takes one away."""
    values = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(values).encode() + b"\n"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(GOOD)), value=st.just(...) | odd)
@example(name="epoch", value=2**63)
@example(name="received_ms", value=float("inf"))
@example(name="offset", value=END - 1)
def test_a_line_that_cannot_be_written_costs_itself(tmp_path, name, value):
    """Whatever one value of one line is, the other lines are taken, and all that is taken can be written."""
    odd_line = line(**{"index": 2, name: value})
    found = read_index(line() + odd_line + line(index=1), "run/key.tar", 1, end=END)

    database = SqliteDatabase(tmp_path / "bridge.db", durable=False)
    try:
        with database.transaction() as transaction:
            put_shards(transaction, [Shard(1, "run", "run/key.tar", END)])
            put_batches(transaction, found.batches)
        rows = database.query(
            "SELECT position, offset, length FROM images WHERE epoch = 1 AND batch = 2"
        )
    finally:
        database.close()

    assert {(0, 512, 300), (1, 512, 300)} <= set(rows)
    assert found.damaged in (0, 1)


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b"null\n5\n[]\n{}\n\xff\n")
def test_what_is_not_a_line_is_counted(garbage):
    """Anything at all between two lines is passed over, and counted by the line."""
    if b"\n" in garbage or b"\r" in garbage or garbage.startswith(b"{"):
        garbage = b"?"

    found = read_index(line() + garbage + b"\n" + line(index=1), "run/key.tar", end=END)

    assert [image.position for batch in found.batches for image in batch.images] == [0, 1]
    assert found.damaged == 1


def test_an_image_that_lies_outside_its_shard_is_left_out():
    """A link to it would lead to other bytes, or to none."""
    outside = [(END, 1), (END - 1, 2), (-1, 10), (0, 0), (10, -1), (512, END)]
    index = b"".join(line(offset=offset, length=length) for offset, length in outside)

    assert read_index(index, "run/key.tar", end=END).damaged == len(outside)


def test_an_image_larger_than_any_is_left_out():
    """Whoever may write to a store cannot have a bridge read a gigabyte for each link to an image."""
    index = line(length=LARGEST_IMAGE) + line(index=1, length=LARGEST_IMAGE + 1)

    found = read_index(index, "run/key.tar", end=1 << 40)

    [batch] = found.batches
    assert ([image.length for image in batch.images], found.damaged) == ([LARGEST_IMAGE], 1)


def test_an_index_lists_no_more_images_than_its_shard_has_room_for():
    """A small object that claims a million images costs no more than a small one."""
    index = b"".join(line(index=number) for number in range(1000))

    found = read_index(index, "run/key.tar", end=5 * SMALLEST_MEMBERS)

    [batch] = found.batches
    assert (len(batch.images), found.damaged) == (5, 995)

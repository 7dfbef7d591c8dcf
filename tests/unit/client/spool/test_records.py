"""Records: what was written whole is read, whatever became of the rest."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spools import message

from bridge.client.entry import Entry, Kind
from bridge.client.spool.records import MAGIC, Mark, mark, packed, read

ENTRIES = st.builds(
    Entry,
    st.integers(1, (1 << 64) - 1),
    st.sampled_from(Kind),
    st.binary(max_size=200),
    st.integers(-1, (1 << 32) - 1),
    st.integers(0, 65_535),
)


def found_in(content):
    """Return what can be read of a file without its opening."""
    return [found for found, _ in read(io.BytesIO(content), len(content))]


def fields(entry):
    """Return what a message is made of."""
    return (entry.sequence, entry.kind, entry.body, entry.batch, entry.images)


@given(st.lists(ENTRIES, max_size=5))
def test_what_was_written_is_read(entries):
    """All of a message comes back, and so do marks."""
    content = b"".join(map(packed, entries)) + mark(7, ended=True)

    *found, last = found_in(content)

    assert [fields(entry) for entry in found] == [fields(entry) for entry in entries]
    assert isinstance(last, Mark)
    assert (last.sequence, last.ended) == (7, True)


@pytest.mark.parametrize("images", [0, 2])
def test_a_torn_tail_is_cut_wherever_it_was_torn(images):
    """A process killed while it wrote costs the record it was writing and no other."""
    whole = packed(message(1)) + packed(message(2))
    last = packed(message(3, images=images))

    for length in range(len(last)):
        assert [found.sequence for found in found_in(whole + last[:length])] == [1, 2], length
    assert [found.sequence for found in found_in(whole + last)] == [1, 2, 3]


@given(st.integers(0, 7), st.data())
def test_a_damaged_record_is_never_taken_for_a_message(bit, data):
    """One bit that is wrong costs its record; those behind it are found where its length is right."""
    first, second, third = (packed(message(sequence)) for sequence in (1, 2, 3))
    place = data.draw(st.integers(0, len(second) - 1))
    broken = bytearray(second)
    broken[place] ^= 1 << bit

    found = [entry.sequence if entry else None for entry in found_in(first + broken + third)]

    assert found[0] == 1
    assert 2 not in found
    if not 4 <= place < 8:
        assert found == [1, None, 3]


@given(st.binary(max_size=500))
def test_garbage_is_no_message(content):
    """Whatever stands in a file, reading it ends, and finds nothing that was not written."""
    assert not any(found_in(content))
    assert not any(found_in(MAGIC + bytes(500)))

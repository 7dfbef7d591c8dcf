"""Records: what was written whole is read, whatever became of the rest."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spools import old_packed, outgoing_message, sequences

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.records import (
    MAGIC,
    AckRecord,
    Damage,
    GapRecord,
    ack_record,
    gap_record,
    message_record,
    read_records,
)

MESSAGES = st.builds(
    OutgoingMessage,
    st.integers(1, (1 << 64) - 1),
    st.sampled_from(Priority),
    st.binary(max_size=200),
    st.integers(-1, (1 << 32) - 1),
    st.integers(0, 65_535),
)


def found_in(content, **options):
    """Return what can be read of a file without its opening."""
    return [found for found, _ in read_records(io.BytesIO(content), len(content), **options)]


def fields(message):
    """Return what a message is made of."""
    return (message.sequence, message.priority, message.body, message.batch, message.images)


def messages_in(content, **options):
    """Return the numbers of the messages that can be read."""
    return sequences(
        found for found in found_in(content, **options) if isinstance(found, OutgoingMessage)
    )


@given(st.lists(MESSAGES, max_size=5))
def test_what_was_written_is_read(messages):
    """All of a message comes back, and so do marks and notes of gaps."""
    note = GapRecord([(3, 3), (5, 900_000)], is_lost=True, unnumbered=1)
    content = (
        b"".join(map(message_record, messages))
        + ack_record(7, includes_end=True)
        + gap_record(note)
    )

    *found, last, missing = found_in(content)

    assert [fields(message) for message in found] == [fields(message) for message in messages]
    assert (last, missing) == (AckRecord(7, includes_end=True), note)


@given(st.lists(MESSAGES, max_size=5))
def test_what_an_earlier_version_wrote_is_read(messages):
    """Its records have no markers."""
    content = b"".join(map(old_packed, messages))

    found = found_in(content, is_old=True)

    assert [fields(message) for message in found] == [fields(message) for message in messages]


@pytest.mark.parametrize("pack", [message_record, old_packed])
@pytest.mark.parametrize("images", [0, 2])
def test_a_torn_tail_costs_one_message_wherever_it_was_torn(images, pack):
    """A process killed while it wrote costs the record it was writing and no other; that is seen."""
    is_old = pack is old_packed
    whole = pack(outgoing_message(1)) + pack(outgoing_message(2))
    last = pack(outgoing_message(3, images=images))

    for length in range(1, len(last)):
        *found, torn = found_in(whole + last[:length], is_old=is_old)
        assert sequences(found) == [1, 2], length
        assert isinstance(torn, Damage), length
    assert messages_in(whole, is_old=is_old) == [1, 2]
    assert messages_in(whole + last, is_old=is_old) == [1, 2, 3]


@pytest.mark.parametrize("pack", [message_record, old_packed])
@given(st.integers(0, 7), st.data())
def test_a_damaged_record_costs_itself(pack, bit, data):
    """Whichever bit of it is wrong, its length included: those behind it are read."""
    first, second, third = (pack(outgoing_message(sequence)) for sequence in (1, 2, 3))
    place = data.draw(st.integers(0, len(second) - 1))
    broken = bytearray(second)
    broken[place] ^= 1 << bit

    found = found_in(first + broken + third, is_old=pack is old_packed)

    assert [type(each) for each in found] == [OutgoingMessage, Damage, OutgoingMessage]
    assert [found[0].sequence, found[2].sequence] == [1, 3]
    assert found[1].size_bytes == len(second)


def test_a_damaged_body_still_says_which_message_it_was():
    """Its header has a check of its own; so has a length of 2^31, which is damage in the header."""
    broken = bytearray(message_record(outgoing_message(2)))
    broken[-1] ^= 1
    assert found_in(bytes(broken))[0].sequence == 2

    broken = bytearray(message_record(outgoing_message(2)))
    broken[8:12] = (1 << 31).to_bytes(4, "little")
    assert messages_in(broken + message_record(outgoing_message(3))) == [3]


@given(st.integers(0, 400), st.binary(max_size=300), st.integers(0, 300))
def test_reading_goes_on_behind_whatever_was_put_in_or_left_out(place, inserted, left_out):
    """Bytes that are missing, or too many, cost the records they are in and no other."""
    records = [message_record(outgoing_message(sequence)) for sequence in range(1, 11)]
    content = b"".join(records)
    place = min(place, len(content))
    broken = content[:place] + inserted + content[place + left_out :]

    ends = [sum(map(len, records[: number + 1])) for number in range(10)]
    whole = [
        number + 1
        for number, end in enumerate(ends)
        if end <= place or end - len(records[number]) >= place + left_out
    ]
    assert set(messages_in(broken)) >= set(whole)
    assert set(messages_in(broken)) <= set(range(1, 11))


@pytest.mark.parametrize("is_old", [False, True])
@given(content=st.binary(max_size=500))
def test_garbage_is_not_a_message(is_old, content):
    """Whatever stands in a file, reading it ends, and finds nothing that was not written."""
    for garbage in (content, MAGIC + bytes(500)):
        assert {type(found) for found in found_in(garbage, is_old=is_old)} <= {Damage}

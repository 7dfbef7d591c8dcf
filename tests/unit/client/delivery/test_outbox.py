"""What waits to be acknowledged, in bounded memory."""

import time

import pytest

from bridge.client.delivery.message import OVERHEAD_BYTES, OutgoingMessage, Priority
from bridge.client.delivery.outbox import Outbox
from bridge.client.stats import Stats
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import join_frame, session_prefix

PLENTY = 1 << 30


@pytest.fixture
def stats():
    """Return fresh counters."""
    return Stats()


def messages(count, *, start=1, size=100, priority=Priority.BATCH):
    """Return numbered messages."""
    return [
        OutgoingMessage(sequence, priority, bytes(size), batch=sequence)
        for sequence in range(start, start + count)
    ]


def with_images(sequence, size=10_000):
    """Return a batch with two images."""
    images = [wire.ImageData(image_bytes=bytes(size // 2)) for _ in range(2)]
    request = wire.MetricsRequest(sequence=sequence, batch_data=wire.BatchData(images=images))
    return OutgoingMessage(
        sequence, Priority.BATCH, request.SerializeToString(), batch=sequence, images=2
    )


def taken(outbox, stream, **options):
    """Return the sequences of the next frame."""
    options = {"window_bytes": PLENTY, "message_bytes": PLENTY, **options}
    frame = outbox.take_frame(stream, deadline=time.monotonic(), **options)
    return frame if frame is None else [message.sequence for message in frame]


def test_messages_are_sent_in_order_and_once(stats):
    """What has been taken is not taken again on the same stream."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(3))

    assert taken(outbox, stream) == [1, 2, 3]
    assert taken(outbox, stream) == []
    outbox.acknowledge(2)
    assert stats.unacknowledged == 1
    assert stats.batches_acknowledged == 2


def test_a_frame_fits_with_its_envelopes(stats):
    """However many small messages there are: what goes over the wire stays below the bridge's limit."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(2_000, size=110))
    prefix = session_prefix("x" * 63)

    frame = outbox.take_frame(
        stream, deadline=time.monotonic(), window_bytes=PLENTY, message_bytes=65_536
    )

    assert len(frame) > 100
    assert len(join_frame(prefix, [message.body for message in frame])) <= 65_536


def test_the_next_stream_sends_again_what_is_unacknowledged(stats):
    """A stream that broke loses nothing, and what the bridge has meanwhile acknowledged is left out."""
    outbox = Outbox(PLENTY, stats)
    old = outbox.open_stream()
    outbox.put(messages(5))
    taken(outbox, old)
    outbox.acknowledge(1)
    outbox.close_stream()
    outbox.acknowledge(2)

    new = outbox.open_stream()

    assert taken(outbox, old) is None
    assert taken(outbox, new) == [3, 4, 5]


def test_the_window_holds_back(stats):
    """No more is in flight than the bridge allows, except a single message."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(4, size=1_000))
    window = 2 * (1_000 + OVERHEAD_BYTES)

    assert taken(outbox, stream, window_bytes=window) == [1, 2]
    assert taken(outbox, stream, window_bytes=window) == []
    outbox.acknowledge(1)
    assert taken(outbox, stream, window_bytes=window) == [3]
    outbox.acknowledge(3)
    assert taken(outbox, stream, window_bytes=10) == [4]


def test_frames_are_bounded(stats):
    """A frame ends before the limit of a message."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(5, size=1_000))

    assert taken(outbox, stream, message_bytes=2_500) == [1, 2]
    assert taken(outbox, stream, message_bytes=2_500, single=True) == [3]


def test_what_no_bridge_would_read_is_made_smaller_or_given_up(stats):
    """A message over the limit loses its images; without any it is dropped, and counted."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put([with_images(1), *messages(1, start=2, size=9_000), *messages(1, start=3)])

    assert taken(outbox, stream, message_bytes=5_000) == [1, 3]
    assert (stats.images_shed, stats.images_sent, stats.dropped) == (2, 0, 1)


def test_images_of_the_oldest_batches_go_first(stats):
    """A full outbox first lets images go, and keeps every number."""
    outbox = Outbox(45_000, stats)
    stream = outbox.open_stream()
    outbox.put(with_images(sequence) for sequence in range(1, 7))

    frame = outbox.take_frame(
        stream, window_bytes=PLENTY, message_bytes=PLENTY, deadline=time.monotonic()
    )

    assert [message.images for message in frame] == [0, 0, 2, 2, 2, 2]
    assert (stats.images_sent, stats.images_shed, stats.dropped) == (8, 4, 0)


def test_then_every_other_message_goes_and_epochs_never(stats):
    """Memory stays bounded however long the bridge is away, and the run stays readable."""
    limit = 100 * (100 + OVERHEAD_BYTES)
    outbox = Outbox(limit, stats)
    precious = 0
    for start in range(1, 2_001, 10):
        outbox.put(messages(9, start=start))
        outbox.put(messages(1, start=start + 9, priority=Priority.CRITICAL))
        precious += 1
    outbox.put(messages(1, start=2_001))

    stream = outbox.open_stream()
    frame = outbox.take_frame(
        stream, window_bytes=PLENTY, message_bytes=PLENTY, deadline=time.monotonic()
    )

    kept = [message.sequence for message in frame]
    assert kept == sorted(kept)
    assert sum(message.priority is Priority.CRITICAL for message in frame) == precious
    assert stats.dropped == 2_001 - len(kept)
    assert stats.unacknowledged == len(kept)


def test_messages_in_flight_may_be_dropped_too(stats):
    """A frozen bridge holds a whole window; room is made there as well, and the counters still add up."""
    outbox = Outbox(50 * (100 + OVERHEAD_BYTES), stats)
    stream = outbox.open_stream()
    outbox.put(messages(50))
    taken(outbox, stream)
    outbox.put(messages(30, start=51))

    outbox.acknowledge(80)

    assert stats.acknowledged + stats.dropped + stats.unacknowledged == 80


def test_refused_messages_are_not_waited_for(stats):
    """What the bridge will never take does not count as undelivered."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(3))
    taken(outbox, stream)
    outbox.mark_refused(2)
    outbox.mark_refused(2)
    outbox.acknowledge(3)

    assert (stats.refused, stats.acknowledged, stats.unacknowledged) == (1, 2, 0)


def test_a_rewind_sends_again_from_where_it_was_asked_for(stats):
    """A full bridge gets everything from the message it refused on, and nothing before its time."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(4))
    taken(outbox, stream)

    outbox.pause_and_rewind(3, 60)
    assert taken(outbox, stream) == []
    outbox.pause_and_rewind(4, 0)
    outbox.pause_and_rewind(2, 0)

    assert taken(outbox, stream) == [2, 3, 4]


def test_a_rewind_to_what_was_acknowledged_fails(stats):
    """A bridge that asks for it has lost its state: only a new stream can begin behind that."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(4))
    taken(outbox, stream)
    outbox.acknowledge(2)

    assert outbox.pause_and_rewind(3, 0)
    assert outbox.pause_and_rewind(0, 0)
    assert not outbox.pause_and_rewind(2, 0)


def test_what_was_dropped_leaves_no_gap_on_a_stream(stats):
    """Empty messages go out in its place: between others, at the front, and where a bridge asks for it."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put([message for message in messages(9) if message.sequence not in (2, 3, 6)])

    first = outbox.take_frame(
        stream, window_bytes=PLENTY, message_bytes=PLENTY, deadline=0.0, fill_gaps=True
    )
    assert [message.sequence for message in first] == list(range(1, 10))
    empty = [message.sequence for message in first if not is_batch(message)]
    assert empty == [2, 3, 6]

    assert outbox.pause_and_rewind(2, 0)
    again = []
    while frame := outbox.take_frame(
        stream, window_bytes=PLENTY, message_bytes=PLENTY, deadline=0.0, fill_gaps=True
    ):
        again += frame
    assert [message.sequence for message in again] == list(range(2, 10))
    assert [message.sequence for message in again if not is_batch(message)] == empty
    assert stats.unacknowledged == 6


def test_a_new_stream_begins_with_what_there_is(stats):
    """Nothing is sent for what was dropped before its first message: the sequence of that one says it."""
    outbox = Outbox(PLENTY, stats)
    outbox.put(messages(3, start=7))
    frame = outbox.take_frame(
        outbox.open_stream(),
        window_bytes=PLENTY,
        message_bytes=PLENTY,
        deadline=0.0,
        fill_gaps=True,
    )

    assert [message.sequence for message in frame] == [7, 8, 9]


def test_a_stream_ends_where_too_much_is_missing(stats):
    """Rather than an empty message for each of a million, a new stream begins behind them."""
    outbox = Outbox(PLENTY, stats)
    outbox.put([*messages(1), *messages(1, start=2_000_000)])
    options = {"window_bytes": PLENTY, "message_bytes": PLENTY, "fill_gaps": True}
    stream = outbox.open_stream()
    first = outbox.take_frame(stream, deadline=0.0, **options)
    assert [message.sequence for message in first] == [1]
    assert outbox.take_frame(stream, deadline=0.0, **options) is None
    outbox.acknowledge(1)

    rest = outbox.take_frame(outbox.open_stream(), deadline=0.0, **options)
    assert [message.sequence for message in rest] == [2_000_000]


def is_batch(message):
    """Return whether a message is more than a placeholder."""
    return message.body == bytes(100)


def test_batches_are_acknowledged_by_index_where_there_are_no_sequences(stats):
    """An original bridge's Ack counts for the oldest batch of that index and all before it."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    first = messages(3)
    for message, batch in zip(first, (0, -1, 0), strict=True):
        message.batch = batch
    outbox.put(first)
    taken(outbox, stream)

    outbox.acknowledge_batch(7)
    assert stats.acknowledged == 0
    outbox.acknowledge_batch(0)
    assert stats.acknowledged == 1
    outbox.acknowledge_batch(0)
    assert stats.acknowledged == 3


def test_a_stream_ends_when_all_is_delivered(stats):
    """A stream is over when everything has been acknowledged, or only sent where that must do."""
    outbox = Outbox(PLENTY, stats)
    stream = outbox.open_stream()
    outbox.put(messages(1))
    outbox.close()
    assert taken(outbox, stream) == [1]

    assert taken(outbox, stream, until_acknowledged=False) is None
    assert taken(outbox, stream) == []
    assert outbox.wait_until_drained(time.monotonic()) == 1
    outbox.acknowledge(1)
    assert taken(outbox, stream) is None
    assert outbox.is_done

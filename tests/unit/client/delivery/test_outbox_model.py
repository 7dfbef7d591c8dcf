"""The outbox against a model that is simple enough to be seen to be right."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.client.delivery.message import OVERHEAD_BYTES, OutgoingMessage, Priority
from bridge.client.delivery.outbox import Outbox
from bridge.client.stats import Stats
from bridge.wire import metrics_pb2 as wire

PLENTY = 1 << 30
IMAGE_BYTES = 100


def body_of(images):
    """Return a batch with so many images; without any, all are of one size."""
    data = wire.BatchData(images=[wire.ImageData(image_bytes=bytes(IMAGE_BYTES))] * images)
    return wire.MetricsRequest(timestamp_ms=1 << 40, batch_data=data).SerializeToString()


BODY = body_of(0)


class Delivery:
    """An outbox, the model of it, and what a bridge at the other end has seen."""

    def __init__(self, limit_bytes=PLENTY):
        self.stats = Stats()
        self.outbox = Outbox(limit_bytes, self.stats)
        self.last = 0
        self.acknowledged = 0
        self.next = 1
        """The sequence that the next frame must start with, on an unbounded outbox."""
        self.priorities = {}
        self.stream = self.outbox.open_stream()

    def put(self, priority, images=0):
        """Say something."""
        self.last += 1
        self.priorities[self.last] = priority
        message = OutgoingMessage(self.last, priority, body_of(images), images=images)
        dropped = self.stats.dropped
        self.outbox.put([message])
        if self.stats.dropped > dropped:
            assert self.stats.images_sent == 0, "numbers went before images"

    def take(self, window_messages=PLENTY):
        """Return the sequences of the next frame."""
        messages = self.outbox.take_frame(
            self.stream,
            window_bytes=window_messages * (OVERHEAD_BYTES + len(BODY)),
            message_bytes=PLENTY,
            deadline=time.monotonic(),
            single=False,
        )
        return [message.sequence for message in messages or []]

    def acknowledge(self, share):
        """Acknowledge a part of what was said; more than was sent is what a replay may acknowledge."""
        self.acknowledged = max(self.acknowledged, int(self.last * share))
        self.outbox.acknowledge(self.acknowledged)
        self.next = max(self.next, self.acknowledged + 1)

    def reconnect(self):
        """Break the stream and open the next one."""
        self.outbox.close_stream()
        assert self.take() == []
        self.stream = self.outbox.open_stream()
        self.next = self.acknowledged + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(1, 8)),
        st.tuples(st.just("acknowledge"), st.floats(0, 1)),
        st.tuples(st.just("reconnect"), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS)
def test_every_stream_carries_on_where_the_bridge_is(steps):
    """Frames follow one another without gap or repetition, from the first message unacknowledged."""
    delivery = Delivery()
    for step, value in steps:
        if step == "put":
            for _ in range(value):
                delivery.put(Priority.BATCH)
        elif step == "take":
            on_the_way = delivery.next - 1 - delivery.acknowledged
            room = max(value - on_the_way, 0 if on_the_way else 1)
            expected = range(delivery.next, min(delivery.last, delivery.next + room - 1) + 1)
            assert delivery.take(value) == list(expected)
            delivery.next += len(expected)
        elif step == "acknowledge":
            delivery.acknowledge(value)
        else:
            delivery.reconnect()

        stats = delivery.stats
        assert stats.acknowledged == stats.batches_acknowledged == delivery.acknowledged
        assert stats.unacknowledged == delivery.last - delivery.acknowledged
        assert stats.dropped == 0


MESSAGES = st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 3)), max_size=60)


@settings(deadline=None)
@given(MESSAGES, st.integers(1, 40), st.integers(0, 60))
def test_a_full_outbox_keeps_its_promises(messages, room, sent_after):
    """Memory stays bounded, precious messages stay, images go before numbers, and the counters add up.

    Also when a part of it is in flight already.
    """
    limit = room * (OVERHEAD_BYTES + len(BODY))
    delivery = Delivery(limit)
    for place, (priority, images) in enumerate(messages):
        delivery.put(priority, images if priority is Priority.BATCH else 0)
        if place == sent_after:
            delivery.take()
    delivery.reconnect()
    kept = []
    while frame := delivery.take():
        kept += frame
    stats = delivery.stats

    precious = [
        sequence
        for sequence, priority in delivery.priorities.items()
        if not priority.may_be_dropped
    ]
    assert kept == sorted(set(kept))
    assert set(precious) <= set(kept)
    assert len(kept) <= max(room, len(precious))
    assert stats.messages == len(messages) == len(kept) + stats.dropped
    assert stats.unacknowledged == len(kept)
    said = sum(images for priority, images in messages if priority is Priority.BATCH)
    assert stats.images_sent + stats.images_shed == said

    delivery.outbox.acknowledge(delivery.last)
    assert (stats.acknowledged, stats.unacknowledged) == (len(kept), 0)


@settings(deadline=None)
@given(st.integers(1, 30), st.data())
def test_a_pause_rewinds_to_the_message_refused(count, data):
    """Everything from there on is sent again, in order; the outbox is done once all of it has been dealt with."""
    at = data.draw(st.integers(1, count))
    delivery = Delivery()
    for _ in range(count):
        delivery.put(Priority.OTHER)
    delivery.outbox.close()
    assert delivery.take() == list(range(1, count + 1))

    delivery.outbox.pause_and_rewind(at, 0.0)

    assert delivery.take() == list(range(at, count + 1))
    assert not delivery.outbox.is_done
    delivery.outbox.acknowledge(count)
    assert delivery.outbox.is_done

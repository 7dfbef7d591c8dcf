"""What is unacknowledged stays in order, whichever way it comes back into memory."""

from bridge.client.delivery.backlog import Backlog
from bridge.client.delivery.eviction import make_room
from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.stats import Stats
from bridge.wire import metrics_pb2 as wire


def pictured(sequence):
    """Return a batch with one image."""
    data = wire.BatchData(images=[wire.ImageData(image_bytes=bytes(1_000))])
    body = wire.MetricsRequest(batch_data=data).SerializeToString()
    return OutgoingMessage(sequence, Priority.BATCH, body, batch=sequence, images=1)


def test_images_of_the_oldest_batch_go_first_also_when_it_comes_back_last():
    """Batches that are read back from the spool are older than those that have been in memory all along."""
    backlog = Backlog(1 << 20, Stats())
    messages = [pictured(sequence) for sequence in range(1, 7)]
    for message in messages[:3]:
        backlog.add(message)
    backlog.limit_bytes = 1
    backlog.spill(3)
    spilled = backlog.spilled
    assert spilled
    for message in messages[3:]:
        backlog.add(message)

    backlog.refill([pictured(sequence) for sequence in range(4 - spilled, 4)])
    assert not backlog.spilled
    backlog.limit_bytes = backlog.memory_bytes - 1
    make_room(backlog)

    assert [message.images for message in backlog.unsent] == [0, *[1] * (len(backlog.unsent) - 1)]

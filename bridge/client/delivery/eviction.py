"""What goes first where there is no room in memory."""

from bridge.client.delivery.backlog import Backlog


def make_room(backlog: Backlog) -> None:
    """Bring memory under its limit, as far as that is possible.

    Images of the oldest batches go first, then every other message of those that may be dropped;
    epochs, statuses and answers stay.
    """
    while backlog.is_over and backlog.with_images:
        message = backlog.with_images.popleft()
        if message.images:
            backlog.shed(message)
    while backlog.is_over and _thin(backlog):
        pass


def _thin(backlog: Backlog) -> bool:
    """Drop every other message that may be dropped; tell whether there were any."""
    queues = (backlog.sent, backlog.waiting, backlog.tail)
    lost = [
        [message for message in queue if message.priority.may_be_dropped][::2] for queue in queues
    ]
    for queue, messages in zip(queues, lost, strict=True):
        backlog.drop_from(queue, messages)
    return any(lost)

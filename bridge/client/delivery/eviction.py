"""What is given up first where there is no room in memory."""

from bridge.client.delivery.backlog import Backlog


def make_room(backlog: Backlog) -> None:
    """Bring memory under its limit, as far as that is possible.

    Images of the oldest batches go first, then every other message that may be dropped;
    epochs, statuses and answers stay.
    """
    while backlog.is_over_limit and backlog.with_images:
        message = backlog.with_images.popleft()
        if message.images:
            backlog.shed_images(message)
    while backlog.is_over_limit and _thin(backlog):
        pass


def _thin(backlog: Backlog) -> bool:
    """Drop every other message that may be dropped; return whether there were any."""
    queues = (backlog.in_flight, backlog.unsent, backlog.unspilled_tail)
    dropped = [
        [message for message in queue if message.priority.may_be_dropped][::2] for queue in queues
    ]
    for queue, messages in zip(queues, dropped, strict=True):
        backlog.drop_from(queue, messages)
    return any(dropped)

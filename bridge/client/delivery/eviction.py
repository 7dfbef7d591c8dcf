"""What is given up first where there is no room in memory."""

from collections.abc import Callable

from bridge.client.delivery.backlog import Backlog
from bridge.client.delivery.message import OutgoingMessage

SUPERSEDED_SHARE = 8
"""What is superseded goes before anything else once it takes this part of memory, 1 in 8."""


def make_room(backlog: Backlog) -> None:
    """Bring memory under its limit, as far as that is possible.

    Images of the oldest batches go first, then every other message that may be dropped; epochs, statuses
    and answers stay. Of those that repeat an epoch or a status, the first and the newest stay.
    """
    if backlog.superseded_bytes > backlog.limit_bytes // SUPERSEDED_SHARE:
        _drop_superseded(backlog)
    while backlog.is_over_limit and backlog.with_images:
        message = backlog.with_images.popleft()
        if message.images:
            backlog.shed_images(message)
    while backlog.is_over_limit and _thin(backlog):
        pass
    if backlog.superseded_bytes:
        _drop_superseded(backlog)


def _drop_superseded(backlog: Backlog) -> None:
    """Drop every epoch and status that is superseded, where memory is full."""
    if backlog.is_over_limit:
        backlog.superseded_bytes = 0
        _drop(backlog, lambda message: message.superseded, every=1)


def _thin(backlog: Backlog) -> bool:
    """Drop every other message that may be dropped; return whether there were any."""
    return _drop(backlog, lambda message: message.priority.may_be_dropped, every=2)


def _drop(backlog: Backlog, matches: Callable[[OutgoingMessage], bool], *, every: int) -> bool:
    """Drop the first of `every` so many messages that match, in each queue; return whether there were any."""
    queues = (backlog.in_flight, backlog.unsent, backlog.unspilled_tail)
    dropped = [list(filter(matches, queue))[::every] for queue in queues]
    for queue, messages in zip(queues, dropped, strict=True):
        if messages:
            backlog.drop_from(queue, messages)
    return any(dropped)

"""What a session has done so far, in numbers."""

import logging
from dataclasses import dataclass, field, fields

from bridge.client.left_out import MISTAKES, LeftOut, Reason

log = logging.getLogger("trainbridge")

CALLS = ("batches", "scalars")
"""What becomes a message of its own, which is lost where there is no memory."""


@dataclass(slots=True)
class Stats:
    """The books of one session; every number counts from its start."""

    batches: int = 0
    """Calls of log_batch that became a message."""
    batches_acknowledged: int = 0
    """Those that the bridge has committed."""
    messages: int = 0
    """All numbered messages: batches, epochs, scalars, statuses, performance, answers to commands."""
    acknowledged: int = 0
    """Those that the bridge has committed."""
    refused: int = 0
    """Those that the bridge found invalid; they are not sent again."""
    dropped: int = 0
    """Those that were lost for want of room while the bridge was away or slow."""
    unacknowledged: int = 0
    """Those that wait to be sent or acknowledged."""
    kept: int = 0
    """Those that `close` left in the spool; `trainbridge sync` delivers them."""
    images_given: int = 0
    """Images given to log_batch: those sent, waiting, sampled out, shed and unreadable, at any moment."""
    images_waiting: int = 0
    """Images that wait to be encoded."""
    images_shed: int = 0
    """Images left out for want of room; their batches' numbers were still sent."""
    images_sent: int = 0
    """Images that went into a message."""
    images_sampled_out: int = 0
    """Images left out because the bridge wants no more: its image rate, or its number a batch."""
    images_unreadable: int = 0
    """Images left out because they could not be read; the first of each kind is logged."""
    images_kept: int = 0
    """Images that the bridge says it has kept."""
    images_dropped: int = 0
    """Images that reached the bridge, which says it has not kept them."""
    faults: int = 0
    """Arguments that could not be used; the first of each kind is logged."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Everything that was given and not sent, as "what: reason"."""
    spool_faults: int = 0
    """Times that the disk did not take, or give back, what the spool wanted."""
    connections: int = 0
    """Times that a stream to the bridge was opened."""
    bytes_sent: int = 0
    connected: bool = False
    """A stream to the bridge is open at the moment."""

    def snapshot(self, *accounts: LeftOut) -> "Stats":
        """Return a copy that stands still, with what the threads have left out.

        Called with the outbox at rest, which moves images from sent to shed. An image is counted as given
        before it is counted as anything else, so reading given last never finds more than were given.
        """
        stats = Stats(*(getattr(self, each.name) for each in fields(self)))
        overflow = {"images: overflow": stats.images_shed, "messages: overflow": stats.dropped}
        stats.left_out = {name: count for name, count in overflow.items() if count}
        for account in accounts:
            stats._add(account)
        stats.images_given = sum(account.images_given for account in accounts)
        seen = stats.images_sent + stats.images_sampled_out + stats.images_shed
        stats.images_waiting = stats.images_given - seen - stats.images_unreadable
        return stats

    def _add(self, account: LeftOut) -> None:
        """Add what one thread has left out."""
        self.faults += account.mistakes
        for (what, reason), count in tuple(account.counts.items()):
            name = f"{what}: {reason}"
            self.left_out[name] = self.left_out.get(name, 0) + count
            if what != "images":
                self.dropped += count if what in CALLS and reason is Reason.MEMORY else 0
            elif reason is Reason.SAMPLED_OUT:
                self.images_sampled_out += count
            elif reason in MISTAKES:
                self.images_unreadable += count
            else:
                self.images_shed += count


class Notices:
    """Says a thing once, however often it happens."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._said: set[str] = set()

    def log_once(self, key: str, text: str, *, level: int = logging.WARNING) -> None:
        """Log the text unless something was logged under this key before."""
        if key not in self._said:
            self._said.add(key)
            log.log(level, text)

    def reset(self, key: str) -> None:
        """Let a thing be said again."""
        self._said.discard(key)

"""What a session has done so far, in numbers."""

import logging
from dataclasses import dataclass, fields

log = logging.getLogger("trainbridge")


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
    images_sent: int = 0
    """Images that went into a message."""
    images_sampled_out: int = 0
    """Images left out because the bridge's image rate did not take their batch."""
    images_shed: int = 0
    """Images left out for want of room; their batches' numbers were still sent."""
    images_kept: int = 0
    """Images that the bridge says it has kept."""
    images_dropped: int = 0
    """Images that reached the bridge, which says it has not kept them."""
    faults: int = 0
    """Arguments that made no sense; the first of each kind is logged."""
    spool_faults: int = 0
    """Times that the disk did not take, or give back, what the spool wanted."""
    connections: int = 0
    """Times that a stream to the bridge was opened."""
    bytes_sent: int = 0
    connected: bool = False
    """A stream to the bridge is open at the moment."""

    def snapshot(self) -> "Stats":
        """Return a copy that stands still."""
        return Stats(*(getattr(self, field.name) for field in fields(self)))


class Notices:
    """Says a thing once, however often it happens."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._said: set[str] = set()

    def once(self, key: str, text: str, *, level: int = logging.WARNING) -> None:
        """Log the text unless something was logged under this key before."""
        if key not in self._said:
            self._said.add(key)
            log.log(level, text)

    def forget(self, key: str) -> None:
        """Let a thing be said again."""
        self._said.discard(key)

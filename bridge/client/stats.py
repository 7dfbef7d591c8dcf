"""The counters of a session."""

import logging
from dataclasses import dataclass, field, fields
from pathlib import Path

from bridge.client.left_out import MISTAKES, LeftOut, Reason

log = logging.getLogger("trainbridge")

CALLS = ("batches", "scalars", "epochs", "statuses", "events")
"""Calls that become a message each, which is dropped where there is no memory for it."""


@dataclass(slots=True)
class Stats:
    """The counters of one session, which start at 0 with it, and how it stands with the bridge."""

    batches: int = 0
    """Calls of log_batch that became a message."""
    batches_acknowledged: int = 0
    """Those that the bridge has committed."""
    step: int | None = None
    """The step of the last of them; None where the loop reports none."""
    tokens: int = 0
    """Tokens in all of them, as given to log_batch."""
    messages: int = 0
    """All numbered messages: batches, epochs, scalars, statuses, events, performance, answers to commands."""
    acknowledged: int = 0
    """Those that the bridge has committed."""
    refused: int = 0
    """Those that the bridge found invalid; they are not sent again."""
    dropped: int = 0
    """Those that were dropped for lack of memory while the bridge was unreachable or slow."""
    unacknowledged: int = 0
    """Those that are still to be sent or acknowledged."""
    kept: int = 0
    """Those that `close` left in the spool; `trainbridge sync` delivers them."""
    images_given: int = 0
    """Images given to log_batch: at any moment the sum of those sent, waiting, sampled out, shed and unreadable."""
    images_waiting: int = 0
    """Images that wait to be encoded."""
    images_shed: int = 0
    """Images left out for lack of memory; the numbers of their batches were still sent."""
    images_sent: int = 0
    """Images that went into a message."""
    images_sampled_out: int = 0
    """Images left out because the bridge wants no more: by its image rate, or its images per batch."""
    images_unreadable: int = 0
    """Images left out because they could not be read; the first of each kind is logged."""
    images_kept: int = 0
    """Images that the bridge reports as kept."""
    images_dropped: int = 0
    """Images that reached the bridge, and that it reports as not kept."""
    faults: int = 0
    """Arguments that could not be used; the first of each kind is logged."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Everything that was given and not sent, by "what: reason"."""
    spool_faults: int = 0
    """How often the spool could not write to the disk, or read from it."""
    connections: int = 0
    """How often a stream to the bridge was opened."""
    bytes_sent: int = 0
    connected: bool = False
    """Whether a stream to the bridge is open at the moment."""
    refusal: str = ""
    """Why the bridge did not let this session in when it was asked last, its token for one; "" where it did."""

    def snapshot(self, *accounts: LeftOut) -> "Stats":
        """Return a copy that no longer changes, with what the threads have left out.

        Call it while the outbox, which moves images from sent to shed, is locked. An image is counted as
        given before it is counted as anything else, so where given is read last it is never too low.
        """
        stats = Stats(*(getattr(self, each.name) for each in fields(self)))
        overflow = {"images: overflow": stats.images_shed, "messages: overflow": stats.dropped}
        stats.left_out = {name: count for name, count in overflow.items() if count}
        for account in accounts:
            stats._add(account)
        stats.images_given = sum(account.images_given for account in accounts)
        handled = stats.images_sent + stats.images_sampled_out + stats.images_shed
        stats.images_waiting = stats.images_given - handled - stats.images_unreadable
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
    """Logs each notice once, however often its cause occurs."""

    def __init__(self) -> None:
        """Start with nothing logged."""
        self._logged: set[str] = set()

    def log_once(self, key: str, text: str, *, level: int = logging.WARNING) -> None:
        """Log the text unless something was logged under this key before."""
        if key not in self._logged:
            self._logged.add(key)
            log.log(level, text)


KEEP = "give a larger close_seconds or a spool_dir to keep such messages"


def log_losses(
    session_id: str, stats: Stats, left: int, spool: tuple[Path, int] | None, reason: str = ""
) -> None:
    """Log what a session that has ended has lost, if anything, and what its spool keeps.

    `reason`: why the bridge has not let it in; "": it has, or there was none.
    """
    losses = (
        (
            left,
            "messages were not delivered",
            "; ".join(filter(None, (reason, "" if spool else KEEP))),
        ),
        (stats.dropped, "messages were dropped", "give a spool_dir or a larger buffer_bytes"),
        (stats.images_shed, "images were shed", "stats.left_out has the reasons"),
        (stats.refused, "messages were refused by the bridge", "its reasons are logged above"),
    )
    lost = [f"{count} {what}{hint and f' ({hint})'}" for count, what, hint in losses if count]
    if lost:
        log.warning(
            "session %s is over, and not all of it has arrived: %s", session_id, ", ".join(lost)
        )
    if stats.kept and spool is not None:
        log.warning(
            "%d messages are kept in the spool; deliver them with: trainbridge sync %s",
            stats.kept,
            spool[0],
        )

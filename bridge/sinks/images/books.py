"""The books of images: what has become of each one received."""

from typing import Protocol

from bridge.model import Batch, ImageResult
from bridge.sessions import Session
from bridge.sinks.images.offer import Offer, Tally
from bridge.telemetry import Telemetry


class Settled(Protocol):
    """Who wants to know what becomes of images."""

    def __call__(
        self, session_id: str, result: ImageResult, count: int, at_seconds: float, /
    ) -> None:
        """Count images that something has become of, and that were received at `at_seconds`."""


class Books:
    """At any time received = stored + sampled_out + dropped + invalid + `pending`."""

    def __init__(self, settled: Settled, telemetry: Telemetry) -> None:
        """Tell `settled` of each image, once."""
        self.pending = 0
        """Images received of which nothing has become yet."""
        self._settled = settled
        self._telemetry = telemetry
        self._tallies: dict[str, tuple[int, Tally]] = {}

    def is_new_attempt(self, session: Session) -> bool:
        """Tell whether the attempt is another one than the last that was opened."""
        known = self._tallies.get(session.id)
        return known is not None and known[0] != session.attempt

    def open(self, session: Session) -> Tally:
        """Return the tally of a session's attempt."""
        known = self._tallies.get(session.id)
        if known is not None and known[0] == session.attempt:
            return known[1]
        tally = Tally()
        self._tallies[session.id] = (session.attempt, tally)
        return tally

    def tally(self, session_id: str) -> tuple[int, int]:
        """Return how many images of a session's attempt are committed, and how many lost or refused."""
        known = self._tallies.get(session_id)
        return (known[1].kept, known[1].dropped) if known is not None else (0, 0)

    def close(self, session_id: str) -> None:
        """Forget a session."""
        self._tallies.pop(session_id, None)

    def receive(self, offer: Offer) -> None:
        """Expect something to become of an offer."""
        self.pending += len(offer.batch.images)

    def refuse(self, session_id: str, batch: Batch, tally: Tally, at_seconds: float) -> None:
        """Count images that were no good."""
        tally.dropped += batch.invalid_images
        self._settled(session_id, ImageResult.INVALID, batch.invalid_images, at_seconds)

    def keep(self, offer: Offer) -> None:
        """The offer is in a shard, and committed."""
        offer.tally.kept += len(offer.batch.images)
        self._settle(offer, ImageResult.STORED)

    def pass_over(self, offer: Offer) -> None:
        """The sampler has chosen another one."""
        self._settle(offer, ImageResult.SAMPLED_OUT)

    def drop(self, offer: Offer, reason: str) -> None:
        """The offer is lost for want of room."""
        count = len(offer.batch.images)
        offer.tally.dropped += count
        self._telemetry.dropped("image", reason, count)
        self._settle(offer, ImageResult.DROPPED)

    def _settle(self, offer: Offer, result: ImageResult) -> None:
        count = len(offer.batch.images)
        self.pending -= count
        self._settled(offer.session_id, result, count, offer.received)

"""The books of images: what has become of each one received."""

from collections.abc import Iterable
from typing import Protocol

from bridge.model import Batch, ImageResult
from bridge.session import Session
from bridge.sinks.images.candidate import Offer, Tally
from bridge.storage.image_counts import PART, ImageCount
from bridge.telemetry import Telemetry

Counts = dict[tuple[str, int, ImageResult], ImageCount]


class Settled(Protocol):
    """Who wants to know what becomes of images."""

    def __call__(self, counted: ImageCount, /) -> None:
        """Count images that something has become of."""


class Books:
    """At any time received = stored + sampled_out + dropped + invalid + `pending`.

    What is decided before a commit goes to disk with it (`take`); what a commit itself decides is
    written by it, and told here when it has succeeded.
    """

    def __init__(self, settled: Settled, telemetry: Telemetry) -> None:
        """Tell `settled` of each image, once."""
        self.pending = 0
        """Images received of which nothing has become yet."""
        self._settled = settled
        self._telemetry = telemetry
        self._tallies: dict[str, Tally] = {}
        self._decided: Counts = {}

    def is_new_attempt(self, session: Session) -> bool:
        """Tell whether the attempt is another one than the last that was opened."""
        known = self._tallies.get(session.id)
        return known is not None and known.attempt != session.attempt

    def open(self, session: Session) -> Tally:
        """Return the tally of a session's attempt."""
        known = self._tallies.get(session.id)
        if known is not None and known.attempt == session.attempt:
            return known
        tally = self._tallies[session.id] = Tally(session.attempt)
        self._count_again(tally, session.parts.pop(PART, ()))
        return tally

    def counts(self, session_id: str) -> tuple[int, int]:
        """Return how many images of a session's attempt are committed, and how many lost or refused."""
        known = self._tallies.get(session_id)
        return (known.kept, known.dropped) if known is not None else (0, 0)

    def close(self, session_id: str) -> None:
        """Forget a session."""
        self._tallies.pop(session_id, None)

    def take(self) -> tuple[ImageCount, ...]:
        """Hand over what has been decided since the last call, for the next commit."""
        decided, self._decided = self._decided, {}
        return tuple(decided.values())

    def receive(self, offer: Offer) -> None:
        """Expect something to become of an offer."""
        self.pending += len(offer.batch.images)

    def refuse(self, session_id: str, batch: Batch, tally: Tally, at_seconds: float) -> None:
        """Count images that were no good."""
        count, result = batch.invalid_images, ImageResult.INVALID
        tally.dropped += count
        refused = ImageCount(session_id, tally.attempt, result, count, int(at_seconds * 1000))
        self._decide(refused)
        self._settled(refused)

    def pass_over(self, offer: Offer) -> None:
        """The sampler has chosen another one."""
        self._decide(counted(offer, ImageResult.SAMPLED_OUT))
        self._settle(offer, ImageResult.SAMPLED_OUT)

    def drop(self, offer: Offer, reason: str) -> None:
        """The offer is lost for want of room."""
        self._decide(counted(offer, ImageResult.DROPPED))
        self.lose(offer, reason)

    def lose(self, offer: Offer, reason: str) -> None:
        """A commit could not write the offer, and has counted it."""
        count = len(offer.batch.images)
        offer.tally.dropped += count
        self._telemetry.dropped("image", reason, count)
        self._settle(offer, ImageResult.DROPPED)

    def keep(self, offer: Offer) -> None:
        """A commit has written and counted the offer."""
        offer.tally.kept += len(offer.batch.images)
        self._settle(offer, ImageResult.STORED)

    def _settle(self, offer: Offer, result: ImageResult) -> None:
        self.pending -= len(offer.batch.images)
        self._settled(counted(offer, result))

    def _decide(self, new: ImageCount) -> None:
        key = new[:3]
        before = self._decided.get(key)
        if before is not None:
            new = new._replace(
                images=before.images + new.images, at_ms=max(before.at_ms, new.at_ms)
            )
        self._decided[key] = new

    def _count_again(self, tally: Tally, counts: Iterable[ImageCount]) -> None:
        for count in counts:
            if count.attempt != tally.attempt:
                continue
            if count.result is ImageResult.STORED:
                tally.kept += count.images
            elif count.result is not ImageResult.SAMPLED_OUT:
                tally.dropped += count.images
            self._settled(count)


def counted(offer: Offer, result: ImageResult) -> ImageCount:
    """Return what an offer adds to the counts."""
    count = len(offer.batch.images)
    return ImageCount(offer.session_id, offer.tally.attempt, result, count, offer.received_ms)

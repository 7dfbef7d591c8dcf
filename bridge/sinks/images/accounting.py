"""What has become of each image received."""

from collections.abc import Collection, Iterable
from typing import Protocol

from bridge.model import Batch, ImageResult
from bridge.session import Session
from bridge.sinks.images.candidate import ImageCandidate, ImageCounts
from bridge.storage.image_counts import RESTORED_KEY, ImageCount
from bridge.telemetry import Telemetry

Uncommitted = dict[tuple[str, int, ImageResult], ImageCount]


class OnResolved(Protocol):
    """Called with each count of images whose result is final."""

    def __call__(self, count: ImageCount, /) -> None:
        """Add a count."""


class ImageAccounting:
    """At any time received = stored + sampled_out + dropped + invalid + `pending`.

    But for what moved to another bridge before a commit took it: that one counts it when its client sends it again.
    What is decided before a commit goes to disk with it (`collect`); what a commit itself decides is written
    by it, and recorded here when it has succeeded.
    """

    def __init__(self, on_resolved: OnResolved, telemetry: Telemetry) -> None:
        """Call `on_resolved` for each image once."""
        self.pending = 0
        """Images received whose result is not known yet."""
        self._on_resolved = on_resolved
        self._telemetry = telemetry
        self._by_session: dict[str, ImageCounts] = {}
        self._uncommitted: Uncommitted = {}

    def is_new_attempt(self, session: Session) -> bool:
        """Return whether the attempt differs from the one that was opened last."""
        known = self._by_session.get(session.id)
        return known is not None and known.attempt != session.attempt

    def open(self, session: Session) -> ImageCounts:
        """Return the counts of a session's attempt, which begin where a restart left them."""
        known = self._by_session.get(session.id)
        if known is not None and known.attempt == session.attempt:
            return known
        counts = self._by_session[session.id] = ImageCounts(session.attempt)
        self._restore(counts, session.restored_state.pop(RESTORED_KEY, ()))
        return counts

    def counts(self, session_id: str) -> tuple[int, int]:
        """Return how many images of a session's attempt are committed, and how many lost or refused."""
        known = self._by_session.get(session_id)
        return (known.stored, known.dropped) if known is not None else (0, 0)

    @property
    def sessions(self) -> Collection[str]:
        """The sessions that are counted."""
        return self._by_session.keys()

    def close(self, session_id: str) -> None:
        """Drop the counts of a session."""
        self._by_session.pop(session_id, None)

    def leave(self, session_id: str) -> None:
        """Drop the counts of a session that another bridge has, with those that no commit has taken."""
        known = self._by_session.pop(session_id, None)
        if known is not None:
            known.has_moved = True
        for key in [key for key in self._uncommitted if key[0] == session_id]:
            del self._uncommitted[key]

    def collect(self) -> tuple[ImageCount, ...]:
        """Hand over what has been decided since the last call, for the next commit."""
        uncommitted, self._uncommitted = self._uncommitted, {}
        return tuple(uncommitted.values())

    def record_received(self, candidate: ImageCandidate) -> None:
        """Count images as pending."""
        self.pending += len(candidate.batch.images)

    def record_invalid(
        self, session_id: str, batch: Batch, counts: ImageCounts, received_ms: int
    ) -> None:
        """Count images that were refused."""
        images = batch.invalid_images
        counts.dropped += images
        count = ImageCount(session_id, counts.attempt, ImageResult.INVALID, images, received_ms)
        self._add_uncommitted(count)
        self._on_resolved(count)

    def record_sampled_out(self, candidate: ImageCandidate) -> None:
        """Count images that the sampler has discarded."""
        self._add_uncommitted(count_of(candidate, ImageResult.SAMPLED_OUT))
        self._resolve(candidate, ImageResult.SAMPLED_OUT)

    def record_dropped(self, candidate: ImageCandidate, reason: str) -> None:
        """Count images that are lost for want of room."""
        self._add_uncommitted(count_of(candidate, ImageResult.DROPPED))
        self.record_failed(candidate, reason)

    def record_failed(self, candidate: ImageCandidate, reason: str) -> None:
        """Count images that a commit could not write; it has written that count itself."""
        images = len(candidate.batch.images)
        candidate.counts.dropped += images
        self._telemetry.dropped("image", reason, images)
        self._resolve(candidate, ImageResult.DROPPED)

    def record_stored(self, candidate: ImageCandidate) -> None:
        """Count images that a commit has written; it has written that count itself."""
        candidate.counts.stored += len(candidate.batch.images)
        self._resolve(candidate, ImageResult.STORED)

    def record_lost(self, total: ImageCount) -> None:
        """Count images that are gone with another bridge, given how many of the attempt they are by now."""
        known = self._by_session.get(total.session_id)
        if known is None or known.attempt != total.attempt or known.lost >= total.images:
            return
        more, known.lost = total.images - known.lost, total.images
        self._on_resolved(total._replace(images=more))

    def record_moved(self, candidate: ImageCandidate) -> None:
        """Stop counting images that another bridge will be sent again."""
        self.pending -= len(candidate.batch.images)

    def _resolve(self, candidate: ImageCandidate, result: ImageResult) -> None:
        self.pending -= len(candidate.batch.images)
        if not candidate.counts.has_moved:
            self._on_resolved(count_of(candidate, result))

    def _add_uncommitted(self, count: ImageCount) -> None:
        key = count[:3]
        before = self._uncommitted.get(key)
        if before is not None:
            count = count._replace(
                images=before.images + count.images, at_ms=max(before.at_ms, count.at_ms)
            )
        self._uncommitted[key] = count

    def _restore(self, counts: ImageCounts, committed: Iterable[ImageCount]) -> None:
        for count in committed:
            if count.attempt != counts.attempt:
                continue
            if count.result is ImageResult.STORED:
                counts.stored += count.images
            elif count.result is ImageResult.LOST:
                counts.lost += count.images
            elif count.result is not ImageResult.SAMPLED_OUT:
                counts.dropped += count.images
            self._on_resolved(count)


def count_of(candidate: ImageCandidate, result: ImageResult) -> ImageCount:
    """Return what a candidate adds to the counts."""
    images = len(candidate.batch.images)
    return ImageCount(
        candidate.session_id, candidate.attempt, result, images, candidate.received_ms
    )

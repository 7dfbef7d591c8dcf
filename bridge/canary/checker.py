"""Look at what a bridge shows of one run, again and again."""

import logging
import threading
import time
from dataclasses import dataclass

from bridge.canary.gallery import Gallery, Seen
from bridge.canary.page import Page
from bridge.canary.record import Books, Mark
from bridge.canary.shown import Reader, Shown, UnreadableError
from bridge.canary.verdict import Finding, Found, Kind, Verdict, What

log = logging.getLogger("bridge")

SOONEST_SECONDS = 0.05
"""Between two looks while somebody waits for the outcome; each further pause is twice as long."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take."""

    look_seconds: float = 2.0
    """Between two looks."""
    late_seconds: float = 5.0
    overdue_seconds: float = 15.0
    """What is not there after so long is missing."""


class Inspection:
    """Compares one run with what is shown of it; runs in a thread of its own."""

    def __init__(
        self,
        session_id: str,
        books: Books,
        reader: Reader,
        page: Page,
        *,
        samples: int,
        patience: Patience,
    ) -> None:
        """Compare the session of these books, whose batches have so many samples."""
        self._session_id = session_id
        self._books = books
        self._reader = reader
        self._page = page
        self._patience = patience
        self._gallery = Gallery(
            session_id, reader, samples=samples, overdue_seconds=patience.overdue_seconds
        )
        self._verdict = Verdict(overdue_seconds=patience.overdue_seconds)
        self._began_at = time.monotonic()
        """When the last look began, whether or not it saw anything."""
        self._refused = 0
        self._is_up = True
        self._is_awaited = False
        self._is_last = False
        self._settled: tuple[Mark, bool] | None = None
        self._wake = threading.Event()
        self._finished = threading.Event()
        self.is_clean = True
        """Nothing has been found to be missing, doubled or wrong."""

    @property
    def is_settled(self) -> bool:
        """Tell whether everything said by now is there, or has been found to be missing."""
        return self._settled == (self._books.mark, self._is_last)

    def run(self) -> None:
        """Look until `finish`; never raises."""
        pause = SOONEST_SECONDS
        while not self._finished.is_set():
            self._wake.clear()
            try:
                self.look()
            except Exception:
                log.exception("a look failed")
            is_hurried = self._is_awaited and not self.is_settled
            pause = min(pause * 2, self._patience.look_seconds) if is_hurried else SOONEST_SECONDS
            self._wake.wait(pause if is_hurried else self._patience.look_seconds)

    def finish(self) -> None:
        """Look no more."""
        self._finished.set()
        self._wake.set()

    def hurry(self, *, is_last: bool) -> None:
        """Look at once, and often until everything is settled; the last time all images count, too."""
        self._is_last = is_last
        self._is_awaited = True
        self._wake.set()

    def take_time(self) -> None:
        """Look as often as usual again."""
        self._is_awaited = False

    def look(self) -> None:
        """Look once, and tell what is new."""
        at, before_at = time.monotonic(), self._began_at
        self._began_at = at
        is_last, mark = self._is_last, self._books.mark
        before = self._books.account()
        try:
            shown = self._reader.page(self._session_id)
        except UnreadableError as error:
            self._unreadable(error)
            return
        seen = self._gallery.look(
            shown.images_stored, self._said, at=at, whole=is_last and before.is_quiet
        )
        after = self._books.account()
        found = _found(shown, self._gallery.listed if seen.is_listed else None)
        judgement = self._verdict.judge(before, after, found, at=at)
        late = self._late(shown, seen, before_at)
        self._tell([*judgement.findings, *seen.findings, *self._refusals()], late)
        self._note_success(seen, at)
        if judgement.is_settled and (not is_last or self._is_gallery_done(shown, seen, at)):
            self._settled = mark, is_last

    def _said(self) -> int:
        return self._books.mark.batches

    def _unreadable(self, error: UnreadableError) -> None:
        self._verdict.unreadable()
        self._gallery.unreadable()
        if self._is_up:
            log.warning("the bridge cannot be read", extra={"fields": {"reason": str(error)}})
        self._is_up = False
        self._page.up.set(0)

    def _tell(self, findings: list[Finding], late: list[Finding]) -> None:
        if not self._is_up:
            log.info("the bridge can be read again")
        self._is_up = True
        self._page.up.set(1)
        self.is_clean = self.is_clean and not findings
        self._page.found(self._session_id, [*findings, *late])

    def _note_success(self, seen: Seen, at: float) -> None:
        """Note that all is well, if it is: after a finding it is not, until the next run."""
        waiting = (self._books.unacknowledged.oldest, self._books.unseen_batches.oldest)
        longest = max((at - since for since in waiting if since is not None), default=0.0)
        is_punctual = longest < self._patience.overdue_seconds
        if self.is_clean and is_punctual and seen.is_listed and seen.is_read:
            self._page.success.set(time.time())

    def _refusals(self) -> list[Finding]:
        """Return what the bridge has found invalid since the last look; all that is said is valid."""
        refused = self._books.refused
        new, self._refused = refused - self._refused, refused
        return [Finding(Kind.WRONG, What.BATCH, "accepted", "refused", new)] if new else []

    def _late(self, shown: Shown, seen: Seen, before_at: float) -> list[Finding]:
        """Note what can be seen now, and return what is late.

        A thing is late when it was not there yet at a look that began too long after it was said: how
        rarely one looks makes nothing late. Counts tell which things are there only while they are
        those of the first so many; in a run that has lost something they tell nothing more.
        """
        books, now = self._books, time.monotonic()
        batches: list[float] = []
        epochs: list[float] = []
        if books.is_beginning(shown.counts[What.LOSS], shown.values.loss_sum):
            seen_batches = min(shown.counts[What.BATCH], shown.counts[What.LOSS])
            batches = books.unseen_batches.take(seen_batches)
            epochs = books.unseen_epochs.take(shown.counts[What.EPOCH])
        images = [books.said_at[place.number] for place in seen.new]
        for said_at in batches:
            self._page.visible.observe(now - said_at)
        for said_at in images:
            self._page.image_visible.observe(now - said_at)
        told = ((What.BATCH, batches), (What.EPOCH, epochs), (What.IMAGE, images))
        return [late for what, times in told for late in self._lateness(what, times, before_at)]

    def _lateness(self, what: What, times: list[float], before_at: float) -> list[Finding]:
        allowed = self._patience.late_seconds
        late = [before_at - said_at for said_at in times if before_at - said_at > allowed]
        if not late:
            return []
        return [
            Finding(Kind.LATE, what, f"within {allowed:g} s", f"after {max(late):.1f} s", len(late))
        ]

    def _is_gallery_done(self, shown: Shown, seen: Seen, at: float) -> bool:
        """Tell whether all images have been compared, or some will not be, which is counted."""
        if seen.is_listed and not self._gallery.unread:
            return True
        if not self._gallery.is_failing(at):
            return False
        unchecked = max(1, shown.images_stored - self._gallery.compared)
        self._page.unchecked.labels(What.IMAGE).inc(unchecked)
        log.warning(
            "images cannot be read",
            extra={"fields": {"session": self._session_id, "count": unchecked}},
        )
        return True


def _found(shown: Shown, listed: int | None) -> Found:
    return Found(shown.counts, shown.values, shown.images_stored, listed)

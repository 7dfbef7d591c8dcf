"""Check, again and again, what a bridge shows of one run."""

import logging
import threading
import time
from dataclasses import replace

from bridge.canary.gallery import Gallery
from bridge.canary.options import CanaryOptions
from bridge.canary.page import Page
from bridge.canary.record import SentRecord
from bridge.canary.shown import read_shown
from bridge.canary.verdict import Finding, Kind, Shown, Verdict, What
from bridge.client import BridgeClient
from bridge.client.query import QueryError

log = logging.getLogger("bridge")

PAUSE_LOOK_SECONDS = 0.2  # between two checks in a pause that is not settled


def client_of(options: CanaryOptions, *, timeout_seconds: float) -> BridgeClient:
    """Return what reads the pages of the bridge."""
    return BridgeClient(
        options.bridge_url,
        token=options.token,
        token_file=options.token_file,
        ca_file=options.ca_file if options.bridge_url.startswith("https:") else "",
        timeout_seconds=timeout_seconds,
    )


class Checker:
    """Compares one run with what is shown of it, in a thread of its own.

    While batches come, it looks how soon they appear; in a pause it judges what is missing or wrong.
    """

    def __init__(self, record: SentRecord, page: Page, options: CanaryOptions) -> None:
        self._session_id = record.run.session_id
        self._record = record
        self._page = page
        self._options = options
        self._client = client_of(options, timeout_seconds=5)
        self._gallery = Gallery(record.run, self._client, record.has_sent)
        self._verdict = Verdict(overdue_seconds=options.overdue_seconds)
        self._began_at = record.clock.now()
        """When the last check began, whether or not it saw anything."""
        self._images_failing_since: float | None = None
        self.is_up = True
        """The bridge could be read at the last check."""
        self._pause: threading.Event | None = None
        self._is_last = False
        self._wake = threading.Event()
        self._is_finished = False
        self.is_clean = True
        """Nothing has been found to be missing, doubled or wrong."""

    def run(self) -> None:
        """Check until `finish`; never raises."""
        while not self._is_finished:
            self._wake.clear()
            try:
                self.check()
            except Exception:
                log.exception("a check failed")
            pause, seconds = self._pause, self._options.look_seconds
            is_hurried = pause is not None and not pause.is_set()
            self._wake.wait(min(seconds, PAUSE_LOOK_SECONDS) if is_hurried else seconds)

    def finish(self) -> None:
        """Check no more."""
        self._is_finished = True
        self._wake.set()

    def pause(self, *, is_last: bool) -> threading.Event:
        """Judge from now on, at once and often: nothing is sent until `resume`.

        Returns an event that is set when all is settled: shown, or reported as missing. With `is_last`, images that
        cannot be read are given up after a while.
        """
        self._is_last = is_last
        self._pause = settled = threading.Event()
        self._wake.set()
        return settled

    def resume(self) -> None:
        """Judge no more: sending goes on."""
        self._pause = None

    def check(self) -> None:
        """Read once, and report what is new."""
        pause, previous_at = self._pause, self._began_at
        self._began_at = at = self._record.clock.now()
        is_quiet = pause is not None and not self._record.session.flush(0.0)
        try:
            shown = read_shown(self._client, self._session_id)
        except QueryError as error:
            self._verdict.note_unreadable()
            self._note_up(is_up=False, reason=str(error))
            return
        self._note_up(is_up=True)
        images = self._gallery.check(is_whole=pause is not None)
        if not images.is_complete:
            self._images_failing_since = self._images_failing_since or at
        elif pause:
            self._images_failing_since = None
        expectation = self._record.expectation(is_quiet=is_quiet)
        shown = replace(shown, images_there=images.there)
        judged, is_settled = self._verdict.judge(expectation, shown, at=at)
        findings = [*judged, *images.findings]
        self.is_clean = self.is_clean and not findings
        late = self._late(shown, images.new, previous_at)
        self._page.report(self._session_id, [*findings, *late])
        self._note_success(at)
        if pause and is_settled and self._are_images_done(shown, at):
            pause.set()

    def _note_up(self, *, is_up: bool, reason: str = "") -> None:
        if is_up and not self.is_up:
            log.info("the bridge can be read again")
        elif self.is_up and not is_up:
            log.warning("the bridge cannot be read", extra={"fields": {"reason": reason}})
        self.is_up = is_up
        self._page.up.set(is_up)

    def _note_success(self, at: float) -> None:
        """Note that all is well, if it is: after a finding it is not, until the next run."""
        waiting = (self._record.acknowledged.oldest_unseen, self._record.batches.oldest_unseen)
        longest = max((at - since for since in waiting if since is not None), default=0.0)
        is_punctual = longest < self._options.overdue_seconds
        if self.is_clean and is_punctual and self._images_failing_since is None:
            self._page.success.set(time.time())

    def _late(self, shown: Shown, images: list[int], previous_at: float) -> list[Finding]:
        """Note what is shown for the first time, and return what is late.

        A thing is late when it was not shown yet at a check that began too long after it was sent: how
        rarely the canary checks makes nothing late. Counts say which things are shown as long as nothing is lost.
        """
        record, now, allowed = self._record, self._record.clock.now(), self._options.late_seconds
        sent_at = {What.IMAGE: [record.batches.sent_at[number - 1] for number in images]}
        if record.is_beginning(shown.counts[What.LOSS], shown.values[What.LOSS].get("sum", 0)):
            both = min(shown.counts[What.BATCH], shown.counts[What.LOSS])
            sent_at[What.BATCH] = record.batches.see(both)
            sent_at[What.EPOCH] = record.epochs.see(shown.counts[What.EPOCH])
        findings = []
        for what, times in sent_at.items():
            if what in self._page.visible:
                for at in times:
                    self._page.visible[what].observe(now - at)
            late = [previous_at - at for at in times if previous_at - at > allowed]
            if late:
                pair = f"within {allowed:g} s", f"after {max(late):.1f} s"
                findings.append(Finding(Kind.LATE, what, *pair, len(late)))
        return findings

    def _are_images_done(self, shown: Shown, at: float) -> bool:
        """Return whether all images have been compared, or some will not be, which is counted."""
        since = self._images_failing_since
        if since is None or not self._is_last:
            return True
        if at - since < self._options.overdue_seconds:
            return False
        unchecked = max(1, shown.images_stored - len(self._gallery.compared))
        self._page.unchecked.labels(What.IMAGE).inc(unchecked)
        fields = {"session": self._session_id, "count": unchecked}
        log.warning("images cannot be read", extra={"fields": fields})
        return True

"""The SDK's own thread: makes messages of what the loop has said."""

import math
import time
from collections.abc import Callable

from bridge.client.choice import Candidate, Chooser
from bridge.client.encode import Encoder, number
from bridge.client.entry import Entry
from bridge.client.identity import Plan
from bridge.client.inbox import (
    AnswerItem,
    BatchItem,
    EpochItem,
    Inbox,
    Item,
    ResumedItem,
    ScalarsItem,
    StatusItem,
    count_of,
)
from bridge.client.orders import REMEMBERED
from bridge.client.outbox import Outbox
from bridge.client.pace import Pace
from bridge.client.stats import Notices, Stats
from bridge.client.system import System
from bridge.client.terms import Terms

ITEMS_AT_ONCE = 512
"""So many items are made messages before they are handed on."""

REPORT_SECONDS = 5.0
"""How often speed and usage are told."""

FIRST_REPORT_SECONDS = 1.0

IDLE_SECONDS = 1.0
"""How often the thread looks around while the loop says nothing."""

TERMS_SECONDS = 2.0
"""So long the first images wait for the bridge to say how many it wants."""


class Collector:
    """Empties the inbox every few milliseconds, chooses images, encodes, and fills the outbox."""

    def __init__(
        self,
        inbox: Inbox,
        outbox: Outbox,
        plan: Plan,
        *,
        terms: Callable[[], Terms],
        stats: Stats,
        notices: Notices,
    ) -> None:
        """Work for one session; `terms` tells what the bridge asks for at the moment."""
        self._inbox = inbox
        self._outbox = outbox
        self._terms = terms
        self._stats = stats
        self._notices = notices
        self._encoder = Encoder(plan, self.fault)
        self._chooser = Chooser()
        self._pace = Pace(epochs=plan.epochs, batches_per_epoch=plan.batches_per_epoch)
        self._answers: dict[str, int] = {}
        """The sequence of the last answer to each order."""
        self._system: System | None = None
        self._report_at = math.inf
        self._terms_by = time.monotonic() + TERMS_SECONDS
        self._closing = False
        self.busy = False
        """Holds items that are neither in the inbox nor in the outbox."""

    def run(self) -> None:
        """Work until `finish`, and then until the inbox is empty."""
        self._system = System()  # here, since looking for GPUs takes a while
        self._wait_for_terms()
        while True:
            closing = self._closing
            done = self._work()
            if done == ITEMS_AT_ONCE:
                continue
            if closing and not len(self._inbox):
                break
            self._rest(self._terms().flush_seconds if done else None)
        self._outbox.finish()

    def poke(self) -> None:
        """Look at what there is now rather than in a few milliseconds."""
        self._inbox.wake.set()

    def finish(self, timeout: float) -> None:
        """Stop when everything that has been said is in the outbox; the session ends in so many seconds."""
        self._terms_by = min(self._terms_by, time.monotonic() + timeout / 2)
        self._closing = True
        self._inbox.wake.set()

    def owes(self, order_id: str) -> bool:
        """Tell whether the bridge has not acknowledged yet what this order was answered."""
        sequence = self._answers.get(order_id)
        return sequence is None or sequence > self._outbox.acknowledged

    def fault(self, argument: str, error: Exception) -> None:
        """Count an argument that made no sense, and say so the first time."""
        self._stats.faults += 1
        told = f"{argument}: {type(error).__name__}: {error}"
        self._notices.once(
            f"fault {argument} {type(error)}", f"left out, and training goes on: {told}"
        )

    def _wait_for_terms(self) -> None:
        """Leave everything in the inbox until the bridge has answered, but not for long.

        Also when the session is over already: a short one would lose its images otherwise.
        """
        while not (
            self._terms().are_told or self._inbox.is_filling or time.monotonic() >= self._terms_by
        ):
            time.sleep(0.002)

    def _rest(self, seconds: float | None) -> None:
        """Let items collect for a frame; None: there were none, so the next one is not kept waiting."""
        if seconds is not None:
            self._inbox.wake.wait(seconds)
            return
        self._inbox.is_watched = True
        if not len(self._inbox):
            self._inbox.wake.wait(IDLE_SECONDS)
        self._inbox.is_watched = False

    def _work(self) -> int:
        """Do what there is to do; return how many items there were. Never raises."""
        self._inbox.wake.clear()
        self.busy = True
        done = 0
        try:
            items = self._inbox.take(ITEMS_AT_ONCE)
            done = len(items)
            if items:
                self._outbox.put(self._entries(items))
            self._report()
        except Exception as error:  # noqa: BLE001 -- whatever happens here, training and sending go on
            self.fault("session", error)
        finally:
            self.busy = False
        return done

    def _entries(self, items: list[Item]) -> list[Entry]:
        chosen = self._chosen(items)
        offset = time.time() - time.monotonic()
        entries = []
        for place, item in enumerate(items):
            try:
                entry = self._entry(item, round((item.at + offset) * 1000), place in chosen)
            except Exception as error:  # noqa: BLE001 -- anything may have been given
                self.fault(_NAMES[type(item)], error)
                continue
            if entry is not None:
                entries.append(entry)
        return entries

    def _chosen(self, items: list[Item]) -> set[int]:
        """Return the places of the batches whose images are sent."""
        places: list[int] = []
        candidates: list[Candidate] = []
        for place, item in enumerate(items):
            if type(item) is BatchItem and item.images is not None:
                try:
                    candidate = Candidate(item.at, number(item.loss), int(item.epoch))
                except Exception:  # noqa: BLE001, S112 -- told when the item is encoded
                    continue
                places.append(place)
                candidates.append(candidate)
        if not candidates:
            return set()
        rate = self._terms().image_batches_per_second
        return {places[chosen] for chosen in self._chooser.choose(candidates, rate)}

    def _entry(self, item: Item, clock_ms: int, chosen: bool) -> Entry | None:  # noqa: FBT001
        if type(item) is BatchItem:
            return self._batch(item, clock_ms, chosen=chosen)
        if type(item) is EpochItem:
            self._pace.epoch(item.at)
            self._report_at = min(self._report_at, item.at)
            return self._encoder.epoch(item, clock_ms)
        if type(item) is ScalarsItem:
            return self._encoder.scalars(item, clock_ms)
        if type(item) is StatusItem:
            return self._encoder.status(item, clock_ms)
        if type(item) is AnswerItem:
            return self._answer(item, clock_ms)
        self._pace.resumed(item.at)
        return None

    def _answer(self, item: AnswerItem, clock_ms: int) -> Entry:
        entry = self._encoder.answer(item, clock_ms)
        self._answers[item.command_id] = entry.sequence
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return entry

    def _batch(self, item: BatchItem, clock_ms: int, *, chosen: bool) -> Entry:
        samples = self._encoder.samples(item)
        duration = self._pace.batch(item.at, int(item.epoch), samples)
        if self._report_at == math.inf:
            self._report_at = item.at + FIRST_REPORT_SECONDS
        if item.images is not None and not chosen:
            self._stats.images_sampled_out += min(
                count_of(item.images), self._terms().images_per_batch
            )
        return self._encoder.batch(
            item,
            loss=number(item.loss),
            samples=samples,
            clock_ms=clock_ms,
            duration=duration,
            images=chosen,
            terms=self._terms(),
        )

    def _report(self) -> None:
        """Tell speed and usage when it is time."""
        now = time.monotonic()
        if now < self._report_at:
            return
        self._report_at = now + REPORT_SECONDS
        speed = self._pace.speed(now)
        if speed is None:
            return
        usage = self._system.usage() if self._system else None
        self._outbox.put([self._encoder.performance(speed, usage, time.time_ns() // 1_000_000)])


_NAMES = {
    BatchItem: "log_batch",
    EpochItem: "log_epoch",
    ScalarsItem: "log_scalars",
    StatusItem: "log_status",
    AnswerItem: "answer",
    ResumedItem: "wait_while_paused",
}
"""What a user calls the making of each item."""

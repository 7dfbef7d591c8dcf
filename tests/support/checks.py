"""Check that a bridge shows exactly what it was sent: series, pages, image index, shards and spans.

Series and images are compared by the canary's own verdict.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from support.bridges import RunningBridge
from support.known_run import KnownRun
from support.otlp import Receiver
from support.waiting import until_true

from bridge.canary.gallery import Gallery
from bridge.canary.shown import read_shown
from bridge.canary.verdict import (
    Expectation,
    Shown,
    What,
    differences,
    excesses,
    shortages,
)

SETTLED_SECONDS = 10.0
"""How long images may wait for the end of their window."""

SPANS_SECONDS = 90.0

Position = tuple[str, int, int]
"""Session, number of the batch, position in it."""


@dataclass(frozen=True)
class Sent:
    """What a bridge has been sent of a run."""

    run: KnownRun
    numbers: Collection[int]
    """Of the batches that must have been counted, each once."""
    epochs: Collection[int]
    """Whose averages were sent."""
    images: int
    """That were sent with them."""

    @classmethod
    def whole(cls, run: KnownRun, batches: int, *, images: int | None = None) -> "Sent":
        """Return what was sent of a run of so many batches; `images`: where not all of them were sent."""
        with_images = batches // run.images_every if run.images_every else 0
        sent = with_images * run.samples if images is None else images
        epochs = range(1, batches // run.epoch_batches + 1)
        return cls(run, range(1, batches + 1), epochs, sent)

    def expectation(self, shown: Shown) -> Expectation:
        """Return that all of it must be shown, and no more; images are still to be decided about."""
        counts = self.run.counts(
            batches=len(self.numbers), epochs=len(self.epochs), images=shown.counts[What.IMAGE]
        )
        values = {what: Counter() for what in What}
        for number in self.numbers:
            for what, name, amount in self.run.amounts(number):
                values[what][name] += amount
        return Expectation(sent=counts, expected=counts, is_quiet=True, values=values)


def check(bridge: RunningBridge, sent: Sent, *, keeps_all: bool = False) -> None:
    """Compare series, session and images with what was sent."""
    check_series(bridge, sent)
    check_session(bridge, sent)
    check_images(bridge, sent, keeps_all=keeps_all)


def check_series(bridge: RunningBridge, sent: Sent) -> None:
    """Counters and histograms count every batch once; none of these sums is rounded."""
    shown = read_shown(bridge.client, sent.run.session_id)
    expectation = sent.expectation(shown)
    findings = [
        *shortages(expectation, shown),
        *excesses(expectation, shown),
        *differences(expectation, shown),
    ]
    assert findings == [], sent.run.session_id


def check_session(bridge: RunningBridge, sent: Sent) -> None:
    """The session's page and JSON have the same numbers, and its curve holds every loss."""
    name, numbers = sent.run.session_id, sent.numbers
    details = bridge.client.session(name)
    assert details.batches == len(numbers), name
    assert [epoch.number for epoch in details.epochs] == list(sent.epochs), name
    curve = details.losses
    assert sum(part.count for part in curve) == len(numbers), name
    losses = [sent.run.loss(number) for number in numbers]
    extremes = min(part.low for part in curve), max(part.high for part in curve)
    assert extremes == (min(losses), max(losses)), name
    assert name.encode() in bridge.get(f"/sessions/{name}")


def check_images(bridge: RunningBridge, sent: Sent, *, keeps_all: bool) -> None:
    """Each image sent is counted by what became of it; the index has the stored ones, byte for byte."""
    name, numbers = sent.run.session_id, frozenset(sent.numbers)

    def counted() -> float:
        return bridge.total("training_images_total", session_id=name)

    what = f"{name}: it is decided about {sent.images} images"
    until_true(lambda: counted() >= sent.images, seconds=SETTLED_SECONDS, what=what)
    shown = read_shown(bridge.client, name)
    assert shown.counts[What.IMAGE] == sent.images, name
    if keeps_all:
        assert shown.images_stored == sent.images, name
    seen = Gallery(sent.run, bridge.client, numbers.__contains__).check(is_whole=True)
    assert (seen.findings, seen.there) == ([], shown.images_stored), name
    assert seen.is_complete, name


def index_of(bridge: RunningBridge, run: KnownRun) -> dict[Position, str]:
    """Return the path of every image of a session, from the API."""
    return {
        (run.session_id, run.number(batch.epoch, batch.batch), image.position): image.url.partition(
            bridge.http
        )[2]
        for batch in bridge.client.batches(run.session_id)
        for image in batch.images
    }


def check_shards(state: Path, runs: Collection[KnownRun]) -> Counter[Position]:
    """Every shard, spooled or stored, is a whole tar file; return how often each image is in one."""
    known = {run.session_id: run for run in runs}
    found: Counter[Position] = Counter()
    for path in (*state.glob("images/**/*.tar"), *state.glob("spool/*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.name.endswith(".json") or member.name.startswith("."):
                    continue
                sidecar = json.load(archive.extractfile(member))
                run = known[sidecar["session_id"]]
                number = run.number(sidecar["epoch"], sidecar["batch_idx"])
                position = sidecar["index"]
                picture = archive.extractfile(member.name.replace(".json", ".jpg")).read()
                assert picture == run.images(number)[position], (path, member.name)
                found[run.session_id, number, position] += 1
    return found


def check_spans(receiver: Receiver, sent: Sent, *, seconds: float = SPANS_SECONDS) -> int:
    """A session that has ended arrives once: root, each epoch with its batches, end.

    A span may be sent again only as it was: the bridge died between the receiver's answer and its own
    note of it. Returns how many did.
    """
    run, name = sent.run, sent.run.session_id

    def arrived(kind: str) -> list:
        return [
            span for span in receiver.named(kind) if span.attributes["training.session.id"] == name
        ]

    what = f"the last span of {name} arrives"
    until_true(lambda: arrived("training.session.end"), seconds=seconds, what=what)
    kinds = ("training.session", "training.epoch", "training.session.end")
    spans = [span for kind in kinds for span in arrived(kind)]
    distinct = {span.span_id: span for span in spans}
    assert all(span == distinct[span.span_id] for span in spans), name
    assert len({span.trace_id for span in spans}) == 1, name
    assert Counter(span.name for span in distinct.values() if span.name != kinds[1]) == {
        "training.session": 1,
        "training.session.end": 1,
    }, name
    epochs = [span.attributes for span in distinct.values() if span.name == kinds[1]]
    by_epoch = Counter(run.place(number)[0] for number in sent.numbers)
    batches = sorted((one["training.epoch"], one["training.batches"]) for one in epochs)
    assert batches == sorted(by_epoch.items()), name
    complete = [one["training.epoch"] for one in epochs if one["training.epoch.complete"]]
    assert sorted(complete) == list(sent.epochs), name
    return len(spans) - len(distinct)


def check_log(bridge: RunningBridge) -> None:
    """Nothing went wrong inside that nobody expected."""
    log = bridge.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 1000 :][:4000]

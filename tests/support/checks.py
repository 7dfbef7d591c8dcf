"""Check that what a bridge shows is exactly what it was sent: series, pages, image index, shards and spans."""

import json
import tarfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

from support.bridges import RunningBridge
from support.known_run import KnownRun
from support.otlp import Receiver
from support.waiting import until_true

SETTLED_SECONDS = 10.0
"""How long images may wait for the end of their window."""

SPANS_SECONDS = 90.0

Position = tuple[str, int, int]
"""Session, number of the batch, place in it."""


@dataclass(frozen=True)
class Sent:
    """What a bridge has been told of a run."""

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
        pictured = batches // run.pictured if run.pictured else 0
        sent = pictured * run.width if images is None else images
        epochs = range(1, batches // run.per_epoch + 1)
        return cls(run, range(1, batches + 1), epochs, sent)


def check(bridge: RunningBridge, sent: Sent, *, keeps_all: bool = False) -> None:
    """Compare series, session and images with what was sent."""
    check_series(bridge, sent)
    check_session(bridge, sent)
    check_images(bridge, sent, keeps_all=keeps_all)


def check_series(bridge: RunningBridge, sent: Sent) -> None:
    """Counters and histograms count every batch once; none of these sums is rounded."""
    run, numbers, name = sent.run, sent.numbers, sent.run.session_id
    found = {
        what: bridge.total(f"training_{what}", session_id=name)
        for what in (
            "batches_total",
            "batch_loss_count",
            "batch_loss_sum",
            "samples_total",
            "epochs_completed_total",
            "prediction_confidence_count",
            "prediction_confidence_sum",
        )
    }
    assert found == {
        "batches_total": len(numbers),
        "batch_loss_count": len(numbers),
        "batch_loss_sum": sum(map(run.loss, numbers)),
        "samples_total": len(numbers) * run.width,
        "epochs_completed_total": len(sent.epochs),
        "prediction_confidence_count": len(numbers) * run.width,
        "prediction_confidence_sum": sum(sum(run.confidences(number)) for number in numbers),
    }, name
    assert predictions_shown(bridge, name) == predictions_made(sent), name


def predictions_made(sent: Sent) -> Counter[tuple[str, str]]:
    """Return how often each class was predicted for each true class."""
    run = sent.run
    return Counter(
        (str(truth), str(guess))
        for number in sent.numbers
        for truth, guess in zip(run.truths(number), run.predictions(number), strict=True)
    )


def predictions_shown(bridge: RunningBridge, session_id: str) -> Counter[tuple[str, str]]:
    """Return the same as /metrics tells it."""
    shown: Counter[tuple[str, str]] = Counter()
    for found, value in bridge.metrics().get("training_predictions_total", {}).items():
        labels = dict(found)
        if labels["session_id"] == session_id:
            shown[labels["true_class"], labels["predicted_class"]] += int(value)
    return +shown


def check_session(bridge: RunningBridge, sent: Sent) -> None:
    """The session's page and JSON tell the same numbers, and its curve holds every loss."""
    name, numbers = sent.run.session_id, sent.numbers
    told = json.loads(bridge.get(f"/api/v1/sessions/{name}"))
    assert told["batches"] == len(numbers), name
    assert [epoch["number"] for epoch in told["epochs"]] == list(sent.epochs), name
    curve = told["losses"]
    assert sum(part["count"] for part in curve) == len(numbers), name
    losses = [sent.run.loss(number) for number in numbers]
    assert (min(part["low"] for part in curve), max(part["high"] for part in curve)) == (
        min(losses),
        max(losses),
    ), name
    assert name.encode() in bridge.get(f"/sessions/{name}")


def check_images(bridge: RunningBridge, sent: Sent, *, keeps_all: bool) -> None:
    """Each image sent is counted by what became of it; the index has the stored ones, byte for byte."""
    run, name = sent.run, sent.run.session_id

    def results() -> dict[str, float]:
        kinds = ("stored", "sampled_out", "dropped", "invalid")
        return {
            kind: bridge.total("training_images_total", session_id=name, result=kind)
            for kind in kinds
        }

    def told() -> str:
        return f"{name}: {sent.images} images sent, of which {results()}"

    until_true(lambda: sum(results().values()) >= sent.images, seconds=SETTLED_SECONDS, what=told())
    became = results()
    assert sum(became.values()) == sent.images, told()
    if keeps_all:
        assert became["stored"] == sent.images, told()
    shown = index_of(bridge, run)
    assert len(shown) == became["stored"], told()
    for (_, number, position), image in zip(shown, bodies(bridge, shown.values()), strict=True):
        assert image == run.images(number)[position], (name, number, position)
    assert {number for _, number, _ in shown} <= set(sent.numbers), name


def index_of(bridge: RunningBridge, run: KnownRun) -> dict[Position, str]:
    """Return the address of every image of a session, from the API."""
    root = f"/api/v1/sessions/{run.session_id}/images?limit=200"
    shown: dict[Position, str] = {}
    page = root
    while page:
        told = json.loads(bridge.get(page))
        for batch in told["batches"]:
            number = run.number(batch["epoch"], batch["batch"])
            for image in batch["images"]:
                path = image["url"].partition(bridge.http)[2]
                shown[run.session_id, number, image["position"]] = path
        page = (told["next"] or "").partition(bridge.http)[2]
    return shown


def bodies(bridge: RunningBridge, paths: Iterable[str]) -> Iterator[bytes]:
    """Yield what lies at each address, over one connection."""
    with closing(HTTPConnection(bridge.http, timeout=30)) as connection:
        for path in paths:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == HTTPStatus.OK, (path, response.status, body[:200])
            yield body


def check_shards(state: Path, runs: Collection[KnownRun]) -> Counter[Position]:
    """Every shard, spooled or stored, is a whole tar file; return how often each image is in one."""
    known = {run.session_id: run for run in runs}
    found: Counter[Position] = Counter()
    for path in (*state.glob("images/**/*.tar"), *state.glob("spool/*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.name.endswith(".json") or member.name.startswith("."):
                    continue
                told = json.load(archive.extractfile(member))
                run = known[told["session_id"]]
                number, position = run.number(told["epoch"], told["batch_idx"]), told["index"]
                picture = archive.extractfile(member.name.replace(".json", ".jpg")).read()
                assert picture == run.images(number)[position], (path, member.name)
                found[run.session_id, number, position] += 1
    return found


def check_spans(receiver: Receiver, sent: Sent, *, seconds: float = SPANS_SECONDS) -> int:
    """A session that has ended arrives once: root, each epoch with its batches, end.

    A span may come again only as it was: the bridge died between the receiver's answer and its own
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
    per_epoch = Counter(run.place(number)[0] for number in sent.numbers)
    batches = sorted((told["training.epoch"], told["training.batches"]) for told in epochs)
    assert batches == sorted(per_epoch.items()), name
    complete = [told["training.epoch"] for told in epochs if told["training.epoch.complete"]]
    assert sorted(complete) == list(sent.epochs), name
    return len(spans) - len(distinct)


def check_log(bridge: RunningBridge) -> None:
    """Nothing went wrong inside that nobody expected."""
    log = bridge.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 1000 :][:4000]

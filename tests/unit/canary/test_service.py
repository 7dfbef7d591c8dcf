"""The canary against a bridge that loses, doubles, delays and alters."""

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.shown_bridge import ShownBridge, shown
from support.waiting import until_true

import bridge.canary.service
from bridge.canary import CanaryOptions, Page, watch
from bridge.canary.service import SETTLE_SECONDS
from bridge.wire import metrics_pb2 as wire

PATIENT = 20.0
"""Nothing is late on the slowest of machines."""

SHARP = 0.15
"""What is missing is reported soon: after three times this."""


@pytest.fixture
def fake():
    """A bridge that behaves until a test changes that."""
    with shown(ShownBridge()) as bridge:
        bridge.config.image_batches_per_second = 1_000.0
        yield bridge


@pytest.fixture
def page():
    """The canary's own page."""
    return Page()


def options_for(bridge, late_seconds=PATIENT, **changes):
    """Return quick options: forty batches, eight of them with an image."""
    options = CanaryOptions(
        bridge.address,
        bridge.url,
        batches_per_second=1_000.0,
        run_batches=40,
        late_seconds=late_seconds,
        look_seconds=0.05,
        duration_seconds=0.6,
    )
    return replace(options, **changes)


def counted(page):
    """Return the findings on the page, by kind and what; what is 0 is left out."""
    return {
        (
            sample.name.removeprefix("canary_").removesuffix("_total"),
            sample.labels["what"],
        ): sample.value
        for family in page.registry.collect()
        for sample in family.samples
        if "what" in sample.labels and sample.value
    }


def value(page, name):
    """Return the value of a series without labels."""
    return page.registry.get_sample_value(f"canary_{name}")


@contextmanager
def running(options, page):
    """Run a canary that has no end, while the block lasts."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=watch, args=(replace(options, duration_seconds=None), page, stopping)
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(60)
        assert not thread.is_alive(), "the canary does not stop"


def images_in(bridge):
    """Count the images that were sent."""
    return sum(len(batch.images) for batch in bridge.of("batch_data"))


def batch_at(request, number):
    """Return whether this is the batch of that number in the first run."""
    if not request.session_id.endswith("-000001"):
        return False
    epoch, index = divmod(number - 1, 20)
    data = request.batch_data
    return request.HasField("batch_data") and (data.epoch, data.batch_idx) == (epoch + 1, index)


def altered(request, change):
    """Return a copy of a request after a change to its batch."""
    copy = wire.MetricsRequest.FromString(request.SerializeToString())
    change(copy.batch_data)
    return copy


def test_an_honest_bridge_is_left_in_peace(fake, page):
    """All is sent, acknowledged, seen and compared, and nothing is found; the session ends as completed."""
    assert watch(options_for(fake), page, threading.Event())

    assert counted(page) == {}
    assert value(page, "batches_sent_total") == value(page, "batches_acknowledged_total") > 0
    assert value(page, "ack_duration_seconds_count") == value(page, "batches_sent_total")
    assert value(page, "visible_duration_seconds_count") == value(page, "batches_sent_total")
    assert value(page, "image_visible_duration_seconds_count") == images_in(fake) > 0
    assert value(page, "bridge_up") == 1
    assert time.time() - value(page, "last_success_timestamp_seconds") < 60
    ends = [update.status for update in fake.of("status_update")].count(wire.COMPLETED)
    assert ends == value(page, "runs_total")


@pytest.mark.parametrize("number", [5, 10, 40])
def test_a_lost_batch_is_missing(fake, page, caplog, number):
    """Acknowledged and not counted: each of its parts is reported once, with what was expected and found."""
    fake.distort = lambda request: [] if batch_at(request, number) else [request]

    assert not watch(options_for(fake, SHARP), page, threading.Event())

    found = {key: count for key, count in counted(page).items() if key[0] != "late"}
    assert found == {
        ("missing", "batch"): 1, ("missing", "loss"): 1, ("missing", "prediction"): 1,
        ("missing", "image"): 1,
    }  # fmt: skip  # as a table
    lines = [record.fields for record in caplog.records if record.getMessage() == "missing"]
    (line,) = [one for one in lines if one["what"] == "batch"]
    assert line["session"].startswith("canary-")
    assert line["expected"] == line["found"] + 1
    assert len(lines) == 4


def test_a_lost_epoch_is_missing(fake, page):
    """An epoch is owed as soon as everything is acknowledged."""
    fake.distort = lambda request: [] if request.HasField("epoch_data") else [request]

    assert not watch(options_for(fake, SHARP), page, threading.Event())

    assert {key for key in counted(page) if key[0] != "late"} == {("missing", "epoch")}


def test_a_doubled_batch_is_a_duplicate(fake, page):
    """What is counted more often than it was sent is reported once, and nothing of it is called missing."""
    fake.distort = lambda request: [request] * (2 if batch_at(request, 5) else 1)

    assert not watch(options_for(fake), page, threading.Event())

    found = counted(page)
    assert found["duplicate", "batch"] == found["duplicate", "loss"] == 1
    assert found["duplicate", "prediction"] == 1
    assert {kind for kind, _ in found} == {"duplicate"}


def test_one_lost_and_one_doubled_do_not_make_up_for_each_other(fake, page):
    """The number is right, the sum of the losses is not."""

    def swap(request):
        if batch_at(request, 3):
            return []
        return [request] * (2 if batch_at(request, 4) else 1)

    fake.distort = swap

    assert not watch(options_for(fake, SHARP), page, threading.Event())
    assert counted(page)["wrong", "loss"] == 1


def test_an_altered_loss_is_wrong(fake, page):
    """A loss that was sent as another one is reported, once."""

    def change(batch):
        batch.batch_loss = 7.0

    fake.config.image_batches_per_second = 0.0
    fake.distort = lambda request: [altered(request, change) if batch_at(request, 11) else request]

    assert not watch(options_for(fake, images=0), page, threading.Event())
    assert counted(page) == {("wrong", "loss"): 1}


def test_an_altered_prediction_is_wrong(fake, page):
    """A prediction counted in another cell of the confusion matrix is reported."""

    def change(batch):
        batch.predictions[0].predicted_class = 9

    fake.config.image_batches_per_second = 0.0
    fake.distort = lambda request: [altered(request, change) if batch_at(request, 11) else request]

    assert not watch(options_for(fake, images=0), page, threading.Event())
    assert counted(page) == {("wrong", "prediction"): 1}


def test_an_altered_image_is_wrong(fake, page):
    """Every image is compared byte for byte."""
    fake.picture = lambda image: image[:-3] + b"\0" + image[-2:]

    assert not watch(options_for(fake), page, threading.Event())

    assert counted(page) == {("wrong", "image"): images_in(fake)}


def test_an_image_that_is_listed_and_not_there_is_missing(fake, page):
    """A 404 for an image that the index has is reported when it lasts."""
    fake.picture = lambda _image: None

    assert not watch(options_for(fake, SHARP), page, threading.Event())

    assert counted(page)["missing", "image"] == images_in(fake)


def test_an_image_that_is_lost_is_missing(fake, page):
    """The batch counts, but its image, which was acknowledged with it, is nowhere."""

    def change(batch):
        del batch.images[:]

    fake.distort = lambda request: [altered(request, change) if batch_at(request, 15) else request]

    assert not watch(options_for(fake, SHARP), page, threading.Event())

    assert {key for key in counted(page) if key[0] != "late"} == {("missing", "image")}


def test_what_shows_late_is_late_and_not_missing(fake, page):
    """A page that is behind by more than is allowed, and by less than what counts as missing."""
    fake.delay_seconds = 1.2

    assert not watch(options_for(fake, late_seconds=0.8), page, threading.Event())

    found = counted(page)
    assert {kind for kind, _ in found} == {"late"}
    assert found["late", "batch"] == value(page, "batches_sent_total")


def test_a_page_that_is_a_little_behind_is_fine(fake, page):
    """While batches come the page may always lack the newest ones."""
    fake.delay_seconds = 0.3

    assert watch(options_for(fake), page, threading.Event())
    assert counted(page) == {}


def test_a_page_that_cannot_be_read_proves_nothing(fake, page):
    """It says that the bridge is not up, and nothing about what is there; later all is compared."""
    fake.status = 503
    with running(options_for(fake, SHARP), page):
        until_true(lambda: fake.looks > 20)
        assert value(page, "bridge_up") == 0
        assert value(page, "last_success_timestamp_seconds") == 0
        assert counted(page) == {}
        fake.status = 200
        until_true(lambda: value(page, "last_success_timestamp_seconds"))
        assert value(page, "bridge_up") == 1
        until_true(
            lambda: value(page, "runs_total") >= 2, what="the run ends when it has been compared"
        )

    assert {kind for kind, _ in counted(page)} <= {"late"}


def test_a_page_of_somebody_else_proves_nothing(fake, page):
    """A proxy that answers with a page of its own must not look like a bridge that has lost everything."""
    fake._metrics = lambda: "<html>sorry</html>"
    with running(options_for(fake, SHARP), page):
        until_true(lambda: fake.looks > 20)

    assert value(page, "bridge_up") == 0
    assert counted(page) == {}


def test_what_is_not_acknowledged_is_not_missing(fake, page):
    """A frozen bridge owes nothing yet, but all is not well either."""
    fake.may_read.clear()
    with running(options_for(fake, SHARP), page):
        until_true(lambda: value(page, "batches_sent_total") >= 40)
        until_true(lambda: fake.looks > 30)
        assert value(page, "batches_acknowledged_total") == 0
        assert value(page, "runs_total") == 1, "the next run begins when this one has arrived"
        before = value(page, "last_success_timestamp_seconds")
        until_true(lambda: fake.looks > 60)
        assert value(page, "last_success_timestamp_seconds") == before
        assert counted(page) == {}
        fake.may_read.set()
        until_true(lambda: value(page, "runs_total") >= 2)

    assert {kind for kind, _ in counted(page)} <= {"late"}


def test_a_stream_that_breaks_is_not_a_finding(fake, page):
    """What is sent again is applied once, and counts once."""
    fake.break_at = [5, 17, 30]

    assert watch(options_for(fake), page, threading.Event())
    assert counted(page) == {}
    assert len(fake.streams) > 1


def test_a_batch_that_is_refused_is_wrong(fake, page):
    """All that the canary says is valid; a bridge that says otherwise is at fault."""
    fake.invalid = {9}
    options = options_for(fake, run_batches=100_000)

    assert not watch(options, page, threading.Event())
    assert counted(page)["wrong", "batch"] == 1


def test_a_loss_is_found_while_the_run_goes_on(fake, page, monkeypatch):
    """Now and then sending pauses until all is compared; after a finding the next run begins clean."""
    monkeypatch.setattr(bridge.canary.service, "SETTLE_INTERVAL_SECONDS", 0.2)
    fake.distort = lambda request: [] if batch_at(request, 3) else [request]
    with running(options_for(fake, SHARP, run_batches=100_000), page):
        until_true(lambda: counted(page).get(("missing", "batch"), 0) == 1)
        until_true(lambda: value(page, "runs_total") >= 2)
        before = value(page, "last_success_timestamp_seconds")
        until_true(lambda: value(page, "last_success_timestamp_seconds") > before)

    assert counted(page)["missing", "batch"] == 1


def test_images_that_cannot_be_read_count_as_unchecked(fake, page):
    """A store that is away does not prove that an image is gone; the canary goes on without them."""
    fake.images_status = 503

    assert watch(options_for(fake, SHARP), page, threading.Event()) is not None
    assert not any(kind in ("missing", "wrong") for kind, _ in counted(page))
    assert counted(page)["unchecked", "image"] > 0
    assert value(page, "last_success_timestamp_seconds") == 0


def test_one_run_follows_the_other(fake, page):
    """Each has a session of its own, which ends before the next one begins, and leaves no thread behind."""
    with running(options_for(fake, run_batches=20), page):
        until_true(lambda: value(page, "runs_total") >= 3)
        threads = threading.active_count()
        until_true(lambda: value(page, "runs_total") >= 8)
        assert threading.active_count() <= threads + 4

    names = [registration.session_id for registration in fake.registrations]
    assert len(names) == len(set(names))
    assert counted(page) == {}


def test_a_canary_without_a_bridge_stops_on_request(page):
    """Nothing listens there; bridge_up says so, and a stop ends it soon."""
    options = CanaryOptions("127.0.0.1:9", "http://127.0.0.1:9", look_seconds=0.05)
    started = time.monotonic()
    with running(options, page):
        until_true(lambda: value(page, "batches_sent_total") > 0)
        assert value(page, "bridge_up") == 0

    assert time.monotonic() - started < 60
    assert counted(page) == {}


def test_every_finding_is_one_line(fake, page, caplog):
    """Kind, what, session, expected and found are fields, so that a log search finds them."""
    caplog.set_level(logging.INFO)
    fake.picture = lambda image: image + b"\0"
    watch(options_for(fake, duration_seconds=0.05), page, threading.Event())
    (first, *_) = [record for record in caplog.records if record.getMessage() == "wrong"]

    assert set(first.fields) == {"what", "session", "expected", "found", "count"}
    assert first.levelname == "ERROR"


@pytest.mark.parametrize("is_stuck", [False, True])
def test_a_canary_with_a_duration_ends_soon_after_it(fake, page, caplog, monkeypatch, is_stuck):
    """Without a bridge, or with one that acknowledges nothing, a little later; it reports that it compared nothing."""
    if is_stuck:
        fake.may_read.clear()
    address, url = (fake.address, fake.url) if is_stuck else ("127.0.0.1:9", "http://127.0.0.1:9")
    options = CanaryOptions(address, url, late_seconds=0.2, look_seconds=0.05, duration_seconds=0.1)
    started = time.monotonic()
    monkeypatch.setattr(bridge.canary.service, "LAST_SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(bridge.canary.service, "CLOSE_SECONDS", 0.1)

    assert not watch(options, page, threading.Event())

    assert time.monotonic() - started < 2 * options.overdue_seconds + SETTLE_SECONDS
    assert "not everything could be compared" in caplog.text
    fake.may_read.set()

"""From the outbox to an endpoint that is not always there."""

import asyncio

import pytest
from support.spans import START, averages
from support.waiting import until

from bridge.sinks.spans.delivery import SPANS_PER_EXPORT, Delivery
from bridge.sinks.spans.otlp.encoding import Accepted
from bridge.sinks.spans.otlp.errors import ExportError
from bridge.storage.outbox import SpanOutbox, WaitingSpan
from bridge.storage.sqlite.database import SqliteDatabase


class Endpoint:
    """Takes spans while it is up."""

    def __init__(self):
        self.is_up = True
        self.fault = None
        self.taken = []
        self.attempts = 0
        self.largest = 0
        self.is_closed = False
        self.hold = None
        self.hated = ()
        self.answer = Accepted()
        self.retry_after_seconds = 0.0

    async def export(self, spans):
        self.attempts += 1
        self.largest = max(self.largest, len(spans))
        if self.hold is not None:
            await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        if not self.is_up:
            raise ExportError("down", retry_after_seconds=self.retry_after_seconds)
        if any(span.attributes.get("training.epoch") in self.hated for span in spans):
            raise ExportError("refused", is_refusal=True)
        self.taken += spans
        return self.answer

    async def close(self):
        self.is_closed = True


@pytest.fixture
def endpoint():
    """An endpoint that is up."""
    return Endpoint()


@pytest.fixture
def delivery(world, endpoint, monkeypatch):
    """A delivery that comes back soon, however often it has failed: where halves are random, that may be often."""
    monkeypatch.setattr("bridge.sinks.spans.delivery.LONGEST_BACKOFF_SECONDS", 0.05)
    return Delivery(
        world.outbox,
        endpoint,
        world.telemetry,
        waiting=world.sink.waiting,
        first_backoff_seconds=0.01,
    )


def epochs(world, count):
    """Let so many epochs happen and be committed."""
    session = world.register()
    for number in range(count):
        world.happen(session, averages(number), at=START + number)
    world.commit()


async def test_what_is_committed_is_delivered(world, delivery, endpoint):
    """Spans leave as soon as they are on disk, and are gone from it once taken."""
    async with delivery.running(grace_seconds=5):
        epochs(world, 3)
        await until(lambda: len(endpoint.taken) == 4)
        await until(lambda: world.outbox.count() == 0)

    assert world.count("exported") == 4
    assert endpoint.is_closed


async def test_what_waited_before_the_start_is_delivered(world, delivery, endpoint):
    """A restart with spans in the outbox needs no new span to get them going."""
    epochs(world, 2)

    async with delivery.running(grace_seconds=5):
        await until(lambda: len(endpoint.taken) == 3)


async def test_an_outage_delays_spans_and_loses_none(world, delivery, endpoint):
    """Each span arrives, once, in order, when the endpoint is back."""
    endpoint.is_up = False
    async with delivery.running(grace_seconds=5):
        epochs(world, 5)
        await until(lambda: endpoint.attempts >= 3)
        assert world.outbox.count() == 6
        endpoint.is_up = True
        await until(lambda: world.outbox.count() == 0)

    numbers = [span.attributes.get("training.epoch") for span in endpoint.taken]
    assert numbers == [None, 0, 1, 2, 3, 4]
    assert world.count("failed") >= 18
    assert world.count("exported") == 6


async def test_a_broken_exporter_ends_nothing(world, delivery, endpoint):
    """Whatever the library raises, the spans stay and are tried again."""
    endpoint.fault = RuntimeError("broken")
    async with delivery.running(grace_seconds=5):
        epochs(world, 1)
        await until(lambda: endpoint.attempts >= 2)
        endpoint.fault = None
        await until(lambda: len(endpoint.taken) == 2)


async def test_a_request_holds_a_limited_number(world, delivery, endpoint):
    """After a long outage nothing is sent that an endpoint refuses for its size."""
    epochs(world, 300)
    async with delivery.running(grace_seconds=5):
        await until(lambda: len(endpoint.taken) == 301)

    assert endpoint.largest == SPANS_PER_EXPORT


async def test_a_stop_delivers_what_was_committed_last(world, delivery, endpoint):
    """The closing spans of a shutdown do not wait for the next start."""
    async with delivery.running(grace_seconds=5):
        await until(lambda: not world.sink.waiting.is_set())
        epochs(world, 200)

    assert len(endpoint.taken) == 201


async def test_a_stop_does_not_wait_for_an_endpoint_that_is_down(world, endpoint, monkeypatch):
    """Out of a long pause one more attempt is made, then the spans wait on disk for the next start."""
    endpoint.is_up = False
    pauses = []

    def an_hour(*arguments, **options):
        pauses.append((arguments, options))
        return 3_600

    monkeypatch.setattr("bridge.sinks.spans.delivery.backoff_seconds", an_hour)
    delivery = Delivery(world.outbox, endpoint, world.telemetry, waiting=world.sink.waiting)
    started = asyncio.get_running_loop().time()
    async with delivery.running(grace_seconds=30):
        epochs(world, 1)
        await until(lambda: pauses)

    assert asyncio.get_running_loop().time() - started < 5
    assert endpoint.attempts == 2
    assert world.outbox.count() == 2


@pytest.mark.parametrize(
    ("keeps_outbox", "lost", "text"),
    [(True, None, "kept in the state folder"), (False, 2.0, "give --state a folder")],
)
async def test_a_stop_says_what_was_not_exported(world, endpoint, caplog, keeps_outbox, lost, text):
    """Spans that go with a temporary state folder are counted as lost; others wait, and the log says that they do."""
    endpoint.is_up = False
    delivery = Delivery(
        world.outbox,
        endpoint,
        world.telemetry,
        waiting=world.sink.waiting,
        keeps_outbox=keeps_outbox,
    )
    async with delivery.running(grace_seconds=30):
        epochs(world, 1)
        await until(lambda: endpoint.attempts == 1)

    [record] = [each for each in caplog.records if "spans were not exported" in each.message]
    assert text in record.message
    assert record.fields == {"spans": 2}
    labels = {"what": "span", "reason": "not_exported"}
    assert world.telemetry.registry.get_sample_value("bridge_dropped_total", labels) == lost


async def test_a_stop_does_not_wait_for_an_endpoint_that_hangs(world, delivery, endpoint):
    """After the grace the exporter is closed, whatever it was doing."""
    endpoint.hold = asyncio.Event()
    async with delivery.running(grace_seconds=0.1):
        epochs(world, 1)
        await until(lambda: endpoint.attempts == 1)

    assert endpoint.is_closed


@pytest.mark.parametrize("hated", [{3}, {1, 7}])
async def test_spans_that_no_endpoint_takes_hold_up_no_others(world, delivery, endpoint, hated):
    """They are singled out, and what waits with them and comes behind them arrives, once."""
    endpoint.hated = hated
    async with delivery.running(grace_seconds=5):
        epochs(world, 12)
        await until(lambda: len(endpoint.taken) == 13 - len(hated))
        world.happen(world.register("later"), averages(100), at=START)
        world.commit()
        await until(lambda: len(endpoint.taken) == 15 - len(hated))

    taken = [span.span_id for span in endpoint.taken]
    assert len(taken) == len(set(taken))


async def test_a_span_that_is_refused_again_and_again_is_dropped(world, delivery, endpoint):
    """Alone, while others are taken, three times: then it is lost, and counted."""
    endpoint.hated = {3}
    async with delivery.running(grace_seconds=5):
        epochs(world, 5)
        for number in range(100, 110):
            await until(lambda: world.outbox.count() <= 1)
            world.happen(world.register(f"later-{number}"), averages(number), at=START)
            world.commit()
        await until(lambda: world.outbox.count() == 0)

    assert world.count("dropped") == 1
    assert len(endpoint.taken) == 5 + 20


async def test_a_damaged_row_does_not_block_the_outbox(world, delivery, endpoint):
    """What cannot be read can never be sent."""
    epochs(world, 2)
    with world.database.transaction() as transaction:
        transaction.execute("UPDATE spans SET span = 'x' WHERE number = 2")
    async with delivery.running(grace_seconds=5):
        await until(lambda: world.outbox.count() == 0)

    assert (len(endpoint.taken), world.count("dropped")) == (2, 1)


@pytest.mark.parametrize("number", [2**63 - 1, 10**18])
@pytest.mark.parametrize("is_left", [False, True])
def test_a_damaged_number_of_a_span_leaves_room_for_the_next(tmp_path, number, is_left):
    """SQLite gives none below it, also when the span itself is gone; the next ones are written all the same."""
    database = SqliteDatabase(tmp_path / "bridge.db")
    outbox = SpanOutbox(database)
    with database.transaction() as transaction:
        outbox.add(transaction, [WaitingSpan("a", "run", "{}")])
        transaction.execute(
            "INSERT INTO spans (number, span_id, span) VALUES (?, 'b', '{}')", (number,)
        )
        if not is_left:
            transaction.execute("DELETE FROM spans WHERE span_id = 'b'")

    assert outbox.discard_misnumbered() == (1 if is_left else 0)

    with database.transaction() as transaction:
        outbox.add(transaction, [WaitingSpan("c", "run", "{}")])
    assert outbox.take_oldest(9) == [(1, "{}"), (2, "{}")]
    database.close()


async def test_spans_that_wait_are_counted_before_they_are_sent(world, delivery, endpoint):
    """An endpoint that hangs does not hide how many spans wait for it, nor do spans of the time before the start."""
    endpoint.hold = asyncio.Event()
    epochs(world, 2)
    async with delivery.running(grace_seconds=0.01):
        await until(lambda: endpoint.attempts == 1)
        assert world.telemetry.registry.get_sample_value("bridge_span_outbox") == 3
        endpoint.hold.set()
        await until(lambda: world.telemetry.registry.get_sample_value("bridge_span_outbox") == 0)


async def test_what_is_rejected_for_good_is_dropped_and_said(world, delivery, endpoint, caplog):
    """A partial success is not sent again: what it rejects is lost, counted, and logged in the endpoint's words."""
    endpoint.answer = Accepted(rejected=2, message="spans from\nthe future")
    async with delivery.running(grace_seconds=5):
        epochs(world, 4)
        await until(lambda: world.outbox.count() == 0)

    assert (world.count("exported"), world.count("dropped")) == (3, 2)
    [record] = [one for one in caplog.records if "rejected" in one.getMessage()]
    assert record.fields == {"count": 2, "endpoint_says": "spans from the future"}


async def test_a_warning_of_the_endpoint_costs_nothing(world, delivery, endpoint, caplog):
    """A partial success without rejected spans only has something to say."""
    endpoint.answer = Accepted(message="use another path")
    async with delivery.running(grace_seconds=5):
        epochs(world, 1)
        await until(lambda: world.outbox.count() == 0)

    assert (world.count("exported"), world.count("dropped")) == (2, 0)
    assert [one.fields["endpoint_says"] for one in caplog.records] == ["use another path"]


async def test_an_endpoint_says_when_to_come_back(world, delivery, endpoint):
    """Retry-After is longer than our own pause: nothing is sent before."""
    endpoint.is_up, endpoint.retry_after_seconds = False, 3_600
    async with delivery.running(grace_seconds=5):
        epochs(world, 1)
        await until(lambda: world.count("failed") > 0)
        await asyncio.sleep(0.1)
        assert endpoint.attempts == 1


async def test_the_cause_of_a_failure_is_logged(world, delivery, endpoint, caplog):
    """An operator reads why, not only that."""
    endpoint.is_up = False
    async with delivery.running(grace_seconds=5):
        epochs(world, 1)
        await until(lambda: endpoint.attempts >= 3)

    failed = [one for one in caplog.records if "export failed" in one.message]
    assert [one.fields["error"] for one in failed] == ["down"]


async def test_an_outage_blames_no_span(world, delivery, endpoint):
    """What is not answered is sent whole each time, however often it fails."""
    endpoint.is_up = False
    async with delivery.running(grace_seconds=5):
        epochs(world, 3)
        await until(lambda: endpoint.attempts >= 6)
        assert world.count("failed") % 4 == 0

    assert world.outbox.count() == 4

"""From what happens to sessions to the spans that tell it."""

import math
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from support.spans import CLIENT, CONFIG, PUBLIC_URL, START, World, averages, batch

from bridge.lifecycle import (
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Expired,
    Registered,
)
from bridge.model import (
    Client,
    CommandResult,
    Epoch,
    Heartbeat,
    Performance,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.sinks.spans.span import Outcome, Span
from bridge.trace_context import TraceContext, span_id_of, trace_id_of

TRACE, PARENT = "a" * 32, "b" * 16


def with_trace(flags):
    """Return a client in a trace of its own."""
    return Client(
        "trainer", instance_id="i", trace_context=TraceContext(TRACE, PARENT, int(flags, 16))
    )


def completed():
    """Return the events of a session that says it is done."""
    return StatusChange(Status.COMPLETED, "done"), Ended(Stage.ENDED)


def test_a_trace_has_its_root_at_once(world):
    """The first span is there with the registration, so that every later one has its parent."""
    world.register()

    [root] = world.spans()

    assert root.name == "training.session"
    assert root.trace_id == trace_id_of("run", 1)
    assert root.span_id == span_id_of("run", 1, "session")
    assert root.parent_id == ""
    assert START == root.start < root.end < START + 1
    assert root.links == ()
    assert root.attributes == {
        "training.session.id": "run",
        "training.session.attempt": 1,
        "training.session.url": f"{PUBLIC_URL}/sessions/run",
        "training.model.name": "resnet",
        "training.dataset.name": "digits",
        "training.client.name": "trainer",
        "training.client.version": "1.2",
        "training.label.team": "vision",
        "training.epochs.planned": 3,
        "training.batches_per_epoch": 100,
        "training.batch_size": 32,
        "training.classes": 2,
    }


def test_registering_again_changes_nothing(world):
    """The same attempt has one root, however often its client comes back."""
    session = world.register()
    world.happen(session, Registered(), Connected(), at=START + 5)

    assert len(world.spans()) == 1


def test_an_epoch_is_a_span(world):
    """From its first batch to its averages, with all that is known of it, and a link to its images."""
    session = world.register()
    world.happen(session, batch(1, 0, 0.5, duration_seconds=2.0, sample_count=32), at=START + 10)
    world.happen(session, batch(1, 1, 0.75, sample_count=32), at=START + 11)
    world.happen(session, Performance(0.1, 1.0, 2.0, 55.0, 60.0), at=START + 12)
    reported = averages(
        1, 0.625, 0.9, validation_loss=0.7, validation_accuracy=0.8, learning_rate=0.01
    )
    world.happen(session, reported, at=START + 13)

    [epoch] = world.named("training.epoch")

    assert (epoch.start, epoch.end) == (START + 8, START + 13)
    assert epoch.trace_id == trace_id_of("run", 1)
    assert epoch.span_id == span_id_of("run", 1, "epoch/1")
    assert epoch.parent_id == span_id_of("run", 1, "session")
    assert epoch.outcome is Outcome.UNSET
    assert epoch.attributes == {
        "training.session.id": "run",
        "training.session.attempt": 1,
        "training.model.name": "resnet",
        "training.dataset.name": "digits",
        "training.epoch": 1,
        "training.epoch.complete": True,
        "training.loss": 0.625,
        "training.loss.highest": 0.75,
        "training.accuracy": 0.9,
        "training.validation.loss": 0.7,
        "training.validation.accuracy": 0.8,
        "training.learning_rate": 0.01,
        "training.batches": 2,
        "training.samples": 64,
        "training.frames_per_second": 60.0,
        "training.nonfinite": 0,
        "training.images.url": f"{PUBLIC_URL}/go/images?session=run&attempt=1&epoch=1",
    }


def test_the_batch_with_the_highest_loss_is_an_event_with_its_images(world):
    """One click from the epoch's span to what the model got most wrong."""
    session = world.register()
    for index, loss in enumerate((0.5, 3.0, 0.5)):
        world.happen(session, batch(1, index, loss), at=START + index)
    world.happen(session, averages(1), at=START + 9)

    [epoch] = world.named("training.epoch")
    [event] = epoch.events

    assert (event.name, event.at) == ("highest loss", START + 1)
    assert event.attributes["training.batch"] == 1
    assert event.attributes["training.loss"] == 3.0
    link = urlsplit(event.attributes["training.images.url"])
    assert parse_qs(link.query) == {
        "session": ["run"],
        "attempt": ["1"],
        "epoch": ["1"],
        "batch": ["1"],
    }
    assert link.path == "/go/images"


def test_an_epoch_without_batches_starts_where_the_last_one_ended(world):
    """A client that reports only averages gets spans that lie end to end."""
    session = world.register()
    world.happen(session, averages(1), at=START + 10)
    world.happen(session, averages(2), at=START + 30)

    first, second = world.named("training.epoch")

    assert (first.start, first.end) == (START, START + 10)
    assert (second.start, second.end) == (START + 10, START + 30)
    assert second.attributes["training.batches"] == 0


def test_events_of_a_session_are_recorded_where_they_happened(world):
    """Status, commands with their answers, lost connections and the first NaN are events of the epoch."""
    session = world.register()
    result = CommandResult("c1", applied=True, message="paused", epoch=1, batch=7)
    refused = CommandResult("c2", applied=False, message="no", epoch=1, batch=8)
    world.happen(session, batch(1, 0), Connected(), at=START + 1)
    world.happen(
        session, CommandSent("c1", CommandType.PAUSE_TRAINING, {"why": "alert"}), at=START + 2
    )
    world.happen(session, CommandAnswered(CommandType.PAUSE_TRAINING, result), at=START + 3)
    world.happen(session, CommandAnswered(CommandType.STOP_TRAINING, refused), at=START + 4)
    world.happen(session, StatusChange(Status.PAUSED, "as planned"), at=START + 5)
    world.happen(session, Disconnected(), at=START + 6)
    world.happen(session, Connected(), at=START + 7)
    world.happen(session, batch(1, 1, math.nan), batch(1, 2, math.inf), Heartbeat(), at=START + 8)
    world.happen(session, averages(1), at=START + 9)

    [epoch] = world.named("training.epoch")
    events = {event.name: (event.at - START, event.attributes) for event in epoch.events}

    assert list(events) == [
        "highest loss",
        "command sent",
        "command applied",
        "command refused",
        "status",
        "disconnected",
        "reconnected",
        "non-finite loss",
    ]
    assert events["command sent"] == (
        2,
        {
            "training.command": "PAUSE_TRAINING",
            "training.command.id": "c1",
            "training.command.why": "alert",
        },
    )
    assert events["command applied"][1]["training.command.message"] == "paused"
    assert events["command applied"][1]["training.batch"] == 7
    assert events["status"] == (
        5,
        {"training.status": "paused", "training.status.message": "as planned"},
    )
    assert events["non-finite loss"] == (8, {"training.batch": 1, "training.loss": "nan"})
    assert epoch.attributes["training.nonfinite"] == 2


def test_events_are_at_most_sixteen_and_the_highest_loss_is_among_them(world):
    """A restless epoch keeps its span small, and says how many events are missing."""
    session = world.register()
    world.happen(session, batch(1, 0), at=START + 1)
    for second in range(40):
        world.happen(session, StatusChange(Status.RUNNING, str(second)), at=START + 2 + second)
    world.happen(session, averages(1), at=START + 50)

    [epoch] = world.named("training.epoch")

    assert len(epoch.events) == 16
    assert epoch.events[0].name == "highest loss"
    assert epoch.attributes["training.events.dropped"] == 25


def test_a_non_finite_number_is_left_out_and_counted(world):
    """Backends that cannot store NaN get the span all the same."""
    session = world.register()
    reported = Epoch(1, math.nan, math.inf, validation_loss=-math.inf, learning_rate=math.nan)
    world.happen(session, batch(1, 0, math.nan), reported, at=START + 1)

    [epoch] = world.named("training.epoch")

    assert not {"training.loss", "training.accuracy", "training.validation.loss"} & set(
        epoch.attributes
    )
    assert epoch.attributes["training.nonfinite"] == 4


def test_the_end_tells_how_it_went(world):
    """The closing span covers the whole session with its status, its last numbers and its last events."""
    session = world.register()
    world.happen(session, StatusChange(Status.RUNNING), at=START + 1)
    world.happen(session, batch(1, 0, 0.25), at=START + 2)
    world.happen(session, averages(1, 0.3, 0.8), at=START + 3)
    world.happen(session, *completed(), at=START + 4)

    [end] = world.named("training.session.end")

    assert (end.start, end.end) == (START, START + 4)
    assert end.span_id == span_id_of("run", 1, "end")
    assert end.parent_id == span_id_of("run", 1, "session")
    assert (end.outcome, end.message) == (Outcome.OK, "")
    assert end.attributes == {
        "training.session.id": "run",
        "training.session.attempt": 1,
        "training.session.url": f"{PUBLIC_URL}/sessions/run",
        "training.model.name": "resnet",
        "training.dataset.name": "digits",
        "training.status": "completed",
        "training.epochs": 1,
        "training.batches": 1,
        "training.batch.loss": 0.25,
        "training.loss": 0.3,
        "training.accuracy": 0.8,
    }
    assert [event.attributes["training.status"] for event in end.events] == ["running", "completed"]


def test_a_failure_is_an_error_with_its_message(world):
    """A run that failed stands out in every backend, with the reason and its unfinished epoch."""
    session = world.register()
    world.happen(session, batch(1, 0, 0.5), at=START + 1)
    world.happen(session, batch(1, 1, 1.0), at=START + 2)
    world.happen(
        session, StatusChange(Status.FAILED, "out of memory"), Ended(Stage.ENDED), at=START + 3
    )

    [epoch], [end] = world.named("training.epoch"), world.named("training.session.end")

    assert (end.outcome, end.message) == (Outcome.ERROR, "out of memory")
    assert (epoch.outcome, epoch.message) == (Outcome.ERROR, "out of memory")
    assert epoch.end == START + 2
    assert epoch.attributes["training.epoch.complete"] is False
    assert epoch.attributes["training.loss"] == 0.75
    assert epoch.attributes["training.batches"] == 2


def test_a_lost_session_ends_when_it_was_last_heard(world):
    """An hour of silence is not an hour of training."""
    session = world.register()
    world.happen(session, batch(1, 0), at=START + 1)
    world.happen(session, Ended(Stage.LOST), at=START + 3_600)

    [epoch], [end] = world.named("training.epoch"), world.named("training.session.end")

    assert epoch.end == end.end == START + 1
    assert end.outcome is Outcome.ERROR
    assert "silent" in end.message


def test_a_session_that_comes_back_from_the_dead_never_repeats_an_id(world):
    """What was sent stays as it was: the rest of an epoch, and a second end, are spans of their own."""
    session = world.register()
    world.happen(session, batch(1, 0), at=START + 1)
    world.happen(session, Ended(Stage.LOST), at=START + 2)
    world.happen(
        session, batch(1, 1), averages(1), batch(2, 0), averages(2), *completed(), at=START + 3
    )

    spans = world.spans()

    assert [span.name.rpartition(".")[2] for span in spans] == [
        "session",
        "epoch",
        "end",
        "epoch",
        "epoch",
        "end",
    ]
    assert len({span.span_id for span in spans}) == 6


def test_an_epoch_reported_twice_is_two_spans(world):
    """A loop that goes back to an earlier epoch gets a span for each time it went through."""
    session = world.register()
    for second, number in enumerate((1, 2, 2, 1, 2)):
        world.happen(session, averages(number), at=START + second)

    spans = world.named("training.epoch")

    assert [span.attributes["training.epoch"] for span in spans] == [1, 2, 2, 1, 2]
    assert len({span.span_id for span in spans}) == 5


def test_averages_that_come_late_find_their_epoch(world):
    """Validation may run beside the next epoch: both spans are whole."""
    session = world.register()
    world.happen(session, batch(1, 0), at=START + 1)
    world.happen(session, batch(2, 0), at=START + 2)
    world.happen(session, averages(1), at=START + 3)
    world.happen(session, batch(2, 1), averages(2), at=START + 4)

    first, second = world.named("training.epoch")

    assert (first.start, first.end, first.attributes["training.batches"]) == (
        START + 1,
        START + 3,
        1,
    )
    assert (second.start, second.end, second.attributes["training.batches"]) == (
        START + 2,
        START + 4,
        2,
    )
    assert (
        first.attributes["training.epoch.complete"]
        is second.attributes["training.epoch.complete"]
        is True
    )


def test_a_client_that_never_tells_averages_gets_spans_too(world):
    """An epoch is given up once the second one after it begins, and what its batches tell is sent."""
    session = world.register()
    for number in range(4):
        world.happen(session, batch(number, 0, 0.5), batch(number, 1, 0.75), at=START + number)

    spans = world.named("training.epoch")

    assert [span.attributes["training.epoch"] for span in spans] == [0, 1]
    assert all(span.attributes["training.epoch.complete"] is False for span in spans)
    assert spans[0].attributes["training.loss"] == 0.625


def test_a_sampled_traceparent_makes_the_session_part_of_that_trace(world):
    """A training job that is traced itself shows its epochs inside its own trace."""
    session = world.register(client=with_trace("01"))
    world.happen(session, averages(1), at=START + 1)

    root, epoch = world.spans()

    assert root.trace_id == epoch.trace_id == session.trace_id == TRACE
    assert (root.parent_id, root.is_parent_remote) == (PARENT, True)
    assert root.links == ()
    assert epoch.parent_id == root.span_id


def test_an_unsampled_traceparent_is_linked(world):
    """A trace that its owner does not keep must not swallow ours."""
    [root] = (world.register(client=with_trace("00")), world.spans())[1]

    assert root.trace_id == trace_id_of("run", 1)
    assert root.parent_id == ""
    assert [(link.trace_id, link.span_id) for link in root.links] == [(TRACE, PARENT)]


def test_a_new_attempt_is_linked_to_the_one_before(world):
    """The trace of a restarted run leads back; the attempt that broke off is closed as an error."""
    first = world.register()
    world.happen(first, batch(1, 0), at=START + 1)
    world.register(attempt=2, at=START + 100)

    spans = world.spans()
    root, [end] = spans[-1], world.named("training.session.end")

    assert [span.name for span in spans] == [
        "training.session",
        "training.epoch",
        "training.session.end",
        "training.session",
    ]
    assert root.trace_id == trace_id_of("run", 2) != spans[0].trace_id
    assert [(link.trace_id, link.span_id) for link in root.links] == [
        (spans[0].trace_id, spans[0].span_id)
    ]
    assert (end.trace_id, end.end) == (spans[0].trace_id, START + 1)
    assert end.outcome is Outcome.ERROR


def test_the_attempt_before_is_linked_even_when_nobody_remembers_it(world):
    """Its ids are functions of session and attempt."""
    world.register(attempt=3)

    [root] = world.spans()

    assert root.links[0].trace_id == trace_id_of("run", 2)
    assert root.links[0].span_id == span_id_of("run", 2, "session")


def test_an_ended_attempt_is_not_ended_again(world):
    """The next attempt finds nothing left to close."""
    first = world.register()
    world.happen(first, *completed(), at=START + 1)
    world.register(attempt=2, at=START + 2)

    assert len(world.named("training.session.end")) == 1


def test_long_texts_are_cut(world):
    """One client's novel must not make a span that no endpoint takes."""
    session = world.register(
        config=CONFIG, client=Client("x" * 100_000, labels={"y" * 5_000: "z" * 5_000})
    )
    world.happen(
        session, StatusChange(Status.FAILED, "m" * 100_000), Ended(Stage.ENDED), at=START + 1
    )

    assert all(len(span.to_json()) < 10_000 for span in world.spans())


def test_without_a_public_url_there_are_no_links(world):
    """A link that leads nowhere is worse than none."""
    world.sink.pages.public_url = ""
    session = world.register()
    world.happen(session, batch(1, 0), averages(1), *completed(), at=START + 1)

    assert not any("url" in name for span in world.spans() for name in span.attributes)


def test_a_span_survives_its_json(world):
    """What was written is what is sent."""
    session = world.register(client=with_trace("00"))
    world.happen(session, batch(1, 0), averages(1), at=START + 1)

    for span in world.spans():
        assert Span.from_json(span.to_json()) == span


def test_a_restart_goes_on_with_the_same_trace(tmp_path):
    """Ids, start, counts and events of the running epoch are those from before; no root is sent twice."""
    before = World(tmp_path)
    session = before.register(client=with_trace("01"))
    before.happen(session, StatusChange(Status.RUNNING), at=START)
    before.happen(session, averages(1), at=START + 1)
    before.happen(session, batch(2, 0), StatusChange(Status.PAUSED), at=START + 2)
    sent = before.spans()
    restored = before.restored(session)
    before.close()

    after = World(tmp_path)
    after.sink.replay(restored, Registered(), START + 50)
    assert after.spans() == sent
    after.happen(restored, batch(2, 1), averages(2), *completed(), at=START + 60)
    spans = after.spans()
    after.close()

    assert spans[:2] == sent
    assert [span.name for span in spans[2:]] == ["training.epoch", "training.session.end"]
    epoch, end = spans[2:]
    assert (epoch.start, epoch.end) == (START + 2, START + 60)
    assert epoch.attributes["training.batches"] == 2
    assert "status" in [event.name for event in epoch.events]
    assert {span.trace_id for span in spans} == {TRACE}
    assert end.attributes["training.epochs"] == 2
    assert [event.attributes["training.status"] for event in end.events] == ["running", "completed"]


def test_a_session_that_was_over_before_the_restart_stays_over(tmp_path):
    """A lingering session that is taken up again sends nothing."""
    before = World(tmp_path)
    session = before.register()
    before.happen(session, *completed(), at=START + 1)
    count = len(before.spans())
    restored = before.restored(session)
    before.close()

    after = World(tmp_path)
    after.sink.replay(restored, Registered(), START + 2)

    assert len(after.spans()) == count
    after.close()


def test_what_was_committed_together_is_known_together(world):
    """A commit that fails is written again, once, with everything in it."""
    session = world.register()
    world.happen(session, averages(1), at=START + 1)
    work = world.sink.collect()
    with suppress(OSError), world.database.transaction() as transaction:
        work.write(transaction)
        raise OSError("the disk is full")
    assert world.outbox.count() == 0

    with world.database.transaction() as transaction:
        work.write(transaction)
    work.on_committed()

    assert world.outbox.count() == 2
    assert world.sink.waiting.is_set()
    assert world.sink.collect() is None


def test_what_is_replayed_is_sent_once(tmp_path):
    """An epoch that ended after the last checkpoint is known again, and its span is not made again."""
    before = World(tmp_path)
    session = before.register()
    restored = before.restored(session)
    before.happen(session, batch(1, 0), averages(1), at=START + 1)
    sent = before.spans()
    before.close()

    after = World(tmp_path)
    for event in (Registered(), batch(1, 0), averages(1)):
        after.sink.replay(restored, event, START + 1)
    assert after.spans() == sent
    after.happen(restored, *completed(), at=START + 2)
    [*_, end] = after.spans()
    after.close()

    assert (end.attributes["training.epochs"], end.attributes["training.batches"]) == (1, 1)


def test_an_attempt_that_began_without_an_endpoint_has_a_root(world):
    """The trace of the attempt before is ended, and the new one begun, when there is an endpoint again."""
    first = world.register()
    world.happen(first, batch(1, 0), at=START + 1)
    state = world.sink.snapshot(first)
    world.spans()
    after = World(world.folder / "after")
    second = Session("run", CLIENT, CONFIG, now=START + 100, attempt=2)
    second.restored_state = {"trace": state}
    after.sink.replay(second, Registered(), START + 100)

    after.happen(second, batch(1, 0), at=START + 101)
    names = [(span.name, span.trace_id == trace_id_of("run", 2)) for span in after.spans()]
    after.close()

    assert names == [
        ("training.epoch", False),
        ("training.session.end", False),
        ("training.session", True),
    ]


def test_a_session_from_before_there_was_an_endpoint_has_a_root(world):
    """Its trace begins with the first thing that happens after the restart."""
    session = Session("run", CLIENT, CONFIG, now=START)
    world.sink.replay(session, Registered(), START)
    assert world.spans() == []

    world.happen(session, batch(1, 0), at=START + 1)

    assert [span.name for span in world.spans()] == ["training.session"]


def test_an_expired_session_leaves_nothing(world):
    """Nothing is kept for a session that will not go on."""
    session = world.register()
    world.happen(session, batch(1, 0), *completed(), at=START + 1)
    world.commit()
    world.happen(session, Expired(), at=START + 2)
    world.commit()

    assert world.sink.snapshot(session) is None
    assert world.sink.collect() is None


def test_a_full_outbox_drops_the_oldest_and_counts_them(tmp_path):
    """An outage longer than the outbox costs the oldest spans, and says how many."""
    world = World(tmp_path, limit=10)
    session = world.register()
    for number in range(14):
        world.happen(session, averages(number), at=START + number)
        world.commit()

    numbers = [span.attributes["training.epoch"] for span in world.spans()]

    assert numbers == list(range(4, 14))
    assert world.count("dropped") == 5
    world.close()


def test_what_is_not_reported_is_in_no_span(world):
    """A missing loss is neither a mean, nor a highest one, nor a NaN; the batch still counts."""
    session = world.register()
    world.happen(
        session, batch(1, 0, None, sample_count=4), StatusChange(Status.UNKNOWN), at=START + 1
    )
    world.happen(session, Performance(), averages(1, None, None), at=START + 2)
    world.happen(session, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=START + 3)

    [epoch] = world.named("training.epoch")
    [end] = world.named("training.session.end")

    absent = {
        "training.loss",
        "training.accuracy",
        "training.loss.highest",
        "training.batch.loss",
        "training.frames_per_second",
    }
    assert not absent & (epoch.attributes.keys() | end.attributes.keys())
    assert epoch.events == ()
    assert epoch.attributes["training.nonfinite"] == 0
    assert (epoch.attributes["training.batches"], epoch.attributes["training.samples"]) == (1, 4)


def test_labels_that_differ_beyond_the_cut_stay_apart(world):
    """A long name is cut, and still no other name's."""
    labels = {"x" * 5_000 + "a": "1", "x" * 5_000 + "b": "2"}
    world.register(client=Client("trainer", "1", "i", labels))

    [root] = world.named("training.session")
    labels = {name: value for name, value in root.attributes.items() if ".label." in name}
    assert sorted(labels.values()) == ["1", "2"]
    assert all(len(name) < 200 for name in labels)

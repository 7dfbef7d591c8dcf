"""Windows: the spans by which a trace shows an epoch while it runs."""

import math
from urllib.parse import parse_qs, urlsplit

import pytest
from support.spans import START, World, averages, batch

from bridge.lifecycle import Ended, Registered
from bridge.model import Level, Occurrence, Scalars, Stage, Status, StatusChange
from bridge.sinks.spans import SpanOptions, WindowLimits
from bridge.trace_context import span_id_of


@pytest.fixture
def by_steps(tmp_path):
    """A bridge with a window for every two batches."""
    world = World(tmp_path, options=SpanOptions(WindowLimits(steps=2)))
    yield world
    world.close()


def step(number, loss=0.5, **more):
    """Return a batch of a run that counts by steps."""
    return batch(0, number, loss, step=number, **more)


def train(world, session, numbers, **more):
    """Have a batch come every second."""
    for number in numbers:
        world.happen(session, step(number, **more), at=START + number)


def occurrence(name="lr drop", **more):
    """Return an event."""
    values = {"message": "", "level": Level.INFO, "details": {}, "epoch": 0, "batch": 1}
    return Occurrence(name, **(values | more))


def test_a_running_epoch_is_shown_by_its_windows(by_steps):
    """Each window is there as soon as it is over, below the span that its epoch will have."""
    session = by_steps.register()

    train(by_steps, session, range(1, 6))
    windows = by_steps.named("training.window")
    by_steps.happen(session, averages(0), at=START + 9)
    [epoch] = by_steps.named("training.epoch")

    assert [window.span_id for window in windows] == [
        span_id_of("run", 1, f"window/{number}") for number in (1, 2)
    ]
    assert {window.parent_id for window in windows} == {epoch.span_id}
    assert epoch.span_id == span_id_of("run", 1, "epoch/0")
    assert [(window.start, window.end) for window in windows] == [
        (START + 1, START + 2),
        (START + 2, START + 4),
    ]


def test_a_window_says_what_was_done_in_it(by_steps):
    """Steps, losses, rates and the images of its time; the newest learning rate and gradient norm."""
    session = by_steps.register()
    rates = Scalars(0, 1, {"learning_rate": 0.1, "gradient_norm": 2.0}, 1, "train")

    train(by_steps, session, [1, 2])
    by_steps.happen(session, rates, at=START + 2)
    train(by_steps, session, [3], loss=3.0, sample_count=8, tokens=100)
    train(by_steps, session, [4], loss=1.0, sample_count=8, tokens=300)

    window = by_steps.named("training.window")[1]
    link = window.attributes["training.images.url"]
    assert window.attributes == {
        "training.session.id": "run",
        "training.session.attempt": 1,
        "training.model.name": "resnet",
        "training.dataset.name": "digits",
        "training.epoch": 0,
        "training.window": 2,
        "training.step.first": 3,
        "training.step": 4,
        "training.batches": 2,
        "training.samples": 16,
        "training.samples_per_second": 8.0,
        "training.tokens": 400,
        "training.tokens_per_second": 200.0,
        "training.loss": 2.0,
        "training.loss.highest": 3.0,
        "training.loss.last": 1.0,
        "training.learning_rate": 0.1,
        "training.gradient_norm": 2.0,
        "training.nonfinite": 0,
        "training.images.url": link,
    }
    query = parse_qs(urlsplit(link).query)
    assert query["attempt"] == ["1"]
    assert (query["at"], query["window_ms"]) == ([f"{START + 4:.0f}000"], ["2000"])


def test_a_window_by_time_ends_with_the_first_batch_after_it(tmp_path):
    """However fast or slow the loop is, a window comes about once in the time given."""
    world = World(tmp_path, options=SpanOptions(WindowLimits(seconds=10)))
    session = world.register()

    for number in range(60):
        world.happen(session, step(number), at=START + number / 2)

    windows = world.named("training.window")
    assert [(window.start - START, window.end - START) for window in windows] == [(0, 10), (10, 20)]
    assert [window.attributes["training.batches"] for window in windows] == [21, 20]
    world.close()


def test_with_both_limits_a_window_ends_by_the_first(tmp_path):
    """Steps that come slowly are cut by time, fast ones by their number."""
    world = World(tmp_path, options=SpanOptions(WindowLimits(steps=3, seconds=10)))
    session = world.register()

    for number, seconds in enumerate([0, 1, 2, 20, 21, 22, 23]):
        world.happen(session, step(number), at=START + seconds)

    counts = [span.attributes["training.batches"] for span in world.named("training.window")]
    assert counts == [3, 1, 3]
    world.close()


def test_the_rest_of_an_epoch_is_a_window_too(by_steps):
    """Windows cover the whole epoch; one that is shorter than a window has none."""
    session = by_steps.register()

    train(by_steps, session, [1, 2, 3])
    by_steps.happen(session, averages(0), at=START + 4)
    by_steps.happen(session, batch(1, 0), at=START + 5)
    by_steps.happen(session, averages(1), at=START + 6)

    windows = by_steps.named("training.window")
    assert [window.attributes["training.batches"] for window in windows] == [2, 1]


def test_a_run_without_epochs_has_windows_and_its_one_span(by_steps):
    """At its end everything is there: the windows, what they are part of, and the end of the session."""
    session = by_steps.register()

    train(by_steps, session, range(1, 4), tokens=10)
    by_steps.happen(session, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=START + 4)

    names = [span.name.removeprefix("training.") for span in by_steps.spans()]
    assert names == ["session", "window", "window", "epoch", "session.end"]
    epoch, end = by_steps.spans()[3:]
    assert (epoch.attributes["training.step"], epoch.attributes["training.tokens"]) == (3, 30)
    assert (end.attributes["training.step"], end.attributes["training.tokens"]) == (3, 30)


def test_an_event_is_seen_at_once_and_with_its_epoch(by_steps):
    """An event of the loop is on the window that it happened in, and on the epoch."""
    session = by_steps.register()
    drop = occurrence(message="by half", level=Level.WARNING, details={"from": "0.1"}, step=2)

    train(by_steps, session, [1])
    by_steps.happen(session, drop, at=START + 2)
    train(by_steps, session, [2, 3])
    by_steps.happen(session, averages(0), at=START + 9)

    first, rest = by_steps.named("training.window")
    [epoch] = by_steps.named("training.epoch")
    [event] = [event for event in first.events if event.name == "event"]
    assert event.attributes == {
        "training.event": "lr drop",
        "training.event.message": "by half",
        "training.event.level": "warning",
        "training.event.detail.from": "0.1",
        "training.epoch": 0,
        "training.batch": 1,
        "training.step": 2,
    }
    assert event in epoch.events
    assert "event" not in [event.name for event in rest.events]


def test_events_are_bounded(by_steps):
    """A flood of them leaves the number that was left out."""
    session = by_steps.register()

    train(by_steps, session, [1])
    details = {f"name{number}": "x" for number in range(40)}
    by_steps.happen(session, *[occurrence(details=details)] * 50, at=START + 1)
    train(by_steps, session, [2])

    [window] = by_steps.named("training.window")
    assert len(window.events) == 16
    assert window.attributes["training.events.dropped"] == 35
    assert len(window.events[0].attributes) == 16 + 4


def test_a_restart_repeats_no_window(tmp_path):
    """What was committed is known again: windows go on where they were, each sent once under its id."""
    options = SpanOptions(WindowLimits(steps=2))
    before = World(tmp_path, options=options)
    session = before.register()
    train(before, session, [1])
    restored = before.restored(session)
    train(before, session, [2, 3])
    sent = before.spans()
    before.close()

    after = World(tmp_path, options=options)
    after.sink.replay(restored, Registered(), START + 1)
    for number in (2, 3):
        after.sink.replay(restored, step(number), START + number)
        restored.apply(step(number), START + number)
    assert after.spans() == sent
    after.happen(restored, step(4), averages(0), at=START + 4)
    spans = after.spans()
    after.close()

    windows = [span for span in spans if span.name == "training.window"]
    [epoch] = [span for span in spans if span.name == "training.epoch"]
    assert [window.attributes["training.step"] for window in windows] == [2, 4]
    assert len({window.span_id for window in windows}) == 2
    assert {window.parent_id for window in windows} == {epoch.span_id}


def test_a_later_restart_knows_the_open_window(tmp_path):
    """A checkpoint holds the window that is open, and the id that its epoch will have."""
    options = SpanOptions(WindowLimits(steps=2))
    before = World(tmp_path, options=options)
    session = before.register()
    train(before, session, [1, 2, 3])
    before.commit()
    restored = before.restored(session)
    before.close()

    after = World(tmp_path, options=options)
    after.sink.replay(restored, Registered(), START + 3)
    after.happen(restored, step(4), averages(0), at=START + 4)
    windows = after.named("training.window")
    [epoch] = after.named("training.epoch")
    after.close()

    assert [window.attributes["training.step.first"] for window in windows] == [1, 3]
    assert {window.parent_id for window in windows} == {epoch.span_id}


def test_an_epoch_repeated_has_windows_of_its_own(by_steps):
    """A loop that goes back to an epoch has a second span of it, which its windows name."""
    session = by_steps.register()

    for _ in range(2):
        train(by_steps, session, [1, 2])
        by_steps.happen(session, averages(0), at=START + 3)

    epochs = by_steps.named("training.epoch")
    windows = by_steps.named("training.window")
    assert len({epoch.span_id for epoch in epochs}) == 2
    assert [window.parent_id for window in windows] == [epoch.span_id for epoch in epochs]


def test_times_follow_a_clock_that_is_set(tmp_path):
    """A window is as long as it took, whatever happens to the clock."""
    now = [0.0]
    options = SpanOptions(WindowLimits(steps=2))
    world = World(tmp_path, monotonic=lambda: now[0], options=options)
    session = world.register()
    world.happen(session, step(1), at=START)
    now[0] = 5.0
    world.happen(session, step(2), at=START + 3_605)

    [window] = world.named("training.window")
    assert (window.start, window.end) == (START + 3_600, START + 3_605)
    world.close()


def test_without_the_setting_there_are_no_windows(world):
    """Nothing changes for bridges that do not ask for them."""
    session = world.register()

    train(world, session, range(100))
    world.happen(session, averages(0), at=START + 200)

    assert not world.named("training.window")
    [epoch] = world.named("training.epoch")
    assert not [name for name in epoch.attributes if name.startswith("dl.")]


def test_attributes_may_have_the_names_of_nemo_lens_too(tmp_path):
    """With the switch both names are there, with the same value; without a value neither."""
    world = World(tmp_path, options=SpanOptions(WindowLimits(steps=1), has_dl_attributes=True))
    session = world.register()
    world.happen(session, step(7, 0.25), at=START)
    world.happen(session, step(8, math.nan), at=START + 1)

    [root] = world.named("training.session")
    first, second = world.named("training.window")
    world.close()

    assert root.attributes["dl.batch_size"] == root.attributes["training.batch_size"] == 32
    assert {name: value for name, value in first.attributes.items() if name.startswith("dl.")} == {
        "dl.iteration": 7,
        "dl.loss": 0.25,
    }
    assert "dl.loss" not in second.attributes


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.COMPLETED, "ok"),
        (Status.STOPPED, "ok"),
        (Status.INTERRUPTED, "unset"),
        (Status.TERMINATED, "unset"),
        (Status.FAILED, "error"),
    ],
)
def test_each_way_to_end_has_its_outcome(world, status, outcome):
    """A run that somebody cut short neither succeeded nor failed."""
    session = world.register()

    world.happen(session, StatusChange(status), Ended(Stage.ENDED), at=START + 1)

    [end] = world.named("training.session.end")
    assert (end.outcome, end.attributes["training.status"]) == (outcome, status)


def test_a_run_without_epochs_says_nothing_of_their_number(by_steps):
    """It has reported none, which is not the same as none completed."""
    session = by_steps.register()

    train(by_steps, session, range(4))
    by_steps.happen(session, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=START + 9)

    [end] = by_steps.named("training.session.end")
    assert "training.epochs" not in end.attributes
    assert end.attributes["training.step"] == 3

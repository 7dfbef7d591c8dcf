"""What a training loop reports as events and alerts."""

import logging

import numpy as np
import pytest

from bridge.client import TrainingSession
from bridge.client.calls import EventCall
from bridge.client.delivery.backlog import Backlog
from bridge.client.delivery.eviction import make_room
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut
from bridge.client.stats import Stats
from bridge.client.testing import Event, RecordingBridge
from bridge.wire import metrics_pb2 as wire

torch = pytest.importorskip("torch")


def test_an_event_is_where_the_loop_was():
    """With epoch, batch and step of the last log_batch; an alert is one that is a warning."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        session.event("data loaded")
        session.log_batch(0.5, epoch=1, batch=2, step=12)
        session.event("rate drop", "a tenth of before", rate=0.01, schedule="cosine")
        session.log_batch(0.5, step=13)
        session.alert("loss spike", loss=np.float32(9.5))
        session.alert("no data", "the store is away", level="error")

    assert bridge.events == [
        Event("data loaded", "", "info", {}, 0, 0, None),
        Event(
            "rate drop",
            "a tenth of before",
            "info",
            {"rate": "0.01", "schedule": "cosine"},
            1,
            2,
            12,
        ),
        Event("loss spike", "", "warning", {"loss": "9.5"}, 0, 13, 13),
        Event("no data", "the store is away", "error", {}, 0, 13, 13),
    ]


def test_an_event_does_not_begin_the_training():
    """A loop that loads its data has not begun."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.event("data loaded")

    assert [status.name for status, _ in bridge.statuses] == ["INITIALIZING", "COMPLETED"]


def test_details_are_what_they_were_at_the_call():
    """Whatever the loop overwrites afterwards; large ones are described."""
    bridge = RecordingBridge()
    loss, rows = torch.tensor(0.5), np.zeros((4, 3))
    with TrainingSession(bridge, strict=True) as session:
        session.event("spike", loss=loss, rows=rows, none=None, flag=True)
        loss.fill_(9.0)

    (event,) = bridge.events
    assert event.details == {
        "loss": "0.5",
        "rows": "ndarray of shape (4, 3)",
        "none": "None",
        "flag": "True",
    }


def test_ever_new_names_become_one(caplog):
    """The first 64 are kept, and nothing of the others is lost; it is said once."""
    bridge = RecordingBridge()
    with caplog.at_level(logging.WARNING, "trainbridge"), TrainingSession(bridge) as session:
        for number in range(100):
            session.event(f"checkpoint {number}", "saved" if number % 2 else "")

    assert len({event.name for event in bridge.events}) == 65
    assert len(bridge.events) == 100
    assert (bridge.events[98].name, bridge.events[98].message) == ("other", "checkpoint 98")
    assert (bridge.events[99].name, bridge.events[99].message) == ("other", "checkpoint 99: saved")
    (sentence,) = (line for line in caplog.messages if "left out" in line)
    assert "more than 64 names in this session, so this one is sent as 'other'" in sentence


def test_a_long_name_is_short_as_a_label_and_whole_in_the_message():
    """It is cut, not refused."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        session.event(f"  {'x' * 300}\n", "why")

    (event,) = bridge.events
    assert event.name == "x" * 125 + "..."
    assert event.message == "x" * 300 + ": why"


def test_too_many_details_cost_themselves():
    """The first 64 are sent, none longer than a bridge keeps."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.event("many", **{f"d{number}": "x" * 1_000 for number in range(100)})

    (event,) = bridge.events
    assert len(event.details) == 64
    assert {len(value) for value in event.details.values()} == {256}
    assert session.stats.left_out == {"details: unreadable": 1}


def test_the_newest_and_the_first_of_a_name_stay_where_memory_is_full():
    """Events are never dropped for others' sake, and never fill the memory by themselves."""
    encoder, stats = Encoder(RunConfig(), LeftOut()), Stats()
    backlog = Backlog(20_000, stats)
    for number in range(1_000):
        name = ("drop", "spike")[number % 2]
        call = EventCall(0.0, name, f"{number}", 0, {}, None, None, number)
        backlog.add(encoder.event(call, 0))
        make_room(backlog)

    kept = [wire.MetricsRequest.FromString(message.body).event for message in backlog.unsent]
    assert len(kept) < 200
    assert {"0", "1", "998", "999"} <= {event.message for event in kept}
    assert stats.dropped == 1_000 - len(kept)


def test_events_that_come_too_fast_are_counted():
    """As epochs are."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, buffer_bytes=0) as session:
        for _ in range(5_000):
            session.event("again")
    lost = session.stats.left_out.get("events: no memory", 0)

    assert len(bridge.events) + session.stats.dropped == 5_000
    assert lost <= session.stats.dropped


def test_phases_are_recorded():
    """What a loop was busy with, and how long, beside its statuses."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5)
        with session.phase("validation"):
            pass

    assert set(bridge.phase_seconds) >= {"startup", "training", "validation"}
    assert bridge.phases[-1:] == ["training"]
    assert [status.name for status, _ in bridge.statuses] == [
        "INITIALIZING",
        "RUNNING",
        "COMPLETED",
    ]

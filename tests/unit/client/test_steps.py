"""A run that is counted by steps, or that reports them beside its epochs."""

import re

import numpy as np
import pytest

from bridge.client import CommandType, TrainingSession
from bridge.client.testing import RecordingBridge

torch = pytest.importorskip("torch")


def steps_of(bridge):
    """Return epoch, batch and step of each batch."""
    return [(batch.epoch, batch.batch, batch.step) for batch in bridge.batches]


def test_a_loop_without_epochs_counts_by_itself():
    """From 0, one a call, whatever the kind of its loss; all of it is epoch 0 for bridges that know no steps."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        assert session.step is None
        session.log_batch(0.5)
        session.log_batch(np.float32(0.5))
        session.log_batch(torch.tensor(0.5), tokens=8)
        session.log_batch(None)
        assert session.step == 3

    assert steps_of(bridge) == [(0, step, step) for step in range(4)]


def test_a_step_that_is_given_counts():
    """The next ones go on from it, back as well as forward: what is sent again is data."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        for given in (None, 100, None, np.int64(7), None, torch.tensor(50), None, -1, None):
            session.log_batch(0.5, step=given)

    assert [step for _, _, step in steps_of(bridge)] == [0, 100, 101, 7, 8, 50, 51, 52]
    assert session.stats.faults == 1


def test_a_loop_with_epochs_may_report_its_steps():
    """They are sent where they are given, and only there."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        session.log_batch(0.5, epoch=1, batch=0)
        assert session.step is None
        session.log_batch(0.5, epoch=1, batch=1, step=41)
        assert session.step == 41
        session.log_batch(0.5, epoch=1, batch=2, step=2**40, tokens=np.int64(3))

    assert steps_of(bridge) == [(1, 0, None), (1, 1, 41), (1, 2, 2**40)]
    assert [batch.tokens for batch in bridge.batches] == [0, 0, 3]


def test_an_unreadable_step_costs_itself_where_there_is_an_epoch():
    """The batch is sent: epoch and batch say where it belongs. Without them nobody knows."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=3, step="four", tokens="many")
        session.log_batch(0.5, step="four")

    assert steps_of(bridge) == [(0, 3, None)]
    assert session.stats.left_out == {
        "step: unreadable": 1,
        "tokens: unreadable": 1,
        "batches: unreadable": 1,
    }


def test_scalars_belong_to_the_last_batch():
    """Or to a step of its epoch, or to what is given."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        session.log_scalars({"a": 1.0})
        session.log_scalars({"a": 1.0}, step=3)
        session.log_batch(0.5, step=9)
        session.log_scalars({"a": 1.0}, split="validation")
        session.log_scalars({"a": 1.0}, step=10)
        session.log_scalars({"a": 1.0}, epoch=2)
        session.log_batch(0.5, epoch=4, batch=5, step=45)
        session.log_scalars({"a": 1.0})
        session.log_scalars({"a": 1.0}, step=50)
        session.log_scalars({"a": 1.0}, batch=6)

    assert [(one.epoch, one.batch, one.step) for one in bridge.scalars] == [
        (0, 0, None),
        (0, 3, 3),
        (0, 9, 9),
        (0, 10, 10),
        (2, 0, None),
        (4, 5, 45),
        (4, 5, 50),
        (4, 6, None),
    ]
    assert [one.split for one in bridge.scalars] == ["", "", "validation", *[""] * 5]


def test_steps_and_tokens_are_in_the_account():
    """The last step that was sent, and all tokens."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        assert session.stats.step is None
        for step in range(10, 13):
            session.log_batch(0.5, step=step, tokens=4_096)
        session.flush()
        assert (session.stats.step, session.stats.tokens) == (12, 3 * 4_096)


def test_a_step_that_finds_no_room_is_a_step_all_the_same():
    """Its batch is counted as left out; the count goes on."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, buffer_bytes=0) as session:
        for _ in range(3_000):
            session.log_batch(0.5)
        assert session.step == 2_999
    sent = [step for _, _, step in steps_of(bridge)]
    assert sent == sorted(set(sent))
    assert len(sent) + session.stats.dropped == 3_000


def test_the_answer_to_a_command_says_at_which_step():
    """In a run by steps, a bridge shows the step where it shows the batch of others."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.on(CommandType.SAVE_CHECKPOINT, lambda _: None)
        session.log_batch(0.5, step=8)
        bridge.send_command(CommandType.SAVE_CHECKPOINT)
        session.log_batch(0.5)

    assert [(answer.epoch, answer.batch) for answer in bridge.answers] == [(0, 9)]


@pytest.mark.parametrize("where", [{"epoch": 5}, {"batch": 5}])
def test_a_batch_that_is_nowhere_takes_nothing_else_with_it(where):
    """What is logged after a batch without its epoch or its place there is where the last batch was that said both."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=1, batch=2)
        session.log_batch(0.5, **where)
        session.log_scalars({"reward": 1.0})
        session.event("evaluated")

    assert [(one.epoch, one.batch) for one in bridge.scalars] == [(1, 2)]
    assert [(one.epoch, one.batch) for one in bridge.events] == [(1, 2)]
    assert session.stats.faults == 1


def test_a_utilization_in_percent_is_called_by_its_name(caplog):
    """The sentence says which number it is about, and what to give."""
    sentence = r"mfu: 31 is not between 0 and 1; give 0\.31"
    with TrainingSession(RecordingBridge()) as session:
        session.log_scalars({"mfu": 31.0})

    assert re.search(sentence, caplog.text)

"""What `session.controls` makes of a loop's own functions; with optimizers of torch in tests/frameworks."""

import pytest

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge
from bridge.protocol import CommandType

LR, SIZE, SAVE = (
    CommandType.CHANGE_LEARNING_RATE,
    CommandType.ADJUST_BATCH_SIZE,
    CommandType.SAVE_CHECKPOINT,
)


@pytest.fixture
def bridge():
    """Return a bridge that records."""
    return RecordingBridge()


def answers_to(bridge, type, *, controls, **parameters):
    """Return the answer of a loop with these controls to one command."""
    with TrainingSession(bridge) as session:
        session.controls(**controls)
        bridge.send_command(type, **parameters)
        session.log_batch(0.5, epoch=0, batch=7)
    (answer,) = bridge.answers
    return answer.applied, answer.message


def test_each_command_reaches_its_function(bridge):
    """With the value that it takes, as a number."""
    seen = []
    with TrainingSession(bridge) as session:
        session.controls(
            lr=lambda rate: seen.append(("lr", rate)),
            batch_size=lambda size: seen.append(("batch_size", size)),
            checkpoint=lambda: seen.append("checkpoint") or "model.pt",
        )
        bridge.send_command(LR, learning_rate="3e-4")
        bridge.send_command(SIZE, batch_size=64)
        bridge.send_command(SAVE)
        session.log_batch(0.5, epoch=0, batch=7)

    assert seen == [("lr", 3e-4), ("batch_size", 64), "checkpoint"]
    assert [(answer.applied, answer.message) for answer in bridge.answers] == [
        (True, ""),
        (True, ""),
        (True, "model.pt"),
    ]
    (scalars,) = bridge.scalars
    assert scalars.values["learning_rate"] == pytest.approx(3e-4)
    assert (scalars.epoch, scalars.batch) == (0, 7)


@pytest.mark.parametrize("given", ["", "fast", "nan", "inf", "0", "-0.1", "1e999"])
def test_a_rate_that_cannot_be_one_is_refused_before_the_loop_sees_it(bridge, given):
    """With what to give instead."""
    applied, message = answers_to(
        bridge, LR, controls={"lr": pytest.fail}, **({"learning_rate": given} if given else {})
    )

    assert not applied
    assert message.startswith(
        f"learning_rate is {given!r}" if given else "learning_rate is missing"
    )
    assert message.endswith("give a finite number above 0, such as 0.0003")
    assert bridge.scalars == []


@pytest.mark.parametrize("given", ["", "many", "nan", "0", "-8", "2.5", str(1 << 40)])
def test_a_size_that_cannot_be_one_is_refused_before_the_loop_sees_it(bridge, given):
    """As rates are."""
    applied, message = answers_to(
        bridge, SIZE, controls={"batch_size": pytest.fail}, batch_size=given
    )

    assert not applied
    assert message.endswith("give a whole number from 1, such as 64")


def test_a_function_may_refuse(bridge):
    """By returning False; nothing is reported then."""
    assert answers_to(bridge, LR, controls={"lr": lambda _: False}, learning_rate=0.1) == (
        False,
        "",
    )
    assert bridge.scalars == []


def test_what_a_function_raises_is_the_answer(bridge):
    """And training goes on."""

    def full():
        raise OSError("the disk is full")

    assert answers_to(bridge, SAVE, controls={"checkpoint": full}) == (
        False,
        "OSError: the disk is full",
    )


@pytest.mark.parametrize(
    "controls",
    [{"lr": 0.1}, {"optimizer": "adam"}, {"optimizer": []}, {"scheduler": object()}],
)
def test_what_cannot_be_used_is_left_out(bridge, controls):
    """It is counted, and raised in strict mode; the loop's commands are refused as without it."""
    with TrainingSession(bridge) as session:
        session.controls(**controls)
        assert session.stats.faults == 1
        bridge.send_command(LR, learning_rate=0.1)
        session.log_batch(0.5, epoch=0, batch=0)
    assert [answer.applied for answer in bridge.answers] == [False]

    with (
        TrainingSession(bridge, strict=True) as session,
        pytest.raises(ValueError, match=r"optimizer|scheduler|lr"),
    ):
        session.controls(**controls)


class OwnCallback:
    """A callback with attributes of its own, as any object may have."""

    def __call__(self, _parameters):
        return "saved"

    def confirm(self, what):
        pytest.fail(f"asked to confirm {what}")

    def __getattr__(self, name):
        raise OSError(f"no {name}")


def test_a_callback_is_called_and_nothing_else_of_it_is_used(bridge):
    """It may be an object with a `confirm` or an `undo` of its own, or one that raises for any name."""
    with TrainingSession(bridge) as session:
        session.on(SAVE, OwnCallback())
        bridge.send_command(SAVE)
        session.log_batch(0.5, epoch=0, batch=0)

    assert [(answer.applied, answer.message) for answer in bridge.answers] == [(True, "saved")]


def test_a_callback_that_calls_the_session_does_not_begin_the_next_one(bridge):
    """However many commands wait, each is carried out after the other, and is not refused meanwhile."""
    depths = []
    depth = 0

    def evaluates():
        nonlocal depth
        depth += 1
        depths.append(depth)
        session.log_batch(0.5, epoch=1, batch=len(depths))
        session.log_epoch(1, loss=0.5)
        assert not session.agree_to_stop()
        depth -= 1

    with TrainingSession(bridge) as session:
        session.controls(checkpoint=evaluates)
        for _ in range(200):
            bridge.send_command(SAVE)
        session.log_batch(0.5, epoch=0, batch=0)

    assert depths == [1] * 200
    assert [answer.applied for answer in bridge.answers] == [True] * 200


def test_a_function_that_replaces_itself_reports_the_rate_that_it_was_given(bridge):
    """The one that takes its place was given none yet."""

    def changes(_rate):
        session.controls(lr=changes)

    with TrainingSession(bridge) as session:
        session.controls(lr=changes)
        bridge.send_command(LR, learning_rate=0.25)
        session.log_batch(0.5, epoch=0, batch=0)

    assert [each.values["learning_rate"] for each in bridge.scalars] == [0.25]


class Optimizer:
    """An optimizer, as far as it matters."""

    def __init__(self):
        self.param_groups = [{"lr": 0.1}]


@pytest.mark.parametrize("groups", [None, [3], [{"lr": 0.1}, None]])
def test_an_optimizer_that_has_broken_costs_its_rate_alone(bridge, groups):
    """The end of an epoch is reported without a rate that cannot be read, and the command is refused."""
    with TrainingSession(bridge) as session:
        optimizer = Optimizer()
        session.controls(optimizer=optimizer)
        optimizer.param_groups = groups
        session.log_epoch(0, loss=0.5)
        bridge.send_command(LR, learning_rate=0.5)
        session.log_batch(0.5, epoch=1, batch=0)

    (epoch,) = bridge.epochs
    assert epoch.learning_rate == (pytest.approx(0.1) if groups and len(groups) == 2 else None)
    assert [answer.applied for answer in bridge.answers] == [False]


def test_controls_add_up(bridge):
    """A later call replaces what it names, and leaves the rest."""
    seen = []
    with TrainingSession(bridge) as session:
        session.controls(lr=pytest.fail, checkpoint=lambda: seen.append("checkpoint"))
        session.controls(lr=seen.append)
        bridge.send_command(LR, learning_rate=0.5)
        bridge.send_command(SAVE)
        session.log_batch(0.5, epoch=0, batch=0)

    assert seen == [0.5, "checkpoint"]


def test_a_command_that_comes_before_its_callback_waits_for_the_first_step(bridge):
    """The bridge may have had it ready when the session connected."""
    seen = []
    with TrainingSession(bridge) as session:
        bridge.send_command(LR, learning_rate=0.5)
        session.log_scalars({"loss": 1.0})
        assert bridge.answers == []
        session.controls(lr=seen.append)
        session.log_batch(0.5, epoch=0, batch=0)

    assert seen == [0.5]
    assert [answer.applied for answer in bridge.answers] == [True]


def test_a_command_without_a_callback_is_refused_at_the_first_step(bridge):
    """And from then on at once."""
    with TrainingSession(bridge) as session:
        bridge.send_command(LR, learning_rate=0.5)
        session.log_batch(0.5, epoch=0, batch=0)
        bridge.send_command(SAVE)
        session.flush()
        assert [answer.message for answer in bridge.answers] == [
            "this training loop does not take CHANGE_LEARNING_RATE",
            "this training loop does not take SAVE_CHECKPOINT",
        ]

"""What commands may set, whoever sends them."""

import pytest

from bridge.command_bounds import UNBOUNDED, CommandBounds
from bridge.commands import Commands, State
from bridge.errors import InvalidDataError
from bridge.protocol import CommandType

BOUNDS = CommandBounds(min_learning_rate=0.001, max_learning_rate=0.1, max_batch_size=64)
RATE, SIZE = CommandType.CHANGE_LEARNING_RATE, CommandType.ADJUST_BATCH_SIZE


@pytest.mark.parametrize(
    ("type", "parameters", "sentence"),
    [
        (RATE, {"learning_rate": "0.0009"}, "below 0.001"),
        (RATE, {"learning_rate": "0.11"}, "above 0.1"),
        (SIZE, {"batch_size": "65"}, "above 64"),
        (RATE, {"lr": "0.01"}, "learning_rate must be .* missing, and lr is given instead"),
        (SIZE, {}, "batch_size must be"),
    ],
)
def test_what_is_out_of_bounds_is_refused(type, parameters, sentence):
    """With the bound, and the setting that says so; a parameter of another name is named."""
    commands = Commands(bounds=BOUNDS)

    with pytest.raises(InvalidDataError, match=sentence):
        commands.submit("run", type, parameters)
    assert commands.of("run") == []


@pytest.mark.parametrize(
    ("type", "parameters"),
    [
        (RATE, {"learning_rate": "0.001"}),
        (RATE, {"learning_rate": "1e-1"}),
        (SIZE, {"batch_size": "64"}),
        (CommandType.SAVE_CHECKPOINT, {"name": "best"}),
    ],
)
def test_what_lies_within_them_is_taken(type, parameters):
    """The bounds themselves too; without bounds, whatever a loop can use."""
    BOUNDS.check(type, parameters)
    UNBOUNDED.check(type, parameters)


def test_a_command_that_nobody_answers_in_time_has_expired():
    """It is not sent any more; one that names a time of its own keeps that."""
    now = [1_000.0]
    commands = Commands(bounds=CommandBounds(timeout_seconds=60), clock=lambda: now[0])
    commands.submit("run", CommandType.PAUSE_TRAINING, {}, "soon")
    commands.submit("run", CommandType.STOP_TRAINING, {}, "later", expires_at=2_000.0)

    now[0] = 1_061.0

    assert [command.id for command in commands.take("run")] == ["later"]
    assert commands.find("run", "soon").state is State.EXPIRED

"""What alerts may do, as operators write it."""

import pytest

from bridge.config import load
from bridge.errors import SettingError
from bridge.limits import alert_bounds
from bridge.protocol import CommandType

RATES = {"alert_min_learning_rate": "1e-6", "alert_max_learning_rate": "0.01"}


def bounds(**given):
    """Return the bounds of a bridge with these settings."""
    return alert_bounds(load(given, {}).settings)


def test_alerts_may_send_nothing_by_default():
    """Whoever can reach the bridge cannot stop trainings through it unless somebody has said so."""
    assert bounds().types == frozenset()


@pytest.mark.parametrize(
    "written",
    ["pause stop", "Pause,STOP_TRAINING", "stop, pause pause", ["pause", "stop"]],
    ids=str,
)
def test_commands_are_written_in_several_ways(written):
    """Words or names of the protocol, with spaces or commas between them, or a list of a YAML file."""
    assert bounds(alert_commands=written).types == {
        CommandType.PAUSE_TRAINING,
        CommandType.STOP_TRAINING,
    }


def test_learning_rates_have_two_bounds():
    """An alert may change them between these and nowhere else."""
    allowed = bounds(alert_commands="change-learning-rate", **RATES)

    assert allowed.learning_rates == (1e-6, 0.01)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"alert_commands": "explode"}, "'explode' is not a command that alerts may send"),
        ({"alert_commands": "adjust-batch-size"}, "is not a command that alerts may send"),
        ({"alert_commands": "change-learning-rate"}, "alert_min_learning_rate"),
        (
            {"alert_commands": "change-learning-rate", "alert_min_learning_rate": "0.1"},
            "alert_max_learning_rate",
        ),
        ({**RATES, "alert_max_learning_rate": "1e-7"}, "lower than alert_min_learning_rate"),
        ({"alert_commands_per_hour": "0"}, "a whole number from 1 to 60"),
    ],
    ids=str,
)
def test_a_bridge_does_not_start_with_bounds_that_bound_nothing(given, reason):
    """The error names the setting, and what would be right."""
    with pytest.raises(SettingError) as error:
        load(given, {})

    assert reason in str(error.value)

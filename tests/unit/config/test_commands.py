"""Settings of what commands may set."""

import pytest
from pydantic import ValidationError

from bridge.config import Settings

ALERTS = {"alert_min_learning_rate": "1e-6", "alert_max_learning_rate": "0.1"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"command_min_learning_rate": "0.1", "command_max_learning_rate": "0.01"},
            "command_max_learning_rate: which is lower",
        ),
        (
            {**ALERTS, "command_min_learning_rate": "1e-5"},
            "alert_min_learning_rate: which is lower",
        ),
        (
            {**ALERTS, "command_max_learning_rate": "0.01"},
            "alert_max_learning_rate: which is higher",
        ),
    ],
)
def test_bounds_that_contradict_each_other_are_refused(given, sentence):
    """Those of alerts lie within those of all commands."""
    with pytest.raises(ValidationError, match=sentence):
        Settings(**given)


def test_without_settings_there_are_no_bounds():
    """A command may set what a loop can use, and waits however long it takes."""
    settings = Settings()

    assert settings.command_max_batch_size is None
    assert settings.command_timeout_seconds == 0

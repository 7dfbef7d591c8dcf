"""Settings of what commands may set, whoever sends them."""

from typing import Any

from pydantic import BaseModel

from bridge.config.fields import setting


class Commands(BaseModel):
    """Bounds of all commands to training loops; alerts have narrower ones of their own."""

    command_min_learning_rate: float | None = setting(
        None,
        "The lowest learning rate that any command may set; what is lower is refused.",
        expected="a number above 0, such as 0.000001",
        gt=0,
    )
    command_max_learning_rate: float | None = setting(
        None,
        "The highest learning rate that any command may set; what is higher is refused.",
        expected="a number above 0, such as 1",
        gt=0,
    )
    command_max_batch_size: int | None = setting(
        None,
        "The largest batch size that any command may set; what is larger is refused.",
        expected="a whole number of at least 1, such as 4096",
        ge=1,
        le=2**31 - 1,
    )
    command_timeout_seconds: float = setting(
        0,
        "How long a command may wait for its answer unless it says so itself; then it has expired, and is not sent "
        "any more. 0: however long it takes.",
        expected="a number of seconds, such as 3600, or 0",
        ge=0,
    )


def check_command_bounds(settings: Any) -> None:
    """Refuse bounds of learning rates between which nothing lies, also beside those of alerts; raises ValueError."""
    low, high = settings.command_min_learning_rate, settings.command_max_learning_rate
    if low is not None and high is not None and low > high:
        raise ValueError("command_max_learning_rate: which is lower than command_min_learning_rate")
    alert_low, alert_high = settings.alert_min_learning_rate, settings.alert_max_learning_rate
    if low is not None and alert_low is not None and alert_low < low:
        raise ValueError(
            "alert_min_learning_rate: which is lower than command_min_learning_rate, the bound of all commands"
        )
    if high is not None and alert_high is not None and alert_high > high:
        raise ValueError(
            "alert_max_learning_rate: which is higher than command_max_learning_rate, the bound of all commands"
        )

"""Settings of what alerts may do: which commands they may send, and within which bounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from bridge.config.fields import joined, setting
from bridge.protocol import ALERT_COMMANDS, command_type_of


def check_alert_commands(text: str) -> str:
    """Return the commands as words, each once, with spaces between them; raises ValueError."""
    words = []
    for name in text.replace(",", " ").split():
        kind = command_type_of(name)
        if kind not in ALERT_COMMANDS:
            raise ValueError(f"in which {name!r} is not a command that alerts may send")
        words.append(ALERT_COMMANDS[kind])
    return " ".join(dict.fromkeys(words))


AlertCommands = Annotated[
    str, BeforeValidator(joined), AfterValidator(check_alert_commands), Field(min_length=1)
]


class Alerts(BaseModel):
    """Which commands alerts may send to training loops."""

    alert_commands: AlertCommands | None = setting(
        None,
        "Commands that alerts may send to training loops: an alert that is labelled `trainbridge_command` and reaches "
        "`/api/v1/alertmanager` sends one of these, any other is refused.",
        expected="words separated by spaces, of pause, resume, stop, change-learning-rate and save-checkpoint",
    )
    alert_commands_per_hour: int = setting(
        6,
        "Commands that alerts may send to one session within an hour; more are refused.",
        expected="a whole number from 1 to 60, such as 6",
        ge=1,
        le=60,
    )
    alert_min_learning_rate: float | None = setting(
        None,
        "The lowest learning rate that an alert may set; what is lower is refused.",
        expected="a number above 0, such as 0.000001, with `alert_max_learning_rate` beside it",
        gt=0,
    )
    alert_max_learning_rate: float | None = setting(
        None,
        "The highest learning rate that an alert may set; what is higher is refused.",
        expected="a number above 0, such as 0.01, with `alert_min_learning_rate` beside it",
        gt=0,
    )


def check_learning_rates(settings: Any) -> None:
    """Refuse bounds of learning rates that are missing where they are needed, or hold nothing; raises ValueError."""
    low, high = settings.alert_min_learning_rate, settings.alert_max_learning_rate
    needs_bounds = "change-learning-rate" in (settings.alert_commands or "").split()
    if needs_bounds and (low is None or high is None):
        missing = "alert_min_learning_rate" if low is None else "alert_max_learning_rate"
        raise ValueError(
            f"{missing}: which is missing, though alerts may change learning rates only between two bounds"
        )
    if low is not None and high is not None and low > high:
        raise ValueError("alert_max_learning_rate: which is lower than alert_min_learning_rate")

"""The table of the compare board: what each session has come to within the time shown."""

from typing import Any, NamedTuple

from grafana.links import board as to_board
from grafana.panels import override, table
from grafana.promql import latest
from grafana.states import MAPPINGS, last_status
from grafana.transformations import joined

Json = dict[str, Any]


class Column(NamedTuple):
    """A column that a query of its own fills."""

    title: str
    query: str
    properties: Json
    """How it is shown; a `__` in a name stands for a dot."""


def last(selector: str) -> str:
    """Return the last value within the time shown, also of a session that is gone by now."""
    return f"max by (session_id) ({latest(selector)})"


def best(function: str, selector: str) -> str:
    """Return the lowest (`min`) or highest (`max`) value within the time shown."""
    return f"{function} by (session_id) ({function}_over_time({selector}[$__range]))"


NUMBER: Json = {"decimals": 4}

RATIO: Json = {"unit": "percentunit", "decimals": 1}

TRAINING_SECONDS = latest('training_phase_seconds_total{phase="training"}')

ALL_SECONDS = latest("training_phase_seconds_total")

WITH_BRIDGE = (
    "max by (session_id, model_name, dataset_name, public_url) "
    f"(({latest('training_session_info')})"
    " * on (job, instance) group_left (public_url) last_over_time(bridge_build_info[$__range]))"
)

SECONDS = (
    f"{last('training_session_last_update_timestamp_seconds')}"
    f" - {last('training_session_start_timestamp_seconds')}"
)
"""How long the last attempt of each session went on."""

COLUMNS = (
    Column(
        "State",
        last_status(),
        {"custom__cellOptions": {"type": "color-text"}, "mappings": MAPPINGS},
    ),
    Column("Attempt", last("training_attempt"), {"decimals": 0}),
    Column("Step", last("training_step"), {"decimals": 0, "unit": "short"}),
    Column("Epochs", last("training_epochs_completed_total"), {"decimals": 0}),
    Column("Loss", last("training_loss"), NUMBER),
    Column("Lowest loss", best("min", "training_loss_interval_min"), NUMBER),
    Column("Lowest validation loss", best("min", "training_validation_loss"), NUMBER),
    Column(
        "Highest accuracy",
        f"{best('max', 'training_validation_accuracy_ratio')} or {best('max', 'training_epoch_accuracy_ratio')}",
        RATIO,
    ),
    Column(
        "Samples/s",
        f"{last('training_samples_total')} / ({SECONDS} > 0)",
        {"unit": "short", "decimals": 1},
    ),
    Column(
        "Goodput",
        f"sum by (session_id) ({TRAINING_SECONDS}) / (sum by (session_id) ({ALL_SECONDS}) > 0)",
        RATIO,
    ),
    Column("Time", SECONDS, {"unit": "s", "decimals": 0}),
)

ABOUT = {
    "session_id": "Session",
    "public_url": "Bridge",
    "model_name": "Model",
    "dataset_name": "Data set",
}
"""Columns that the labels of the first query fill."""


def fields() -> dict[str, str]:
    """Return the titles of all columns, from left to right, by the names of their fields once joined."""
    queried = {
        f"Value #{chr(ord('A') + place)}": column.title for place, column in enumerate(COLUMNS, 1)
    }
    return {"session_id": "Session"} | queried | ABOUT


RESULTS = table(
    "Results",
    "What each session has come to within the time shown, of its last attempt where it has several. A click on its name opens its board, one on its bridge the page there that compares those that it has, with what differs in their configurations.",
    WITH_BRIDGE,
    *(column.query for column in COLUMNS),
    height=8,
    overrides=(
        override(
            "Session",
            custom__minWidth=160,
            links=[
                to_board(
                    "trainbridge-session",
                    "Board of this session",
                    "var-session=${__data.fields.Session}",
                )
            ],
        ),
        override(
            "Bridge",
            custom__minWidth=160,
            links=[
                {
                    "title": "Compare them on this bridge",
                    "targetBlank": True,
                    "url": "${__data.fields.Bridge}/compare?sessions=${session:csv}",
                }
            ],
        ),
        *(override(column.title, **column.properties) for column in COLUMNS),
    ),
    transformations=joined("session_id", fields()),
)

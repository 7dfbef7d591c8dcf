"""The table of sessions on the fleet board: a row for each, whichever bridge has it."""

from typing import Any, NamedTuple

from bridge.alert_rules.inlined import inlined
from grafana.links import board as to_board
from grafana.panels import override, table, thresholds
from grafana.promql import newest, trainings, with_bridge
from grafana.states import IS_STALLED, MAPPINGS, doing

Json = dict[str, Any]


class Column(NamedTuple):
    """A column that a query of its own fills."""

    title: str
    query: str
    properties: Json
    """How it is shown; a `__` in a name stands for a dot."""


RATIO: Json = {"unit": "percentunit", "decimals": 0}

BAR: Json = RATIO | {
    "min": 0,
    "max": 1,
    "custom__cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    "color": {"mode": "fixed", "fixedColor": "blue"},
    "custom__minWidth": 140,
}

WORD: Json = {
    "custom__cellOptions": {"type": "color-text"},
    "custom__width": 120,
    "mappings": MAPPINGS,
}

SILENCE: Json = {
    "unit": "s",
    "decimals": 0,
    "custom__cellOptions": {"type": "color-text"},
    "thresholds": thresholds(((None, "text"), (60, "yellow"), (300, "red"))),
}

RUNNING = 'training_session_status{status=~"running|initializing"} == 1'

PROGRESS = (
    "clamp_max((max by (session_id) (training_epochs_completed_total) > 0) / (max by (session_id) (training_epochs_planned) > 0)"
    " or (max by (session_id) (training_batch + 1)) / (max by (session_id) (training_batches_per_epoch) * max by (session_id) (training_epochs_planned) > 0), 1)"
)

ONLY_STEPS = "max by (session_id) (training_epoch) == 0 and max by (session_id) (training_epochs_planned) == 1 and max by (session_id) (training_step) >= 0"
"""Runs that count steps have an epoch 0 that says nothing."""

VALIDATED = newest("training_validation_accuracy_ratio")

TRAINED = newest("training_epoch_accuracy_ratio")


def of_session(query: str) -> str:
    """Return a gauge of the newest copy of each session."""
    return f"max by (session_id) ({newest(query)})"


COLUMNS = (
    Column("State", doing(), WORD),
    Column("Progress", PROGRESS, BAR),
    Column(
        "Epoch",
        f"max by (session_id) (training_epoch) unless on (session_id) ({ONLY_STEPS})",
        {"decimals": 0},
    ),
    Column("Step", "max by (session_id) (training_step)", {"decimals": 0}),
    Column("Loss", of_session("training_loss"), {"decimals": 4}),
    Column(
        "Accuracy",
        f"max by (session_id) ({VALIDATED}) or max by (session_id) ({TRAINED})",
        {"unit": "percentunit", "decimals": 1},
    ),
    Column("Samples/s", of_session("training_frames_per_second"), {"unit": "short", "decimals": 1}),
    Column("GPU", "avg by (session_id) (training_gpu_utilization_ratio)", RATIO),
    Column("Goodput", inlined("training:goodput_ratio"), RATIO),
    Column(
        "Time to go",
        f"max by (session_id) (training_estimated_time_remaining_seconds) unless on (session_id) {IS_STALLED}",
        {"unit": "s", "decimals": 0},
    ),
    Column(
        "Last step",
        "time() - max by (session_id) (training_last_batch_timestamp_seconds)"
        f" and on (session_id) {RUNNING}",
        SILENCE,
    ),
)

ABOUT = {
    "session_id": "Session",
    "model_name": "Model",
    "dataset_name": "Data set",
    "public_url": "Bridge",
}
"""Columns that the labels of the first query fill."""

OF_THE_SESSION = to_board(
    "trainbridge-session", "Board of this session", "var-session=${__data.fields.Session}"
)

ON_ITS_BRIDGE = (
    {
        "title": "Page of this session",
        "targetBlank": True,
        "url": "${__data.fields.Bridge}/sessions/${__data.fields.Session}",
    },
    {
        "title": "Its newest images",
        "targetBlank": True,
        "url": "${__data.fields.Bridge}/go/images?session=${__data.fields.Session}",
    },
)


def fields() -> dict[str, str]:
    """Return the titles of all columns, from left to right, by the names of their fields once joined."""
    queried = {f"Value #{_letter(place)}": column.title for place, column in enumerate(COLUMNS, 1)}
    names = list(ABOUT.items())
    return dict([names[0], *queried.items(), *names[1:]])


def _letter(place: int) -> str:
    return chr(ord("A") + place)


SESSIONS_TABLE = table(
    "Sessions",
    "Every session that has series, the one without a step for longest first; not the canary's. A click on its name opens its board, one on its bridge its page there and its newest images.",
    with_bridge(trainings(newest("training_session_info")), "model_name", "dataset_name"),
    *(trainings(column.query) for column in COLUMNS),
    height=10,
    overrides=(
        override("Session", custom__minWidth=180, links=[OF_THE_SESSION]),
        override("Bridge", custom__minWidth=160, links=list(ON_ITS_BRIDGE)),
        *(override(column.title, **column.properties) for column in COLUMNS),
    ),
    options={"sortBy": [{"displayName": "Last step", "desc": True}]},
    transformations=(
        {"id": "joinByField", "options": {"byField": "session_id", "mode": "outer"}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(fields())}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {name: place for place, name in enumerate(fields())},
                "renameByName": fields(),
            },
        },
    ),
)

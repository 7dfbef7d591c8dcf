"""What a session is doing, as a number that panels show as a coloured word."""

from typing import Any, NamedTuple

from grafana.panels import override
from grafana.promql import newest, newest_of_range

Json = dict[str, Any]


class State(NamedTuple):
    """A status or a phase, and how it is shown."""

    code: int
    word: str
    color: str


STATUSES = (
    State(1, "initializing", "blue"),
    State(2, "running", "green"),
    State(3, "paused", "yellow"),
    State(4, "completed", "purple"),
    State(5, "failed", "red"),
    State(6, "stopped", "purple"),
    State(7, "interrupted", "orange"),
    State(8, "terminated", "orange"),
    State(9, "disconnected", "super-light-orange"),
    State(10, "lost", "dark-red"),
)
"""Each by its series; a session of which none is 1 has said nothing yet."""

PHASES = (
    State(12, "startup", "light-blue"),
    State(13, "validation", "super-light-blue"),
    State(14, "checkpoint", "light-purple"),
    State(15, "data", "light-yellow"),
    State(16, "idle", "semi-dark-yellow"),
)
"""What a session that runs is busy with where that is not training."""

OTHER_PHASE = State(11, "another phase", "light-green")

STALLED = State(20, "stalled", "dark-red")
"""The highest code, so that it is what counts."""

UNKNOWN = State(0, "unknown", "text")

STATES = (UNKNOWN, *STATUSES, OTHER_PHASE, *PHASES, STALLED)

MAPPINGS = [
    {
        "type": "value",
        "options": {
            str(state.code): {"text": state.word, "color": state.color, "index": index}
            for index, state in enumerate(STATES)
        },
    }
]


COLORS = {state.word: state.color for state in (*PHASES, STALLED)} | {
    "training": "green",
    "lost": "red",
}
"""Of phases, wherever there is a line or a bar for each."""

IS_STALLED = 'increase(training_phase_seconds_total{phase="stalled"}[$__rate_interval]) > 0'
"""While the bridge counts the time of a session as that."""


def phase_colors() -> list[Json]:
    """Return overrides by which each phase has the colour that it has elsewhere."""
    return [
        override(phase, color={"mode": "fixed", "fixedColor": color})
        for phase, color in COLORS.items()
    ]


def status() -> str:
    """Return a query of the code of each session's status."""
    coded = " or ".join(f"{_series_of(state)} * {state.code}" for state in STATUSES)
    return f"max by (session_id) ({newest(coded)})"


def last_status() -> str:
    """Return an instant query of the code of the last status within the time shown, of sessions that are over, too."""
    coded = " or ".join(
        f"last_over_time({_series_of(state)}[$__range]) * {state.code}" for state in STATUSES
    )
    return f"max by (session_id) ({newest_of_range(coded)})"


def doing() -> str:
    """Return a query of the code of each session's phase while it runs, else of its status.

    A session counts as stalled while the bridge counts its time as that.
    """
    named = "|".join(("training", *(phase.word for phase in PHASES)))
    coded = " or ".join(
        f'(training_phase{{phase="{phase.word}"}} == 1) * {phase.code}' for phase in PHASES
    )
    return (
        "max by (session_id) ("
        f"({IS_STALLED}) * 0 + {STALLED.code}"
        f' or {coded} or (training_phase{{phase!~"{named}"}} == 1) * {OTHER_PHASE.code})'
        ' and on (session_id) training_session_status{status="running"} == 1'
        f" or {status()}"
    )


def _series_of(status: State) -> str:
    return f'training_session_status{{status="{status.word}"}}'

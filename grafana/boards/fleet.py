"""The board of all sessions: how many there are of which kind, each of them in a row, and how they go over time."""

from bridge.alert_rules.inlined import inlined
from bridge.protocol import CANARY_CLIENT
from grafana.annotations import alerts
from grafana.board import SESSIONS, board
from grafana.boards.fleet_table import SESSIONS_TABLE
from grafana.links import board as to_board
from grafana.links import images_at_point
from grafana.panels import (
    PER_SECOND,
    Query,
    bar_gauge,
    override,
    row,
    stat,
    state_timeline,
    timeseries,
)
from grafana.promql import RATE_INTERVAL, newest, newest_of_range, quantile, trainings, with_bridge
from grafana.states import MAPPINGS, doing, phase_colors

TO_SESSIONS = [to_board("trainbridge-session", "Sessions one by one")]

TO_BRIDGES = [to_board("trainbridge-bridge", "Bridges one by one")]

LOST = 'last_over_time(training_session_status{status="lost"}[$__range]) == 1'

ENDED = (
    'max by (session_id, status) (last_over_time(training_session_status{status=~"completed|failed|stopped|interrupted|terminated"}[$__range]) == 1'
    f" or {newest_of_range(LOST)})"
    f' unless on (session_id) last_over_time(training_session_info{{client_name="{CANARY_CLIENT}"}}[$__range])'
)
"""How sessions ended within the time shown, each kind once; a lost one may have gone on with another bridge."""

COLORS_OF_ENDS = (
    ("completed", "purple"),
    ("failed", "red"),
    ("stopped", "blue"),
    ("interrupted", "orange"),
    ("terminated", "yellow"),
    ("lost", "dark-red"),
)


def counted(query: str) -> str:
    """Return how many series a query has, 0 where it has none."""
    return f"count({query}) or vector(0)"


COUNTS = (
    stat(
        "Running",
        "Sessions that report running and are connected, without those of the canary. One that hangs is among them, and counts as stalled, too.",
        counted(
            "max by (session_id) ("
            + trainings(
                'training_session_status{status="running"} == 1 and ignoring (status) training_session_connected == 1'
            )
            + ")"
        ),
        steps=((None, "green"),),
        links=TO_SESSIONS,
    ),
    stat(
        "Stalled",
        "Connected sessions that report running and have finished no step for five minutes, or twenty times as long as a step takes. The same as the alert TrainingStalled, which says what to do; the table below has them first.",
        counted(inlined("TrainingStalled")),
        steps=((None, "green"), (1, "red")),
        links=TO_SESSIONS,
    ),
    stat(
        "Disconnected",
        "Sessions that no bridge has connected and none saw end. The same as the alert TrainingDisconnected, which says what to do.",
        counted(inlined("TrainingDisconnected")),
        steps=((None, "green"), (1, "red")),
        links=TO_SESSIONS,
    ),
    stat(
        "Failed",
        "Sessions that failed within the last hour and have not begun again; a stop, Ctrl-C and SIGTERM are not failures. The same as the alert TrainingFailed; their pages say why.",
        counted(inlined("TrainingFailed")),
        width=2,
        steps=((None, "green"), (1, "red")),
        links=TO_SESSIONS,
    ),
    stat(
        "Goodput",
        "Share of the last hour that sessions spent in training. The rest went into start-up, validation, checkpoints, waiting for data, stalls, and what was lost between attempts: see Sessions by phase.",
        'sum(increase(training_phase_seconds_total{phase="training"}[1h])) / (sum(increase(training_phase_seconds_total[1h])) > 0)',
        unit="percentunit",
        sparkline=True,
        defaults={"decimals": 0, "min": 0, "max": 1},
    ),
    stat(
        "Batches",
        "Batches of all sessions in a second, without the canary's.",
        f"sum({trainings(f'rate(training_batches_total{RATE_INTERVAL})')})",
        unit=PER_SECOND,
        sparkline=True,
        defaults={"decimals": 1},
    ),
    stat(
        "Samples",
        "Samples that all sessions trained on in a second, without the canary's.",
        f"sum({trainings(f'rate(training_samples_total{RATE_INTERVAL})')})",
        unit=PER_SECOND,
        sparkline=True,
        defaults={"decimals": 0},
    ),
    stat(
        "GPU use",
        "Mean use of all GPUs of all sessions. Low while sessions run: something else holds them up, most often their data.",
        "avg(max by (session_id, gpu) (training_gpu_utilization_ratio))",
        width=2,
        unit="percentunit",
        sparkline=True,
        defaults={"decimals": 0, "min": 0, "max": 1},
    ),
    stat(
        "Bridges up",
        "Bridges that are scraped, of all that were within the last hour. Red: one does not answer.",
        "sum(up and on (job, instance) last_over_time(bridge_build_info[1h])) / count(up and on (job, instance) last_over_time(bridge_build_info[1h]))",
        width=2,
        unit="percentunit",
        steps=((None, "red"), (1, "green")),
        defaults={"decimals": 0, "min": 0, "max": 1},
        links=TO_BRIDGES,
    ),
)

OVER_TIME = (
    state_timeline(
        "What sessions do",
        "Each session over time: its phase while it runs, else its status. Stalled: no step comes. A gap: no bridge knew of it, as between two attempts, whose time is lost.",
        Query(trainings(doing()), "{{session_id}}"),
        mappings=MAPPINGS,
        height=8,
        options={"perPage": 15},
    ),
    timeseries(
        "Loss",
        "The mean of the losses that were seen between two points, by session. One that rises, or lies far above the others: a click opens the images of that moment.",
        Query(
            with_bridge(trainings(newest("avg_over_time(training_loss[$__interval])"))),
            "{{session_id}}",
        ),
        scale="symlog",
        links=(images_at_point(),),
    ),
    timeseries(
        "Highest loss",
        "The highest loss of each session between two points, so that no spike hides. A click opens the images of that moment.",
        Query(
            with_bridge(
                trainings(newest("max_over_time(training_loss_interval_max[$__interval])"))
            ),
            "{{session_id}}",
        ),
        scale="symlog",
        links=(images_at_point(is_extreme=True),),
    ),
    timeseries(
        "Accuracy",
        "Accuracy after each epoch: of the validation where there is one, else of the training. A click opens the images of that moment.",
        Query(
            with_bridge(
                trainings(
                    newest("training_validation_accuracy_ratio")
                    + f" or {newest('training_epoch_accuracy_ratio')}"
                    " unless on (session_id) training_validation_accuracy_ratio"
                )
            ),
            "{{session_id}}",
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        links=(images_at_point(),),
    ),
    timeseries(
        "Batches per second",
        "How fast each session goes. A session that falls while the others do not has a trouble of its own.",
        Query(
            trainings(f"sum by (session_id) (rate(training_batches_total{RATE_INTERVAL}))"),
            "{{session_id}}",
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Time of a batch, p95",
        "Nineteen batches of twenty take no longer than this. One that grows: see its phases and its GPUs on the session board.",
        Query(
            trainings(quantile(0.95, "training_batch_duration_seconds", "session_id")),
            "{{session_id}}",
        ),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "GPU use by session",
        "Mean use of the GPUs of each session. Low while it trains: it waits, most often for its data.",
        Query("avg by (session_id) (training_gpu_utilization_ratio)", "{{session_id}}"),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    timeseries(
        "Goodput by session",
        "Share of its time that each session spent in training. Low: its phases say what it does instead; none: it makes no step.",
        Query(
            trainings(
                f'sum by (session_id) (rate(training_phase_seconds_total{{phase="training"}}{RATE_INTERVAL}))'
                f" / (sum by (session_id) (rate(training_phase_seconds_total{RATE_INTERVAL})) > 0)"
            ),
            "{{session_id}}",
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    timeseries(
        "Sessions by phase",
        "How many sessions are busy with what. Stalled: no step comes. Lost: the time between two attempts of a session, in one piece as the next one begins.",
        Query(
            f"sum by (phase) ({trainings(f'rate(training_phase_seconds_total{RATE_INTERVAL})')})",
            "{{phase}}",
        ),
        defaults={"min": 0},
        custom={"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}},
        overrides=phase_colors(),
    ),
    bar_gauge(
        "Ends by kind",
        "Sessions that ended within the time shown, by how. Terminated is SIGTERM, as at a preemption; lost is what fell silent and never came back.",
        Query(
            f"count by (status) ({ENDED})",
            "{{status}}",
            is_instant=True,
        ),
        overrides=[
            override(status, color={"mode": "fixed", "fixedColor": color})
            for status, color in COLORS_OF_ENDS
        ],
    ),
)

FLEET = board(
    uid="trainbridge-fleet",
    title="Fleet",
    description="All training sessions: how many there are of which kind, each in a row, and how they go over time.",
    variables=(SESSIONS,),
    annotations=(alerts(is_on=False),),
    panels=(
        *COUNTS,
        SESSIONS_TABLE,
        row("Over time"),
        *OVER_TIME,
    ),
)

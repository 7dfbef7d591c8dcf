"""The board of several sessions side by side: by their steps, by the time since each began, and by the clock."""

from grafana.annotations import alerts, attempts, commands
from grafana.board import board, query_variable
from grafana.boards.compare_results import RESULTS
from grafana.links import images_at_point
from grafana.panels import PER_SECOND, Query, row, timeseries
from grafana.promql import CHOSEN_BRIDGES, mean, newest, with_bridge
from grafana.xy import by_session

SESSIONS = query_variable(
    "session",
    "Sessions",
    f"label_values(training_session_info{{{CHOSEN_BRIDGES}}}, session_id)",
    multi=True,
)
"""Those to compare: one at first, as all of them are no comparison."""

METRIC = query_variable(
    "metric",
    "Number by name",
    f'label_values(training_metric{{{CHOSEN_BRIDGES}, session_id=~"$session"}}, name)',
)

SPLIT = query_variable(
    "split",
    "Split",
    f'label_values(training_metric{{{CHOSEN_BRIDGES}, session_id=~"$session", name="$metric"}}, split)',
    includeAll=True,
    allValue=".*",
    current={"text": "All", "value": "$__all"},
)

ATTEMPT = "max by (session_id) (training_attempt)"

NEWEST = (
    f"({ATTEMPT} == on (session_id)"
    " max by (session_id) (max_over_time(training_attempt[$__range] @ end())))"
)
"""When a session was in the last of its attempts within the time shown."""

REACHED = "(max by (session_id) (training_step) or max by (session_id) (training_batches_total))"

IN_THE_NEWEST = f"{REACHED} and on (session_id) {NEWEST}"

STEP = (
    f"{IN_THE_NEWEST} or {REACHED} < on (session_id)"
    f" min by (session_id) (min_over_time(({IN_THE_NEWEST})[$__range:$__interval] @ end()))"
)
"""How far a session is; of those that report no step, how many batches there were.

Of an attempt before the last one only what comes before that: a run that went on from its checkpoint is one line,
and one that began anew is not drawn over itself.
"""

SECONDS = (
    "max by (session_id) (training_session_last_update_timestamp_seconds)"
    " - max by (session_id) (training_session_start_timestamp_seconds)"
    f" and on (session_id) {NEWEST}"
)
"""How long the last attempt of a session has gone on; it stops where the session ends."""

LOSS = "max by (session_id) (avg_over_time(training_loss[$__rate_interval]))"

VALIDATION = (
    "max by (session_id) (training_validation_loss) or max by (session_id) (training_epoch_loss)"
)

ACCURACY = (
    "max by (session_id) (training_validation_accuracy_ratio)"
    " or max by (session_id) (training_epoch_accuracy_ratio)"
)

NUMBER = (
    "max by (session_id)"
    ' (avg_over_time(training_metric{name="$metric", split=~"$split"}[$__rate_interval]))'
)

RATIO = {"min": 0, "max": 1}

BY_STEP = (
    by_session(
        "Loss by step",
        "The mean loss around each step. The lower line learns more from a step. Of runs that report no step: by their batches. Where an attempt came to the same step again, it counts.",
        x=STEP,
        y=LOSS,
        x_title="Step",
        x_unit="short",
        width=12,
        height=10,
        scale="symlog",
    ),
    by_session(
        "Loss by time",
        "The mean loss by the time since the last attempt of each session began, whenever that was. The lower line gets more out of an hour.",
        x=SECONDS,
        y=LOSS,
        x_title="Time since its start",
        x_unit="s",
        width=12,
        height=10,
        scale="symlog",
    ),
    by_session(
        "Validation loss by step",
        "After each epoch, of the validation where there is one, else of the training. One that rises while its loss falls learns the training data by heart.",
        x=STEP,
        y=VALIDATION,
        x_title="Step",
        x_unit="short",
        scale="symlog",
    ),
    by_session(
        "Accuracy by step",
        "After each epoch, of the validation where there is one, else of the training.",
        x=STEP,
        y=ACCURACY,
        x_title="Step",
        x_unit="short",
        unit="percentunit",
        defaults=RATIO,
    ),
    by_session(
        "Accuracy by time",
        "The same by the time since the last attempt of each session began: which one was first to reach an accuracy.",
        x=SECONDS,
        y=ACCURACY,
        x_title="Time since its start",
        x_unit="s",
        unit="percentunit",
        defaults=RATIO,
    ),
)

NUMBERS = (
    by_session(
        "Number by step",
        "The number chosen above, of the split chosen above; of several splits the highest. Sessions that do not log it are missing.",
        x=STEP,
        y=NUMBER,
        x_title="Step",
        x_unit="short",
    ),
    by_session(
        "Learning rate by step",
        "As each session last reported it. Where curves part: whether their learning rates had parted before.",
        x=STEP,
        y="max by (session_id) (training_learning_rate)",
        x_title="Step",
        x_unit="short",
        unit="sci",
    ),
    by_session(
        "Gradient norm by step",
        "As each session last reported it. One that climbs away from the others is about to diverge.",
        x=STEP,
        y="max by (session_id) (avg_over_time(training_gradient_norm[$__rate_interval]))",
        x_title="Step",
        x_unit="short",
        scale="symlog",
    ),
)

BY_THE_CLOCK = (
    timeseries(
        "Loss",
        "The highest loss of each session between two points, by the time of day. A click on a point opens the images of that moment on the bridge that has the session.",
        Query(
            with_bridge(newest("max_over_time(training_loss_interval_max[$__interval])")),
            "{{session_id}}",
        ),
        scale="symlog",
        links=(images_at_point(is_extreme=True),),
    ),
    timeseries(
        "Samples in a second",
        "How quickly each session goes through its data.",
        Query(
            "sum by (session_id) (rate(training_samples_total[$__rate_interval]))", "{{session_id}}"
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Tokens in a second",
        "Tokens trained on, of sessions that report them.",
        Query(
            "sum by (session_id) (rate(training_tokens_total[$__rate_interval]))", "{{session_id}}"
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Time of a batch",
        "Mean time of a batch. Where one session is slower than another on the same machines: its phases say in what.",
        Query(mean("training_batch_duration_seconds", "session_id"), "{{session_id}}"),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Goodput",
        "Share of its time that each session spent in training, between two points. The rest went into its other phases: see its own board.",
        Query(
            'sum by (session_id) (rate(training_phase_seconds_total{phase="training"}[$__rate_interval]))'
            " / (sum by (session_id) (rate(training_phase_seconds_total[$__rate_interval])) > 0)",
            "{{session_id}}",
        ),
        unit="percentunit",
        defaults=RATIO,
    ),
    timeseries(
        "GPU use",
        "Mean use of the GPUs of each session. Far apart for the same model: look at the data of the lower one.",
        Query("avg by (session_id) (training_gpu_utilization_ratio)", "{{session_id}}"),
        unit="percentunit",
        defaults=RATIO,
    ),
)

COMPARE = board(
    uid="trainbridge-compare",
    title="Compare",
    description="Two or more sessions side by side, whichever bridges have them and whenever they ran, within the time shown. Choose them above. What differs in their configurations is on the page of their bridge that the table leads to.",
    variables=(SESSIONS, METRIC, SPLIT),
    annotations=(attempts(), commands(), alerts(is_on=False)),
    refresh="1m",
    since="now-24h",
    panels=(
        RESULTS,
        row("By step and by time since the start"),
        *BY_STEP,
        row("Numbers by step"),
        *NUMBERS,
        row("By the clock"),
        *BY_THE_CLOCK,
    ),
)

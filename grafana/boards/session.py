"""The board of one session: whether it is well, its loss with the way to the images, and all the rest in closed rows."""

from grafana.annotations import alerts, attempts, commands, epochs, events
from grafana.board import BRIDGE_URL, PAGE_OF_THE_SESSION, SESSION, board, query_variable
from grafana.boards.session_learning import LEARNING, LOSS_IN_DETAIL, NUMBERS
from grafana.boards.session_machine import COMMANDS_AND_EVENTS, GPUS, RANKS
from grafana.boards.session_speed import PHASES, SPEED
from grafana.links import OF_THE_BOARD, images_at_point, page_of_the_session
from grafana.panels import PER_SECOND, Query, bar_gauge, override, row, stat, text, timeseries
from grafana.promql import RATE_INTERVAL, latest, newest, with_bridge
from grafana.sheets import sheet
from grafana.states import IS_STALLED, MAPPINGS, doing, last_status, phase_colors

RUNNING = 'training_session_status{status=~"initializing|running"} == 1'

COMPLETED_EPOCHS = (
    f"(max by (session_id) ({latest('training_epochs_completed_total')}) > 0)"
    f" / (max by (session_id) ({latest('training_epochs_planned')}) > 0)"
)

COMPLETED_BATCHES = (
    f"(max by (session_id) ({latest('training_batch')}) + 1)"
    f" / (max by (session_id) ({latest('training_batches_per_epoch')})"
    f" * max by (session_id) ({latest('training_epochs_planned')}) > 0)"
)

TRAINING_SECONDS = latest('training_phase_seconds_total{phase="training"}')

ALL_SECONDS = latest("training_phase_seconds_total")

SHEET_HEIGHT = 11
"""Of the newest images and of the loss beside them."""

METRIC = query_variable(
    "metric",
    "Number by name",
    'label_values(training_metric{job=~"$job", instance=~"$instance", session_id=~"$session"}, name)',
    multi=True,
    includeAll=True,
    allValue=".+",
    current={"text": ["All"], "value": ["$__all"]},
)


def last(gauge: str) -> Query:
    """Return the last value of a gauge within the time shown."""
    return Query(f"max by (session_id) ({latest(gauge)})", is_instant=True)


HEALTH = (
    stat(
        "State",
        "Its phase while it runs, else its status, the last one known. Stalled: no step comes, and its page says what to look at; disconnected: nothing is heard of its process.",
        Query(f"{doing()} or {last_status()}", is_instant=True),
        width=4,
        defaults={"mappings": MAPPINGS, "noValue": "not seen in this time"},
        options={"colorMode": "background"},
        links=[page_of_the_session()],
    ),
    bar_gauge(
        "Progress",
        "Epochs completed of those planned, before the first one its batches. Empty: the run has not said how long it is.",
        Query(f"clamp_max({COMPLETED_EPOCHS} or {COMPLETED_BATCHES}, 1)", " ", is_instant=True),
        width=4,
        height=4,
        unit="percentunit",
        color="fixed",
        defaults={
            "max": 1,
            "decimals": 0,
            "color": {"mode": "fixed", "fixedColor": "blue"},
            "noValue": "not reported",
        },
    ),
    stat(
        "Epoch",
        "Epoch of its last batch; a run that counts steps stays in epoch 0.",
        last("training_epoch"),
        width=2,
        defaults={"noValue": "-"},
    ),
    stat(
        "Step",
        "Training step reached, over the whole run. Empty: it counts epochs and batches only.",
        last("training_step"),
        defaults={"decimals": 0, "noValue": "-"},
    ),
    stat(
        "Time to go",
        "Until the end of the run, as its loop estimates. Empty: it has ended, stands still, or has not estimated it yet.",
        Query(
            f"max by (session_id) (training_estimated_time_remaining_seconds) unless on (session_id) {IS_STALLED}",
            is_instant=True,
        ),
        unit="s",
        defaults={"decimals": 0, "noValue": "-"},
    ),
    stat(
        "Since last step",
        "How long the run has made no step. It is stalled after five minutes, or twenty times as long as a step takes: see the row Phases, and its page.",
        Query(
            "time() - max by (session_id) (training_last_batch_timestamp_seconds)"
            f" and on (session_id) {RUNNING}",
            is_instant=True,
        ),
        unit="s",
        steps=((None, "green"), (60, "yellow"), (300, "red")),
        defaults={"decimals": 0, "noValue": "not running"},
    ),
    stat(
        "Attempt",
        "How often the run was begun under this name. More than one: it came back after an end; the lines Attempts show when.",
        last("training_attempt"),
        width=2,
        steps=((None, "text"), (2, "yellow")),
        defaults={"noValue": "-"},
    ),
    stat(
        "Goodput",
        "Share of its time since it began that the run spent in training, over all attempts. The rest is in the row Phases.",
        Query(
            f"sum by (session_id) ({TRAINING_SECONDS}) / (sum by (session_id) ({ALL_SECONDS}) > 0)",
            is_instant=True,
        ),
        unit="percentunit",
        defaults={"decimals": 0, "min": 0, "max": 1, "noValue": "-"},
    ),
)

OVERVIEW = (
    timeseries(
        "Loss",
        "The last loss, the highest and the lowest between two points, so that no spike hides, and that of the validation. A click on a point opens the images of that moment.",
        Query(with_bridge(newest("training_loss")), "last"),
        Query(
            with_bridge(newest("max_over_time(training_loss_interval_max[$__interval])")), "highest"
        ),
        Query(
            with_bridge(newest("min_over_time(training_loss_interval_min[$__interval])")), "lowest"
        ),
        Query(with_bridge(newest("training_validation_loss")), "validation"),
        width=16,
        height=SHEET_HEIGHT,
        scale="symlog",
        overrides=(
            override(
                "last",
                color={"mode": "fixed", "fixedColor": "blue"},
                links=[images_at_point()],
            ),
            override(
                "highest",
                links=[images_at_point(is_extreme=True)],
                color={"mode": "fixed", "fixedColor": "red"},
                custom__lineStyle={"fill": "dash", "dash": [6, 6]},
            ),
            override(
                "lowest",
                links=[images_at_point(is_extreme=True)],
                color={"mode": "fixed", "fixedColor": "green"},
                custom__lineStyle={"fill": "dash", "dash": [2, 6]},
            ),
            override(
                "validation",
                color={"mode": "fixed", "fixedColor": "orange"},
                links=[images_at_point()],
            ),
        ),
    ),
    text(
        "Newest images",
        "Contact sheet of the newest batch with images, up to the end of the time shown. A click opens the session's page on its bridge. Grey: it has sent none, or the bridge cannot be reached from your browser.",
        sheet(
            "newest images",
            page=f"{OF_THE_BOARD}/sessions/${{session}}",
            chosen="at=${__to}&amp;prefer=newest",
            height=SHEET_HEIGHT,
        ),
        width=8,
        height=SHEET_HEIGHT,
    ),
    timeseries(
        "Accuracy",
        "After each epoch, of training and validation, and of the predictions as they come. A gap that grows: it learns the training data by heart. A click opens the images of that moment.",
        Query(with_bridge(newest("training_epoch_accuracy_ratio")), "training"),
        Query(with_bridge(newest("training_validation_accuracy_ratio")), "validation"),
        Query(
            with_bridge(
                'sum by (job, instance, session_id) (rate(training_predictions_total{correct="true"}[$__rate_interval]))'
                " / (sum by (job, instance, session_id) (rate(training_predictions_total[$__rate_interval])) > 0)"
            ),
            "predictions",
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        links=(images_at_point(),),
        overrides=(
            override("training", color={"mode": "fixed", "fixedColor": "blue"}),
            override("validation", color={"mode": "fixed", "fixedColor": "orange"}),
            override(
                "predictions", custom__lineWidth=1, color={"mode": "fixed", "fixedColor": "gray"}
            ),
        ),
    ),
    timeseries(
        "Throughput",
        "What it trains on in a second: samples as counted and as the loop measures them, tokens, and batches where it reports no samples. A drop without a phase that explains it: see GPUs, and the ranks of its run.",
        Query(
            f"sum by (session_id) (rate(training_samples_total{RATE_INTERVAL}))", "samples, counted"
        ),
        Query(f"max by (session_id) ({newest('training_frames_per_second')})", "samples, measured"),
        Query(f"sum by (session_id) (rate(training_tokens_total{RATE_INTERVAL}))", "tokens"),
        Query(
            f"sum by (session_id) (rate(training_batches_total{RATE_INTERVAL})) unless on (session_id) training_samples_total",
            "batches",
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
        overrides=(override("tokens", custom__axisPlacement="right"),),
    ),
    timeseries(
        "Where its time goes",
        "Share of each phase in the time of the run. Stalled: no step comes. Lost: the time between two attempts, in one piece as the next one begins.",
        Query(
            f"sum by (session_id, phase) (rate(training_phase_seconds_total{RATE_INTERVAL})) > 0",
            "{{phase}}",
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        custom={
            "fillOpacity": 60,
            "lineWidth": 0,
            "stacking": {"mode": "normal", "group": "A"},
        },
        overrides=phase_colors(),
    ),
)

SESSION_BOARD = board(
    uid="trainbridge-session",
    title="Session",
    description="One training session: whether it is well, its loss with the images of each moment, and what explains it.",
    variables=(SESSION, METRIC, BRIDGE_URL),
    annotations=(epochs(is_on=False), attempts(), commands(), events(), alerts()),
    links=(PAGE_OF_THE_SESSION,),
    since="now-3h",
    panels=(
        *HEALTH,
        *OVERVIEW,
        row("Loss in detail", panels=LOSS_IN_DETAIL),
        row("Numbers by name", panels=NUMBERS),
        row("Learning", panels=LEARNING),
        row("Speed", panels=SPEED),
        row("Phases", panels=PHASES),
        row("GPUs and process", panels=GPUS),
        row("Ranks of its run", panels=RANKS),
        row("Commands and events", panels=COMMANDS_AND_EVENTS),
    ),
)

"""Rows of the session board about its time: how quickly it goes, and what it does while it does not train."""

from grafana.panels import PER_SECOND, Query, bar_gauge, heatmap, state_timeline, timeseries
from grafana.promql import RATE_INTERVAL, buckets, latest, mean, newest, quantile
from grafana.states import MAPPINGS, doing, phase_colors

DURATION = "training_batch_duration_seconds"

SPEED = (
    timeseries(
        "Batches",
        "Batches in a second. A step down that stays: compare the ranks of its run, and whether a GPU is throttled.",
        Query(f"sum by (session_id) (rate(training_batches_total{RATE_INTERVAL}))", "batches"),
        width=6,
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Tokens",
        "Tokens trained on in a second. Empty: the loop does not report them.",
        Query(f"sum by (session_id) (rate(training_tokens_total{RATE_INTERVAL}))", "tokens"),
        width=6,
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Frames",
        "Samples in a second as the loop measures them, recently and on average. Recently less than on average: something holds it up now.",
        Query(f"max by (session_id) ({newest('training_frames_per_second')})", "recently"),
        Query(
            f"max by (session_id) ({newest('training_frames_per_second_average')})", "on average"
        ),
        width=6,
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Time of an epoch",
        "How long the last epoch took, as the loop reports it. One that grows: see the phases, and the time of a batch.",
        Query(f"max by (session_id) ({newest('training_epoch_duration_seconds')})", "epoch"),
        width=6,
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Time of a batch",
        "The time that half, nineteen of twenty, and ninety-nine of a hundred batches stay below, and the mean. p99 far above p50: single batches wait, most often for data.",
        Query(quantile(0.99, DURATION, "session_id"), "p99"),
        Query(quantile(0.95, DURATION, "session_id"), "p95"),
        Query(quantile(0.5, DURATION, "session_id"), "p50"),
        Query(mean(DURATION, "session_id"), "mean"),
        width=12,
        unit="s",
        defaults={"min": 0},
    ),
    heatmap(
        "Times of batches",
        "How many batches took up to each bound. Two bands: every so many batches something else is done within the step.",
        Query(buckets(DURATION)),
        unit="s",
    ),
)

PHASES = (
    state_timeline(
        "What it does",
        "Its phase while it runs, else its status. Stalled: no step comes. A gap: no bridge knew of it, as between two attempts, whose time is lost.",
        Query(doing(), "{{session_id}}"),
        mappings=MAPPINGS,
        height=5,
    ),
    timeseries(
        "Goodput over time",
        "Share of the time between two points that it spent in training. Less than before: the shares of the phases above say what it does instead.",
        Query(
            f'sum by (session_id) (rate(training_phase_seconds_total{{phase="training"}}{RATE_INTERVAL}))'
            f" / (sum by (session_id) (rate(training_phase_seconds_total{RATE_INTERVAL})) > 0)",
            "goodput",
        ),
        width=12,
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    bar_gauge(
        "Time by phase",
        "Into which phases its time has gone since it began, over all attempts. What is long and not training is what to shorten first.",
        Query(
            f"max by (phase) ({latest('training_phase_seconds_total')}) > 0",
            "{{phase}}",
            is_instant=True,
        ),
        width=12,
        unit="s",
        defaults={"decimals": 0},
        overrides=phase_colors(),
    ),
)

"""Rows of the session board about what it learns: its loss in detail, its numbers by name, and its optimizer."""

from grafana.links import images_at_point
from grafana.panels import Query, heatmap, override, timeseries
from grafana.promql import RATE_INTERVAL, buckets, newest, quantile, with_bridge

COPY = ("job", "instance", "session_id")

DASHED = {"fill": "dash", "dash": [6, 6]}


def loss_of_both(suffix: str, sign: str) -> str:
    """Return how a part of the loss histogram grows: of losses that are not negative, and of the others."""
    positive = f"rate(training_batch_loss_{suffix}{RATE_INTERVAL})"
    negative = f"rate(training_batch_loss_negative_{suffix}{RATE_INTERVAL})"
    return f"sum by ({', '.join(COPY)}) ({positive} {sign} ({negative} or 0 * {positive}))"


LOSS_IN_DETAIL = (
    timeseries(
        "Batch loss, p50 and p99",
        "Half of the batches, and ninety-nine of a hundred, have no higher loss; negative losses are not among them. A diamond is one batch: its links open its images and its trace. A click on a line opens the images of that moment.",
        Query(with_bridge(quantile(0.99, "training_batch_loss", *COPY)), "p99", has_exemplars=True),
        Query(with_bridge(quantile(0.5, "training_batch_loss", *COPY)), "p50"),
        width=12,
        scale="symlog",
        links=(images_at_point(),),
    ),
    heatmap(
        "Batch losses",
        "How many batches had a loss up to each bound. Two bands: two kinds of batches, of which one is not learned; see the worst images on the board Images.",
        Query(buckets("training_batch_loss"), has_exemplars=True),
    ),
    timeseries(
        "Mean batch loss",
        "Of all batches between two points, negative ones included. Above the last loss: some batches are much worse than most. A click opens the images of that moment.",
        Query(
            with_bridge(f"{loss_of_both('sum', '-')} / ({loss_of_both('count', '+')} > 0)"),
            "mean",
        ),
        Query(with_bridge(newest("training_epoch_loss")), "mean of the last epoch"),
        width=12,
        scale="symlog",
        links=(images_at_point(),),
    ),
    timeseries(
        "NaN and infinity",
        "NaN and infinite values that the loop reported, by field. Any: lower the learning rate or go back to a checkpoint; a click opens the images of that moment.",
        Query(
            with_bridge(f"increase(training_nonfinite_values_total{RATE_INTERVAL}) > 0", "field"),
            "{{field}}",
        ),
        width=12,
        unit="short",
        defaults={"min": 0, "noValue": "none"},
        custom={"drawStyle": "bars", "fillOpacity": 70},
        links=(images_at_point(),),
    ),
)

NUMBERS = (
    timeseries(
        "$metric",
        "A number that the loop reports by name, by split, with its highest and lowest values between two points. A click opens the images of that moment.",
        *(
            Query(with_bridge(newest(query), "name", "split"), legend)
            for query, legend in (
                ('training_metric{name=~"$metric"}', "last {{split}}"),
                (
                    'max_over_time(training_metric_interval_max{name=~"$metric"}[$__interval])',
                    "highest {{split}}",
                ),
                (
                    'min_over_time(training_metric_interval_min{name=~"$metric"}[$__interval])',
                    "lowest {{split}}",
                ),
            )
        ),
        repeat="metric",
        overrides=(
            override("/^last/", "byRegexp", links=[images_at_point()]),
            override(
                "/^(highest|lowest)/",
                "byRegexp",
                links=[images_at_point(is_extreme=True)],
                custom__lineStyle=DASHED,
            ),
        ),
    ),
)

LEARNING = (
    timeseries(
        "Learning rate",
        "As the loop or a command set it. A step down that nobody planned: see the lines Commands. A click opens the images of that moment.",
        Query(with_bridge(newest("training_learning_rate")), "learning rate"),
        width=6,
        scale="log",
        links=(images_at_point(),),
    ),
    timeseries(
        "Gradient norm",
        "Norm of the gradients. A spike just before one of the loss: clip gradients, or warm up longer. A click opens the images of that moment.",
        Query(with_bridge(newest("training_gradient_norm")), "gradient norm"),
        width=6,
        scale="log",
        links=(images_at_point(),),
    ),
    timeseries(
        "Model FLOPs utilization",
        "The share of what the hardware could do that the model uses. Low with busy GPUs: kernels or communication are slow, not the data.",
        Query(with_bridge(newest("training_mfu_ratio")), "MFU"),
        width=6,
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        links=(images_at_point(),),
    ),
    timeseries(
        "Accuracy gap",
        "Accuracy of the training less that of the validation. One that grows: it learns the training data by heart; stop earlier, or use more data.",
        Query(
            with_bridge(
                newest("training_epoch_accuracy_ratio - training_validation_accuracy_ratio")
            ),
            "training - validation",
        ),
        width=6,
        unit="percentunit",
        links=(images_at_point(),),
    ),
)

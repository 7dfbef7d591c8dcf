"""Read what a bridge shows of one session on /metrics."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from bridge.canary.run import SCALAR
from bridge.canary.verdict import Shown, What
from bridge.client import BridgeClient
from bridge.client.query import NoBridgeError

SIGN = "# TYPE bridge_build_info "
"""On every bridge's page, and on no page of a proxy that stands in for one."""

COUNTERS = {
    "training_batches_total": What.BATCH,
    "training_batch_loss_count": What.LOSS,
    "training_epochs_completed_total": What.EPOCH,
    "training_predictions_total": What.PREDICTION,
    "training_images_total": What.IMAGE,
}
"""What is counted; samples with more labels are added up."""

VALUES = {
    "training_samples_total": (What.BATCH, "samples"),
    "training_batch_loss_sum": (What.LOSS, "sum"),
    "training_prediction_confidence_count": (What.PREDICTION, "confidences"),
    "training_prediction_confidence_sum": (What.PREDICTION, "confidence sum"),
    "training_predictions_total": (What.PREDICTION, "{true_class}/{predicted_class}"),
}
"""The samples that are compared when the count is right, and the name of the value."""


def read_shown(client: BridgeClient, session_id: str) -> Shown:
    """Return what /metrics shows of a session, all zeros where it is not there; raises QueryError."""
    text = client.metrics()
    if SIGN not in text:
        raise NoBridgeError(f"no bridge at {client.url}: its /metrics is of another program")
    label = f'session_id="{session_id}"'
    lines = "\n".join(line for line in text.split("\n") if label in line)
    counts = dict.fromkeys(What, 0)
    values = {what: defaultdict[str, float](float) for what in What}
    stored = 0
    try:
        for family in text_string_to_metric_families(f"{lines}\n"):
            for name, labels, value, *_ in family.samples:
                if name in COUNTERS:
                    counts[COUNTERS[name]] += int(value)
                if name in VALUES:
                    what, key = VALUES[name]
                    values[what][key.format_map(labels)] += value
                if name == "training_metric" and labels["name"] == SCALAR:
                    values[What.EPOCH][SCALAR] = value
                if name == "training_images_total" and labels["result"] == "stored":
                    stored = int(value)
    except (ValueError, KeyError) as error:
        raise NoBridgeError(f"no bridge at {client.url}: its /metrics is malformed") from error
    return Shown(counts, values, stored)

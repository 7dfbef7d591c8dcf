"""From what a client says of itself and its run to the frozen model."""

from collections.abc import Iterable, Iterator
from heapq import nsmallest

from bridge.model import Client, Config
from bridge.receiver.message_limits import MessageLimits
from bridge.trace_context import TraceContext
from bridge.wire import metrics_pb2 as wire


def client_of(
    info: wire.SessionInfo, trace_context: TraceContext | None, limits: MessageLimits
) -> Client:
    """Return who is registering."""
    return Client(
        name=info.client_name[: limits.text],
        version=info.client_version[: limits.text],
        instance_id=info.client_instance_id[:128],
        labels=_labels(info, limits),
        trace_context=trace_context,
    )


def config_of(config: wire.TrainingConfig, limits: MessageLimits) -> Config:
    """Return how a run was configured."""
    return Config(
        total_epochs=config.total_epochs,
        batches_per_epoch=config.batches_per_epoch,
        batch_size=config.batch_size,
        model_name=config.model_name[: limits.text],
        dataset_name=config.dataset_name[: limits.text],
        class_names=tuple(_class_names(config.class_names[:10_000], limits)),
    )


def _labels(info: wire.SessionInfo, limits: MessageLimits) -> dict[str, str]:
    """Return the labels that are kept: the first ones by name, as on every bridge."""
    names = nsmallest(limits.labels, (name for name in info.labels if len(name) <= limits.label))
    return {name: info.labels[name][: limits.label] for name in names}


def _class_names(names: Iterable[str], limits: MessageLimits) -> Iterator[str]:
    left = limits.class_names
    for name in names:
        kept = name[:256]
        left -= len(kept)
        if left < 0:
            return
        yield kept

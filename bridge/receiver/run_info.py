"""From what a client says of itself and its run to the frozen model."""

import json
from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from math import isfinite

from bridge.model import Client, Config, ResumePoint
from bridge.protocol import SESSION_ID
from bridge.receiver.message_limits import MessageLimits
from bridge.trace_context import TraceContext
from bridge.wire import metrics_pb2 as wire

INTEGERS = range(-(1 << 63), 1 << 63)
"""What the checkpoints of sessions can hold."""


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
        run_id=info.run_id if SESSION_ID.fullmatch(info.run_id) else "",
        rank=info.rank if info.HasField("rank") else None,
        world_size=info.world_size,
        run_config=_run_config(info.config_json, limits),
        resume_point=_resume_point(info),
    )


def details_of(details: Mapping[str, str], limits: MessageLimits) -> dict[str, str]:
    """Return the details of an event that are kept: the first ones by name."""
    names = nsmallest(limits.labels, (name for name in details if len(name) <= limits.label))
    return {name: details[name][: limits.label] for name in names}


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


def _resume_point(info: wire.SessionInfo) -> ResumePoint | None:
    point = info.resume_point
    found = ResumePoint(
        point.epoch if point.HasField("epoch") else None,
        point.batch_idx if point.HasField("batch_idx") else None,
        point.global_step if point.HasField("global_step") else None,
    )
    return None if found == ResumePoint() else found


def _run_config(text: str, limits: MessageLimits) -> dict[str, object]:
    """Return the configuration that is kept: plain values of the first names, as the client has put them."""
    if not text or len(text) > limits.config_characters:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):  # ValueError also for an integer of too many digits
        return {}
    if not isinstance(values, dict):
        return {}
    plain = (
        (_encodable(name), _plain(value, limits))
        for name, value in values.items()
        if len(name) <= limits.label and not isinstance(value, dict | list)
    )
    return dict(islice(plain, limits.config_keys))


def _plain(value: object, limits: MessageLimits) -> object:
    """Return a value that every store and page can hold: a number that is too large or not finite becomes text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and value in INTEGERS:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    return _encodable(str(value)[: limits.text])


def _encodable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


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

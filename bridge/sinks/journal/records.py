"""Events as rows of plain values, and back."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any, NamedTuple

from bridge.model import (
    Batch,
    CommandAnswered,
    CommandAsked,
    CommandResult,
    CommandSent,
    CommandType,
    Config,
    Connected,
    Disconnected,
    Ended,
    Epoch,
    Event,
    Forgotten,
    Gpu,
    Performance,
    Phase,
    Prediction,
    Resources,
    Scalars,
    SequenceAdvanced,
    Status,
    StatusChange,
    reported,
)
from bridge.sessions import without_zeros

VERSION = 1
"""Of rows; each group begins with the version of its own."""


class Entry(NamedTuple):
    """An event of a session; a tuple, since there is one for every message."""

    session_id: str
    sequence: int
    """The highest one that the session had accepted then."""
    received: float
    event: Event


def row_of(entry: Entry) -> tuple[Any, ...]:
    """Return (session id, sequence, received, kind, ...): numbers, texts, tuples and dictionaries.

    Kinds are numbers that never change their meaning; a row may grow at its end. Images are left out:
    their bytes are in shards, and their fate is counted there.
    """
    session_id, sequence, received, event = entry
    kind, plain = _PLAIN[type(event)]
    return (session_id, sequence, received, kind, *plain(event))


def entry_of(row: Sequence[Any]) -> Entry:
    """Return what a row was made of; raises ValueError for one that makes no sense."""
    try:
        session_id, sequence, received, kind, *plain = row
        return Entry(session_id, sequence, received, _EVENTS[kind](plain))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"not a row of the journal: {error!r}") from error


def _batch_row(batch: Batch) -> tuple[Any, ...]:
    plain = (batch.epoch, batch.index, batch.loss, batch.duration_seconds, batch.sample_count)
    if not (batch.predictions or batch.ground_truth or batch.invalid_images):
        return plain
    return (
        *plain,
        [told.predicted_class for told in batch.predictions],
        [told.confidence for told in batch.predictions],
        batch.ground_truth,
        batch.invalid_images,
    )


def _batch(plain: Sequence[Any]) -> Batch:
    epoch, index, loss, duration_seconds, sample_count, *rest = plain
    if not rest:
        return Batch(
            epoch, index, loss, duration_seconds=duration_seconds, sample_count=sample_count
        )
    classes, confidences, truths, invalid_images = rest[:4]
    return Batch(
        epoch,
        index,
        loss,
        invalid_images=invalid_images,
        predictions=tuple(map(Prediction, classes, map(reported, confidences))),
        ground_truth=tuple(truths),
        duration_seconds=duration_seconds,
        sample_count=sample_count,
    )


def _epoch_before(plain: Sequence[Any]) -> Epoch:
    """Return an epoch as it was written when an accuracy of 0 meant "not reported" as well."""
    number, loss, accuracy, *more = plain
    return Epoch(number, loss, reported(accuracy), *more)


def _performance_before(plain: Sequence[Any]) -> Performance:
    """Return a performance as it was written when any 0 meant "not reported" as well."""
    return _performance(tuple(without_zeros(dict(zip(_PERFORMANCE, plain, strict=True))).values()))


def _performance_row(told: Performance) -> tuple[Any, ...]:
    return tuple(asdict(told).values())


def _performance(plain: Sequence[Any]) -> Performance:
    told = Performance(*plain)
    used: Any = told.resources
    if used is None:
        return told
    gpus = tuple(Gpu(**gpu) for gpu in used["gpus"])
    return replace(told, resources=Resources(**{**used, "gpus": gpus}))


def _status_row(change: StatusChange) -> tuple[Any, ...]:
    config = None if change.config is None else asdict(change.config)
    return change.status.value, change.message, config


def _status(plain: Sequence[Any]) -> StatusChange:
    status, message, config = plain
    if config is not None:
        config = Config(**{**config, "class_names": tuple(config["class_names"])})
    return StatusChange(Status(status), message, config)


def _order_row(order: CommandAsked | CommandSent) -> tuple[Any, ...]:
    return order.command_id, order.type.value, dict(order.parameters)


def _asked(plain: Sequence[Any]) -> CommandAsked:
    command_id, number, parameters = plain
    return CommandAsked(command_id, CommandType(number), parameters)


def _sent(plain: Sequence[Any]) -> CommandSent:
    command_id, number, parameters = plain
    return CommandSent(command_id, CommandType(number), parameters)


def _answered_row(answered: CommandAnswered) -> tuple[Any, ...]:
    return answered.type.value, *_RESULT_FIELDS(answered.result)


def _answered(plain: Sequence[Any]) -> CommandAnswered:
    number, *result = plain
    return CommandAnswered(CommandType(number), CommandResult(*result))


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


_EPOCH_FIELDS = attrgetter(*_names(Epoch))
_PERFORMANCE = _names(Performance)
_SCALARS_FIELDS = attrgetter(*_names(Scalars))
_RESULT_FIELDS = attrgetter(*_names(CommandResult))


def _advanced_row(event: SequenceAdvanced) -> tuple[int, ...]:
    return (event.first_skipped, event.last_skipped) if event.first_skipped else ()


def _nothing(_event: Event) -> tuple[Any, ...]:
    return ()


Plain = Callable[[Any], tuple[Any, ...]]

_PLAIN: dict[type, tuple[int, Plain]] = {
    Batch: (1, _batch_row),
    Epoch: (13, _EPOCH_FIELDS),
    Performance: (14, _performance_row),
    StatusChange: (4, _status_row),
    Scalars: (5, _SCALARS_FIELDS),
    Connected: (6, _nothing),
    Disconnected: (7, _nothing),
    CommandSent: (8, _order_row),
    CommandAnswered: (9, _answered_row),
    Ended: (10, lambda ended: (ended.phase.value,)),
    Forgotten: (11, _nothing),
    CommandAsked: (12, _order_row),
    SequenceAdvanced: (15, _advanced_row),
}

_EVENTS: dict[int, Callable[[Sequence[Any]], Event]] = {
    1: _batch,
    2: _epoch_before,
    3: _performance_before,
    4: _status,
    5: lambda plain: Scalars(*plain),
    6: lambda _plain: Connected(),
    7: lambda _plain: Disconnected(),
    8: _sent,
    9: _answered,
    10: lambda plain: Ended(Phase(plain[0])),
    11: lambda _plain: Forgotten(),
    12: _asked,
    13: lambda plain: Epoch(*plain),
    14: _performance,
    15: lambda plain: SequenceAdvanced(*plain[:2]),
}

"""Events as rows of plain values, and back."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any, NamedTuple

from bridge.hardware import Resources
from bridge.lifecycle import (
    Absent,
    AlertReceived,
    CommandAnswered,
    CommandQueued,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    Expired,
    SentElsewhere,
    SequenceAdvanced,
)
from bridge.model import (
    Batch,
    CommandResult,
    Config,
    Epoch,
    Level,
    Occurrence,
    Performance,
    Prediction,
    Scalars,
    Stage,
    Status,
    StatusChange,
    reported,
)
from bridge.protocol import CommandType
from bridge.session_snapshot import gpu_of, without_zeros

WITH_STEP = (2, 7)
"""Fields of a batch behind those that each has, where the last two are its step and its tokens."""

VERSION = 1
"""Of rows; each group begins with the version it was written in."""


class JournalRecord(NamedTuple):
    """An event of a session; a tuple, since there is one for every message."""

    session_id: str
    sequence: int
    """The highest one that the session had accepted by then."""
    received: float
    event: Event


def encode(record: JournalRecord) -> tuple[Any, ...]:
    """Return (session id, sequence, received, kind, ...): numbers, texts, tuples and dictionaries.

    A row may grow at its end. Images are left out: their bytes are in shards, and they are counted there.
    """
    session_id, sequence, received, event = record
    kind, fields_of = _ENCODERS[type(event)]
    return (session_id, sequence, received, kind, *fields_of(event))


def decode(row: Sequence[Any]) -> JournalRecord:
    """Return the record a row was made of; raises ValueError for a row that cannot be read."""
    try:
        session_id, sequence, received, kind, *values = row
        return JournalRecord(session_id, sequence, received, _DECODERS[kind](values))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"not a row of the journal: {error!r}") from error


def _batch_fields(batch: Batch) -> tuple[Any, ...]:
    always = (batch.epoch, batch.index, batch.loss, batch.duration_seconds, batch.sample_count)
    counts = () if batch.step is None and not batch.tokens else (batch.step, batch.tokens)
    if not (
        batch.predictions or batch.ground_truth or batch.invalid_images or batch.images_received
    ):
        return always + counts
    return (
        *always,
        [prediction.predicted_class for prediction in batch.predictions],
        [prediction.confidence for prediction in batch.predictions],
        batch.ground_truth,
        batch.invalid_images,
        batch.images_received,
        *counts,
    )


def _batch(values: Sequence[Any]) -> Batch:
    epoch, index, loss, duration_seconds, sample_count, *rest = values
    step, tokens = None, 0
    if len(rest) in WITH_STEP:
        *rest, step, tokens = rest
    if not rest:
        return Batch(
            epoch,
            index,
            loss,
            duration_seconds=duration_seconds,
            sample_count=sample_count,
            step=step,
            tokens=tokens,
        )
    classes, confidences, truths, invalid_images = rest[:4]
    images_received = rest[4] if len(rest) > 4 else 0  # older versions did not write it
    return Batch(
        epoch,
        index,
        loss,
        invalid_images=invalid_images,
        predictions=tuple(map(Prediction, classes, map(reported, confidences))),
        ground_truth=tuple(truths),
        duration_seconds=duration_seconds,
        sample_count=sample_count,
        images_received=images_received,
        step=step,
        tokens=tokens,
    )


def _epoch_with_zeros(values: Sequence[Any]) -> Epoch:
    """Return an epoch written when an accuracy of 0 also meant "not reported"."""
    number, loss, accuracy, *more = values
    return Epoch(number, loss, reported(accuracy), *more)


def _performance_fields(performance: Performance) -> tuple[Any, ...]:
    measured = asdict(performance)
    usage = measured["resources"]
    if usage is not None:
        usage["gpus"] = [_without_missing(gpu) for gpu in usage["gpus"]]
    return tuple(measured.values())


def _without_missing(gpu: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in gpu.items() if value is not None}


def _performance(values: Sequence[Any]) -> Performance:
    performance = Performance(*values)
    usage: Any = performance.resources
    if usage is None:
        return performance
    gpus = tuple(map(gpu_of, usage["gpus"]))
    return replace(performance, resources=Resources(**{**usage, "gpus": gpus}))


def _performance_with_zeros(values: Sequence[Any]) -> Performance:
    """Return a performance written when any 0 also meant "not reported"."""
    names = _names(Performance)
    return _performance(tuple(without_zeros(dict(zip(names, values, strict=False))).values()))


def _status_fields(change: StatusChange) -> tuple[Any, ...]:
    config = None if change.config is None else asdict(change.config)
    always = (change.status.value, change.message, config)
    if not (change.phase or change.phase_seconds):
        return always
    return (*always, change.phase, dict(change.phase_seconds))


def _status(values: Sequence[Any]) -> StatusChange:
    status, message, config, *phase = values
    if config is not None:
        config = Config(**{**config, "class_names": tuple(config["class_names"])})
    return StatusChange(Status(status), message, config, *phase[:2])


def _occurrence_fields(occurrence: Occurrence) -> tuple[Any, ...]:
    name, message, level, *rest = _OCCURRENCE_FIELDS(occurrence)
    return (name, message, level.value, *rest)


def _occurrence(values: Sequence[Any]) -> Occurrence:
    name, message, level, *rest = values
    return Occurrence(name, message, Level(level), *rest)


def _command_fields(command: CommandQueued | CommandSent) -> tuple[Any, ...]:
    return command.command_id, command.type.value, dict(command.parameters)


def _queued_fields(command: CommandQueued) -> tuple[Any, ...]:
    always = _command_fields(command)
    if command.expires_at:
        return (*always, command.source, command.expires_at)
    return (*always, command.source) if command.source else always


def _command(event: type[Any]) -> "Decode":
    def decode_command(values: Sequence[Any]) -> Any:
        command_id, number, *rest = values
        return event(command_id, CommandType(number), *rest)

    return decode_command


def _answer_fields(answered: CommandAnswered) -> tuple[Any, ...]:
    return answered.type.value, *_RESULT_FIELDS(answered.result)


def _answer(values: Sequence[Any]) -> CommandAnswered:
    number, *result = values
    return CommandAnswered(CommandType(number), CommandResult(*result))


def _advance_fields(event: SequenceAdvanced) -> tuple[int, ...]:
    return (event.first_skipped, event.last_skipped) if event.first_skipped else ()


def _no_fields(_event: Event) -> tuple[Any, ...]:
    return ()


def _names(event: type) -> list[str]:
    return [field.name for field in fields(event)]


_RESULT_FIELDS = attrgetter(*_names(CommandResult))
_OCCURRENCE_FIELDS = attrgetter(*_names(Occurrence))
_ALERT_FIELDS = attrgetter(*_names(AlertReceived))

Encode = Callable[[Any], tuple[Any, ...]]
Decode = Callable[[Sequence[Any]], Event]


class Codec(NamedTuple):
    """How the events of one type are written and read."""

    kind: int
    """What stands for the type in a row; a number never changes its meaning."""
    event: type
    decode: Decode
    encode: Encode | None = None
    """None: rows of this kind were written by older versions, and are only read."""


CODECS = (
    Codec(1, Batch, _batch, _batch_fields),
    Codec(2, Epoch, _epoch_with_zeros),
    Codec(3, Performance, _performance_with_zeros),
    Codec(4, StatusChange, _status, _status_fields),
    Codec(5, Scalars, lambda values: Scalars(*values), attrgetter(*_names(Scalars))),
    Codec(6, Connected, lambda _values: Connected(), _no_fields),
    Codec(7, Disconnected, lambda _values: Disconnected(), _no_fields),
    Codec(8, CommandSent, _command(CommandSent), _command_fields),
    Codec(9, CommandAnswered, _answer, _answer_fields),
    Codec(10, Ended, lambda values: Ended(Stage(values[0])), lambda ended: (ended.stage.value,)),
    Codec(11, Expired, lambda _values: Expired(), _no_fields),
    Codec(12, CommandQueued, _command(CommandQueued), _queued_fields),
    Codec(13, Epoch, lambda values: Epoch(*values), attrgetter(*_names(Epoch))),
    Codec(14, Performance, _performance, _performance_fields),
    Codec(15, SequenceAdvanced, lambda values: SequenceAdvanced(*values[:2]), _advance_fields),
    Codec(16, Occurrence, _occurrence, _occurrence_fields),
    Codec(17, Absent, lambda _values: Absent(), _no_fields),
    Codec(18, SentElsewhere, lambda _values: SentElsewhere(), _no_fields),
    Codec(19, AlertReceived, lambda values: AlertReceived(*values), _ALERT_FIELDS),
)
"""Every event that the journal holds."""

_ENCODERS = {codec.event: (codec.kind, codec.encode) for codec in CODECS if codec.encode}
_DECODERS = {codec.kind: codec.decode for codec in CODECS}

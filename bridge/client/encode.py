"""From the loop's words to the protocol's."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.client.classes import Predictions, classes_of, predictions_of
from bridge.client.entry import Entry, Kind
from bridge.client.identity import Plan
from bridge.client.inbox import (
    AnswerItem,
    BatchItem,
    EpochItem,
    ScalarsItem,
    StatusItem,
    count_of,
)
from bridge.client.jpeg import Jpegs, encode_images
from bridge.client.pace import Speed
from bridge.client.system import Usage
from bridge.client.terms import Terms
from bridge.client.words import Status
from bridge.wire import metrics_pb2 as wire

TEXT_LIMIT = 4_096
ROOM_BYTES = 4_096
"""Of a message, for everything in it that is no image."""

UINT32_MAX = (1 << 32) - 1
CLASS_RANGE = range(-(1 << 31), 1 << 31)
"""What the protocol has room for."""

Fault = Callable[[str, Exception], None]
"""Takes what was wrong with an argument, named first."""


def number(value: Any) -> float:
    """Return a number of whichever library as a float; waits for a GPU where it lies on one."""
    if hasattr(value, "detach"):
        value = value.detach()
    return float(value)


def text(value: object) -> str:
    """Return anything as text that can be sent: protobuf takes no lone surrogates."""
    return str(value)[:TEXT_LIMIT].encode(errors="replace").decode()


class Encoder:
    """Makes messages, numbered from 1; what cannot be read is left out and told to `fault`."""

    def __init__(self, plan: Plan, fault: Fault, *, last: int = 0) -> None:
        """Encode for a run of this plan, behind the message that was numbered last."""
        self._plan = plan
        self._fault = fault
        self._sequence = last

    def samples(self, item: BatchItem) -> int:
        """Return how many samples a batch had: as told, or as many as were given, or as planned."""
        try:
            if item.sample_count is not None:
                return min(max(0, int(item.sample_count)), UINT32_MAX)
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self._fault("sample_count", error)
        for given in (item.images, item.ground_truth, item.predictions):
            if given is not None and (count := count_of(given)):
                return count
        return self._plan.batch_size

    def batch(
        self,
        item: BatchItem,
        *,
        loss: float,
        samples: int,
        clock_ms: int,
        duration: float | None,
        images: bool,
        terms: Terms,
    ) -> Entry:
        """Encode a batch, with its first images where they are wanted."""
        data = wire.BatchData(
            epoch=int(item.epoch),
            batch_idx=int(item.batch),
            batch_loss=loss,
            sample_count=samples,
        )
        if duration is not None:
            data.duration_ms = duration * 1000
        limit = terms.images_per_batch
        told = self._predictions(item, limit)
        truth = self._truth(item, limit)
        if told and truth and len(told) != len(truth):
            self._fault(
                "ground_truth", ValueError(f"{len(truth)} classes for {len(told)} predictions")
            )
            truth = []
        jpegs = self._jpegs(item, terms, _shortest(told, truth)) if images else []
        if jpegs:  # only the classes that belong to them are told: their numbers must agree
            places = [place for place, _ in jpegs]
            told = [told[place] for place in places if told]
            truth = [truth[place] for place in places if truth]
            data.images.extend(wire.ImageData(image_bytes=jpeg) for _, jpeg in jpegs)
        _classes(data, told, truth)
        entry = self._entry(Kind.BATCH, clock_ms, batch_data=data)
        entry.batch, entry.images = data.batch_idx, len(jpegs)
        return entry

    def epoch(self, item: EpochItem, clock_ms: int) -> Entry:
        """Encode the averages of an epoch."""
        data = wire.EpochData(epoch=int(item.epoch), average_loss=number(item.loss))
        optional = {
            "average_accuracy": item.accuracy,
            "validation_loss": item.validation_loss,
            "validation_accuracy": item.validation_accuracy,
            "learning_rate": item.learning_rate,
        }
        for name, value in optional.items():
            if value is not None:
                self._set(data, name, value)
        return self._entry(Kind.PRECIOUS, clock_ms, epoch_data=data)

    def scalars(self, item: ScalarsItem, clock_ms: int) -> Entry:
        """Encode numbers of the user's own."""
        values: dict[str, float] = {}
        for name, value in item.values.items():
            try:
                values[text(name)] = number(value)
            except Exception as error:  # noqa: BLE001 -- anything may be given; the others still count
                self._fault(f"values[{text(name)[:64]!r}]", error)
        data = wire.ScalarData(epoch=int(item.epoch), batch_idx=int(item.batch), values=values)
        return self._entry(Kind.OTHER, clock_ms, scalar_data=data)

    def status(self, item: StatusItem, clock_ms: int) -> Entry:
        """Encode what the run says it is doing."""
        status = Status(int(item.status))
        data = wire.StatusUpdate(
            status=wire.TrainingStatus.ValueType(status),
            message=text(item.message),
            config=self._plan.to_wire(),
            timestamp_ms=clock_ms,
        )
        kind = Kind.LAST if status.is_end else Kind.PRECIOUS
        return self._entry(kind, clock_ms, status_update=data)

    def answer(self, item: AnswerItem, clock_ms: int) -> Entry:
        """Encode what became of an order."""
        data = wire.CommandResult(
            command_id=item.command_id,
            applied=item.applied,
            message=text(item.message),
            epoch=int(item.epoch),
            batch_idx=int(item.batch),
        )
        return self._entry(Kind.PRECIOUS, clock_ms, command_result=data)

    def performance(self, speed: Speed, usage: Usage | None, clock_ms: int) -> Entry:
        """Encode how fast training goes and what it uses."""
        data = wire.PerformanceData(
            time_per_batch_ms=speed.batch_seconds * 1000,
            total_time_for_epoch_sec=speed.epoch_seconds,
            estimated_time_remaining_sec=speed.remaining_seconds,
            current_fps=speed.samples_per_second,
            average_fps=speed.samples_per_second_average,
            resource_usage=_usage(usage) if usage else None,
            timestamp_ms=clock_ms,
        )
        return self._entry(Kind.OTHER, clock_ms, performance_data=data)

    def _entry(self, kind: Kind, clock_ms: int, **payload: Any) -> Entry:
        sequence = self._sequence + 1
        request = wire.MetricsRequest(timestamp_ms=clock_ms, sequence=sequence, **payload)
        entry = Entry(sequence, kind, request.SerializeToString())
        self._sequence = sequence  # only now: what could not be encoded must leave no gap
        return entry

    def _predictions(self, item: BatchItem, limit: int) -> Predictions:
        if item.predictions is None:
            return []
        try:
            told = predictions_of(item.predictions, limit)
            _check(kind for kind, _ in told)
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self._fault("predictions", error)
            return []
        return told

    def _truth(self, item: BatchItem, limit: int) -> list[int]:
        if item.ground_truth is None:
            return []
        try:
            truth = classes_of(item.ground_truth, limit)
            _check(truth)
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self._fault("ground_truth", error)
            return []
        return truth

    def _jpegs(self, item: BatchItem, terms: Terms, shortest: int | None) -> Jpegs:
        try:
            jpegs, faults = encode_images(
                item.images, limit=terms.images_per_batch, dimension=terms.image_dimension
            )
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self._fault("images", error)
            return []
        for fault in faults:
            self._fault("images", fault)
        if shortest is not None and jpegs and jpegs[-1][0] >= shortest:
            self._fault(
                "images", ValueError(f"more images than the {shortest} classes given with them")
            )
            jpegs = [(place, jpeg) for place, jpeg in jpegs if place < shortest]
        return _fitting(jpegs, terms.message_bytes - ROOM_BYTES)

    def _set(self, data: wire.EpochData, name: str, value: Any) -> None:
        try:
            setattr(data, name, number(value))
        except Exception as error:  # noqa: BLE001 -- anything may be given
            self._fault(name, error)


def prefix_of(session_id: str) -> bytes:
    """Return what makes an encoded message one of this session.

    Encoded messages may be joined: protobuf reads the fields of both (protobuf.dev, "Last One Wins").
    """
    return wire.MetricsRequest(session_id=session_id).SerializeToString()


def frame_of(prefix: bytes, bodies: Iterable[bytes]) -> bytes:
    """Return a MetricsRequestBatch of encoded messages, without decoding them.

    Each is field 1, length-delimited: tag 0x0A, length, bytes (protobuf.dev, "Encoding").
    """
    parts: list[bytes] = []
    for body in bodies:
        parts += (b"\x0a", _varint(len(prefix) + len(body)), prefix, body)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _classes(data: wire.BatchData, told: Predictions, truth: Iterable[int]) -> None:
    data.predictions.extend(
        wire.Prediction(predicted_class=kind, confidence=confidence) for kind, confidence in told
    )
    data.ground_truth.extend(truth)


def _check(classes: Iterable[int]) -> None:
    """Raise for a class that cannot be sent, which would cost the whole batch later."""
    for kind in classes:
        if kind not in CLASS_RANGE:
            raise ValueError(f"{kind} is no class")


def _shortest(told: Predictions, truth: list[int]) -> int | None:
    """Return for how many images there are classes; None where no classes were given."""
    return min((len(part) for part in (told, truth) if part), default=None)


def _fitting(jpegs: Jpegs, room: int) -> Jpegs:
    """Return as many of the images as fit in one message."""
    fitting: Jpegs = []
    for place, jpeg in jpegs:
        room -= len(jpeg) + 16
        if room < 0:
            break
        fitting.append((place, jpeg))
    return fitting


def _usage(usage: Usage) -> wire.ResourceUsage:
    """Return what is known: fields that are left out read as not reported."""
    first = usage.gpus[0] if usage.gpus and not usage.first_gpu_missing else None
    return wire.ResourceUsage(
        cpu_percent=usage.cpu_percent or 0.0,
        memory_mb=usage.memory_mb or 0.0,
        gpu_percent=(first and first.utilization_percent) or 0.0,
        gpu_memory_mb=(first and first.memory_used_mb) or 0.0,
        gpus=[
            wire.GpuUsage(
                index=gpu.index,
                uuid=gpu.uuid,
                utilization_percent=gpu.utilization_percent,
                memory_used_mb=gpu.memory_used_mb,
                memory_total_mb=gpu.memory_total_mb,
                temperature_celsius=gpu.temperature_celsius,
                power_watts=gpu.power_watts,
            )
            for gpu in usage.gpus
        ],
    )


def described(values: Mapping[str, str]) -> dict[str, str]:
    """Return labels as text that can be sent."""
    return {text(name): text(value) for name, value in values.items()}

"""Encode what the loop has reported as messages of the protocol."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from bridge.client.calls import AnswerCall, BatchCall, EpochCall, EventCall, ScalarsCall, StatusCall
from bridge.client.capture.images import Pictures
from bridge.client.capture.reading import (
    UINT32_MAX,
    NotArrivedError,
    count_of,
    index_of,
    number_of,
    rate_of,
    ratio_of,
    value_of,
    whole_number_of,
)
from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.batch_images import fitting_jpegs, placed
from bridge.client.encoding.batch_index import NOWHERE, BatchIndex, batch_index_of
from bridge.client.encoding.epoch_losses import MEAN_LOSS, EpochLosses
from bridge.client.encoding.events import event
from bridge.client.encoding.images import Jpegs
from bridge.client.encoding.isolation import fault_from
from bridge.client.encoding.predictions import Predictions, classes_of, predictions_of
from bridge.client.encoding.resources import usage_of
from bridge.client.encoding.run_state import performance_data, status_update
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut, Reason
from bridge.client.light import LightSteps
from bridge.client.phase_report import NO_PHASES, PhaseState
from bridge.client.resource_usage import ResourceUsage
from bridge.client.throughput import Throughput
from bridge.protocol import Status
from bridge.wire import metrics_pb2 as wire

T = TypeVar("T")

TEXT_LIMIT = 4_096
SPLIT_CHARACTERS = 64

OWN_FAMILIES: dict[str, Callable[[Any], float]] = {
    "learning_rate": rate_of,
    "mfu": partial(ratio_of, name="mfu"),
}
"""Scalars that have a series of their own at the bridge, which takes only what they can be."""

NO_LOSS = float("nan")
"""The loss where none is known, besides the field that says so: servers that do not know that field count NaN."""


def text(value: object) -> str:
    """Return anything as text that can be sent: protobuf rejects lone surrogates."""
    return str(value)[:TEXT_LIMIT].encode(errors="replace").decode()


class Encoder:
    """Makes messages, numbered from 1; what is unreadable is left out and counted."""

    def __init__(
        self,
        config: RunConfig,
        left_out: LeftOut,
        *,
        last: int = 0,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Encode for a run of this configuration, behind the message that was numbered last.

        Once `is_over`, images are left out: the session is closed, and there is no time for them.
        """
        self._config = config
        self._left_out = left_out
        self._sequence = last
        self._is_over = is_over
        self._losses: EpochLosses | None = None

    def plan(self, epochs: int, batches_per_epoch: int) -> RunConfig:
        """Return the configuration from now on: with how long the run will be, where that was not known."""
        self._config = replace(
            self._config,
            epochs=self._config.epochs or epochs,
            batches_per_epoch=self._config.batches_per_epoch or batches_per_epoch,
        )
        return self._config

    def follow_losses(self) -> None:
        """Compute the mean loss of each epoch from now on."""
        self._losses = self._losses or EpochLosses()

    def samples(self, call: BatchCall) -> int:
        """Return how many samples a batch had: as given, or as many as have images or classes, or as configured."""
        samples = self._read("sample_count", call.sample_count, whole_number_of)
        if samples is not None and not 0 <= samples <= UINT32_MAX:
            error = ValueError(f"{samples} samples: give a number from 0 to {UINT32_MAX}")
            self._left_out.add("sample_count", Reason.UNREADABLE, error=error)
            samples = None
        return call.counted or self._config.batch_size if samples is None else int(samples)

    def tokens(self, call: BatchCall) -> int:
        """Return how many tokens a batch had; 0 where that was not given."""
        return self._read("tokens", call.tokens, count_of) or 0

    def index(self, call: BatchCall | ScalarsCall | EventCall) -> BatchIndex:
        """Return where in the run a call belongs; raises ValueError where nobody could know."""
        return batch_index_of(call.epoch, call.batch, call.step, self._read)

    def batch(
        self,
        call: BatchCall,
        index: BatchIndex,
        *,
        samples: int,
        clock_ms: int,
        duration: float | None,
        pictures: Pictures | None,
        server_config: ServerConfig,
    ) -> OutgoingMessage:
        """Encode a batch, with its first images where they are wanted."""
        loss = self._read("loss", call.loss, number_of)
        if self._losses is not None:
            self._losses.add(index.epoch, loss)
        data = wire.BatchData(
            epoch=index.epoch,
            batch_idx=index.batch,
            batch_loss=NO_LOSS if loss is None else loss,
            loss_missing=loss is None,
            sample_count=samples,
            global_step=index.step,
            token_count=self.tokens(call),
        )
        if duration is not None:
            data.duration_ms = duration * 1000
        limit = server_config.images_per_batch
        predictions = self._read(
            "predictions", call.predictions, lambda given: predictions_of(value_of(given), limit)
        )
        truth = self._read(
            "ground_truth", call.ground_truth, lambda given: classes_of(value_of(given), limit)
        )
        predictions, truth = predictions or [], truth or []
        if predictions and truth and len(predictions) != len(truth):
            fault = f"{len(truth)} classes for {len(predictions)} predictions"
            self._left_out.add("ground_truth", Reason.UNREADABLE, error=ValueError(fault))
            truth = []
        jpegs: Jpegs = []
        if pictures:
            shortest = _shortest(predictions, truth)
            jpegs = fitting_jpegs(
                pictures, server_config, shortest, left_out=self._left_out, is_over=self._is_over
            )
        if (
            jpegs and not server_config.uses_sequences
        ):  # an original server expects images without gaps
            places = [place for place, _ in jpegs]
            predictions = [predictions[place] for place in places if predictions]
            truth = [truth[place] for place in places if truth]
            jpegs = [(place, jpeg) for place, (_, jpeg) in enumerate(jpegs)]
        data.images.extend(placed(jpegs, len(predictions) or len(truth)))
        _classes(data, predictions, truth)
        message = self._message(Priority.BATCH, clock_ms, batch_data=data)
        message.batch, message.images = data.batch_idx, len(jpegs)
        message.step, message.tokens = index.step, data.token_count
        return message

    def epoch(self, call: EpochCall, clock_ms: int) -> OutgoingMessage:
        """Encode the averages of an epoch."""
        if call.loss is MEAN_LOSS:
            loss = None if self._losses is None else self._losses.mean(call.epoch)
        else:
            loss = self._read("loss", call.loss, number_of)
        data = wire.EpochData(
            epoch=index_of(call.epoch, "epoch"),
            average_loss=NO_LOSS if loss is None else loss,
            loss_missing=loss is None,
        )
        accuracy = self._read("accuracy", call.accuracy, ratio_of)
        if accuracy is not None:
            data.average_accuracy, data.accuracy_reported = accuracy, True
        optional = {
            "validation_loss": self._read("validation_loss", call.validation_loss, number_of),
            "validation_accuracy": self._read(
                "validation_accuracy", call.validation_accuracy, ratio_of
            ),
            "learning_rate": self._read("learning_rate", call.learning_rate, rate_of),
        }
        for name, value in optional.items():
            if value is not None:
                setattr(data, name, value)
        message = self._message(Priority.CRITICAL, clock_ms, epoch_data=data)
        message.subject = ("epoch", data.epoch)
        return message

    def scalars(self, call: ScalarsCall, clock_ms: int) -> OutgoingMessage:
        """Encode the user's own metrics."""
        values: dict[str, float] = {}
        for name, captured in call.values.items():
            key = scalar_name(name)
            what = f"values[{key[:64]!r}]"
            if captured is None:
                error = ValueError("None is not a number; leave the name out")
                self._left_out.add(what, Reason.UNREADABLE, error=error)
            value = self._read(what, captured, OWN_FAMILIES.get(key, number_of))
            if value is not None:
                values[key] = value
        index = self.index(call)
        data = wire.ScalarData(
            epoch=index.epoch,
            batch_idx=index.batch,
            values=values,
            global_step=index.step,
            split=split_of(call.split),
        )
        return self._message(Priority.OTHER, clock_ms, scalar_data=data)

    def event(self, call: EventCall, clock_ms: int) -> OutgoingMessage:
        """Encode an event. Where memory is full, the first and the newest of each name stay."""
        index = self._read("epoch, batch or step", call, self.index) or NOWHERE
        message = self._message(Priority.CRITICAL, clock_ms, event=event(call, index, self._read))
        message.subject = (f"event {call.name}", 0)
        return message

    def named(self, call: ScalarsCall | EventCall, clock_ms: int) -> OutgoingMessage:
        """Encode what the user has names for."""
        if isinstance(call, EventCall):
            return self.event(call, clock_ms)
        return self.scalars(call, clock_ms)

    def status(
        self, call: StatusCall, clock_ms: int, phases: PhaseState = NO_PHASES
    ) -> OutgoingMessage:
        """Encode the status of the run."""
        status = Status(int(call.status))
        data = status_update(call, text(call.message), clock_ms, phases)
        data.config.CopyFrom(self._config.to_wire())
        priority = Priority.FINAL if status.is_end else Priority.CRITICAL
        message = self._message(priority, clock_ms, status_update=data)
        message.subject = ("status", status)
        return message

    def phase(self, call: StatusCall, clock_ms: int, phases: PhaseState) -> OutgoingMessage:
        """Encode that the loop is in another phase, while its status stays."""
        data = status_update(call, text(call.message), clock_ms, phases)
        return self._message(Priority.OTHER, clock_ms, status_update=data)

    def answer(self, call: AnswerCall, clock_ms: int) -> OutgoingMessage:
        """Encode the answer to a command."""
        data = wire.CommandResult(
            command_id=call.command_id,
            applied=call.applied,
            message=text(call.message),
            epoch=self._read("epoch", call.epoch, lambda given: index_of(given, "epoch")) or 0,
            batch_idx=self._read("batch", call.batch, lambda given: index_of(given, "batch")) or 0,
        )
        return self._message(Priority.CRITICAL, clock_ms, command_result=data)

    def performance(
        self,
        throughput: Throughput | None,
        usage: ResourceUsage | None,
        clock_ms: int,
        phases: PhaseState = NO_PHASES,
        steps: LightSteps | None = None,
    ) -> OutgoingMessage:
        """Encode throughput, resource usage, phases and the steps of a light rank; without throughput, none is known yet."""
        used = usage_of(usage) if usage else None
        data = performance_data(throughput, used, clock_ms, phases, steps)
        return self._message(Priority.OTHER, clock_ms, performance_data=data)

    def _message(self, priority: Priority, clock_ms: int, **payload: Any) -> OutgoingMessage:
        sequence = self._sequence + 1
        request = wire.MetricsRequest(timestamp_ms=clock_ms, sequence=sequence, **payload)
        message = OutgoingMessage(sequence, priority, request.SerializeToString())
        self._sequence = sequence  # only now: a message that cannot be encoded must not leave a gap
        return message

    def _read(self, what: str, captured: Any, read: Callable[[Any], T]) -> T | None:
        """Return what was captured; None where nothing was given, or where it is unreadable, which is counted."""
        if captured is None:
            return None
        try:
            return read(captured)
        except NotArrivedError as error:
            self._left_out.add(what, Reason.NOT_ARRIVED, error=error)
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            self._left_out.add(what, Reason.UNREADABLE, error=fault_from(error))
        return None


def split_of(split: Any) -> str:
    """Return which part of the data numbers are of; raises ValueError for what cannot be one."""
    if split is None:
        return ""
    if not isinstance(split, str) or len(split) > SPLIT_CHARACTERS:
        shown = f"a {type(split).__name__}" if not isinstance(split, str) else f"{split[:32]!r}..."
        raise ValueError(
            f"split: {shown} is not a short text; give train, validation, test or the like"
        )
    return text(split)


def scalar_name(name: str) -> str:
    """Return a name as it can be sent; a changed name carries a hash, so that no two become the same."""
    sent = text(name)
    if sent == name:
        return sent
    whole = hashlib.sha1(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    return f"{sent[: TEXT_LIMIT - 16]}~{whole[:10]}"


def _classes(data: wire.BatchData, predictions: Predictions, truth: Iterable[int]) -> None:
    data.predictions.extend(
        wire.Prediction(predicted_class=class_, confidence=confidence)
        for class_, confidence in predictions
    )
    data.ground_truth.extend(truth)


def _shortest(predictions: Predictions, truth: list[int]) -> int | None:
    """Return for how many images there are classes; None where no classes were given."""
    return min((len(part) for part in (predictions, truth) if part), default=None)


def described(values: Mapping[str, str]) -> dict[str, str]:
    """Return labels as text that can be sent."""
    return {text(name): text(value) for name, value in values.items()}

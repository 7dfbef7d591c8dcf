"""What a training loop reports while it runs."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from bridge.client.arguments import read_argument
from bridge.client.capture.capture import Capture
from bridge.client.capture.positions import known_step
from bridge.client.commands import CommandInbox
from bridge.client.gate import Gate
from bridge.client.light import LightSteps
from bridge.client.phases import NO_PHASE, NoPhase, Phase, PhaseClock
from bridge.client.runtime import Runtime
from bridge.protocol import Status

EventLevel: TypeAlias = Literal["info", "warning", "error"]


class Reporting:
    """The calls that report something; each captures its arguments as they are, and returns."""

    _runtime: Runtime
    _gate: Gate
    _capture: Capture | LightSteps
    _commands: CommandInbox
    _phases: PhaseClock
    _current_rate: Callable[[], Any] | None
    """Returns the learning rate of the optimizer that the session was given."""
    _place: tuple[int, int] | None
    """Epoch and batch of a loop over `track`."""
    _logged_epoch: int | None

    def log_batch(  # noqa: PLR0913 -- what a step has to say, all but the loss by name
        self,
        loss: Any,
        *,
        epoch: int | None = None,
        batch: int | None = None,
        step: int | None = None,
        tokens: int | None = None,
        images: Any = None,
        predictions: Any = None,
        ground_truth: Any = None,
        sample_count: int | None = None,
    ) -> None:
        """Report one training step; call it once for each, right after it.

        Without epoch and batch it is where `track` is, and else the run is counted by steps alone.

        Args:
            loss: A number, or an array or tensor of one element; one on a GPU is copied by the GPU, which
                nobody waits for. None: not reported.
            epoch: Counted from 0 or from 1.
            batch: Counted within the epoch.
            step: Counted over the whole run, from 0. In a run that is counted by steps, None is one more
                than the last, from resume_step on; beside epoch and batch, None is not reported.
            tokens: In this batch, over all sequences.
            images: The batch as array or tensor (N,H,W), (N,H,W,C) or (N,C,H,W), or a list of arrays, of
                PIL images or of JPEG files as bytes; or one picture. The first 16 of some batches are sent:
                of those with the highest loss, and the first of each epoch.
            predictions: Logits or probabilities (N, classes), or classes (N,), or (classes, confidences).
            ground_truth: The true classes (N,), or one-hot rows.
            sample_count: Samples in the batch; else taken from what was given, or from batch_size.
        """
        if not self._gate.is_open and not self._admit("batches"):
            return
        if self._place is not None and epoch is batch is None:
            epoch, batch = self._place
        self._capture.batch(
            loss, (epoch, batch, step), tokens, images, predictions, ground_truth, sample_count
        )
        if self._commands.waiting:
            self._commands.at_step()

    def log_epoch(
        self,
        epoch: int,
        *,
        loss: Any,
        accuracy: Any = None,
        validation_loss: Any = None,
        validation_accuracy: Any = None,
        learning_rate: Any = None,
    ) -> None:
        """Report the end of an epoch; accuracies are 0..1, and None is not reported.

        The learning rate is that of the optimizer that `controls` was given, where there is one.
        """
        if not self._gate.is_open and not self._admit("epochs"):
            return
        if learning_rate is None and self._current_rate is not None:
            learning_rate = read_argument(
                self._gate.account, "learning_rate", self._current_rate, lambda rate: rate(), None
            )
        self._logged_epoch = epoch
        self._capture.epoch(
            epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate
        )
        self._commands.end_epoch()

    def log_scalars(
        self,
        values: Mapping[str, Any],
        *,
        epoch: int | None = None,
        batch: int | None = None,
        step: int | None = None,
        split: str = "",
    ) -> None:
        """Report any numbers by name; without epoch, batch and step, those of the last batch.

        Args:
            values: By name; each a number, or an array or tensor of one element. `learning_rate`,
                `gradient_norm` and `mfu` (0..1) have series of their own.
            epoch: As in log_batch.
            batch: As in log_batch.
            step: As in log_batch; alone, it is a step in the epoch of the last batch.
            split: Which part of the data they are of: train, validation, test or the like.
        """
        if not self._gate.is_open and not self._admit("scalars"):
            return
        self._capture.scalars(values, epoch, batch, step, split)

    def log_status(self, status: Status, message: str = "") -> None:
        """Report what the run is doing; COMPLETED and FAILED end the session, and `close` sends them by itself."""
        if self._gate.admits("statuses"):
            self._runtime.status.report(status, "" if message is None else message)

    def event(
        self, name: str, message: str = "", level: EventLevel = "info", **details: Any
    ) -> None:
        """Report that something has happened, at the epoch, batch and step of the last log_batch.

        Args:
            name: Short and one of few, at most 64 in a session: it is the label of a series. What varies
                belongs into the message or the details.
            message: For people.
            level: info, warning or error.
            details: Texts, numbers and whatever else has a short text.
        """
        if self._gate.admits("events"):
            self._capture.event(name, message, level, details)

    def alert(
        self, title: str, message: str = "", level: EventLevel = "warning", **details: Any
    ) -> None:
        """Report something that somebody should look at: an event, which is a warning unless said otherwise."""
        if self._gate.admits("events"):
            self._capture.event(title, message, level, details)

    def phase(self, name: str) -> Phase | NoPhase:
        """Return what `with` takes for the time that the loop is busy with something: `validation`, `data` ...

        Phases may lie in each other; the innermost counts. One costs about a microsecond.
        """
        if not self._gate.is_open and not self._gate.admits("phases"):
            return NO_PHASE
        return self._phases.phase(name)

    @property
    def step(self) -> int | None:
        """The step of the last log_batch; None before the first one, and where steps are not reported."""
        return known_step(self._capture.position[2])

    def _admit(self, what: str) -> bool:
        """Return whether a call is taken; the first one settles which rank this is, and with it what takes the calls."""
        is_admitted = self._runtime.admit(what)
        self._capture = self._runtime.calls
        return is_admitted

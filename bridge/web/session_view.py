"""What pages and the API show of a session, as it was at one moment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bridge.hardware import Resources
from bridge.history import Bin
from bridge.model import Client, Config, Epoch, Performance, Stage, Status, is_ratio
from bridge.notices import Notice
from bridge.occurrences import Happened
from bridge.received_alerts import KeptAlert
from bridge.scalar_curve import ScalarCurve
from bridge.session import Session
from bridge.web.session_state import DISCONNECTED, may_send, state_of
from bridge.web.stalls import Standstill, standstill

NO_PERFORMANCE = Performance()
NOTHING_MEASURED = (NO_PERFORMANCE, Performance(resources=Resources()))

WHOLE_EPOCH = 0.9
"""So much of the batches that were planned for an epoch is all of them: plans are often rounded."""


@dataclass(frozen=True)
class SessionView:
    """A copy of a session that no longer changes, so that any thread may render it."""

    id: str
    client: Client
    config: Config
    attempt: int
    stage: Stage
    state: str
    """One word for the status pill, which is also its CSS class."""
    is_live: bool
    """Whether the session may still send to this bridge."""
    is_partial: bool
    """Whether messages of its client never came here: another bridge has them, or they were dropped before that."""
    status: Status
    status_message: str
    connected: bool
    registered_at: float
    updated_at: float
    ended_at: float
    epoch: int
    batch: int
    batches: int
    step: int | None
    """The training step reached; None: not reported."""
    tokens: int
    """Trained on; 0: not reported."""
    stepped_at: float
    """When the last batch came; 0: none came."""
    loss: float | None
    """Of the last batch that reported one."""
    loss_bins: tuple[Bin, ...]
    epochs: tuple[Epoch, ...]
    epoch_ends: tuple[tuple[int, float], ...]
    """Which were reported last, and when."""
    performance: Performance | None
    scalars: Mapping[str, float]
    """The newest of each name, of those that came without a split."""
    scalars_by_split: Mapping[str, Mapping[str, float]]
    """The newest of each name, by split."""
    scalar_curves: Mapping[tuple[str, str], ScalarCurve]
    """By name and split."""
    occurrences: tuple[Happened, ...]
    """The newest events that the loop has reported."""
    occurrences_total: int
    notices: tuple[Notice, ...]
    alerts: tuple[KeptAlert, ...]
    phase: str
    """What the loop is busy with; "": it is over, or nobody knows."""
    phase_seconds: Mapping[str, float]
    """Spent in each phase of this attempt, and lost before it."""
    run_phase_seconds: Mapping[str, float]
    """Spent in each phase of all attempts, and lost between them."""
    trace_id: str
    now: float

    @property
    def has_begun(self) -> bool:
        """Whether anything of the training has been reported: a batch, an epoch, or scalars."""
        return bool(self.batches or self.epochs or self.has_scalars)

    @property
    def has_scalars(self) -> bool:
        """Whether it has logged any number by name."""
        return bool(self.scalars or self.scalars_by_split)

    @property
    def reports_lightly(self) -> bool:
        """Whether it is a rank that only measures: what its run logs comes from another one."""
        return self.performance is not None and self.performance.batches is not None

    @cached_property
    def epochs_done(self) -> tuple[Epoch, ...]:
        """The finished epochs by number, each once, with the newest report of every value."""
        newest: dict[int, Epoch] = {}
        for epoch in self.epochs:
            known = newest.get(epoch.number)
            newest[epoch.number] = epoch if known is None else known.updated(epoch)
        return tuple(epoch for _, epoch in sorted(newest.items()))

    @property
    def progress_ratio(self) -> float | None:
        """How much of the run is done, 0..1; None where that is unknown."""
        if self.reports_lightly:
            return self._counted_ratio
        total = self.config.total_epochs
        if self.status is Status.COMPLETED and (self.batches or self.epochs):
            done = self._epochs_of_completed
            return min(1.0, done / total) if total else 1.0 if done >= 1 else done
        if not total or (self.status.is_end and not self.has_begun):
            return None
        if self.has_begun and not self.has_place:
            return None
        if not self.has_begun:
            return 0.0
        done = self._epochs_of_work_done
        return min(1.0, done / total) if done else None

    @property
    def has_place(self) -> bool:
        """Whether it is known where the run is; scalars that were logged without epoch and batch do not say."""
        counted = 0 if self.reports_lightly else self.batches
        return bool(counted or self.epochs or self.epoch or self.batch)

    @property
    def _counted_ratio(self) -> float | None:
        planned = self.config.total_epochs * self.config.batches_per_epoch
        if planned:
            reached = 0 if self.step is None else self.step + 1
            return min(1.0, max(self.batches, reached) / planned)
        return 1.0 if self.status is Status.COMPLETED else None

    @property
    def _epochs_entered(self) -> int:
        """How many epochs a run that is over has done; the last one counts, however many batches it had."""
        return max(len(self.epochs_done), self.epoch_reached - self._first_epoch + 1)

    @property
    def _epochs_of_completed(self) -> float:
        """How many epochs a run that has completed has done; it may have left off in the midst of one."""
        entered, planned = self._epochs_entered, self.config.batches_per_epoch
        is_reported = self.epochs_done and self.epochs_done[-1].number >= self.epoch_reached
        if is_reported or not planned or not self.batches:
            return entered
        part = (self.batch + 1) / planned
        return entered if part >= WHOLE_EPOCH else entered - 1 + part

    @property
    def _epochs_of_work_done(self) -> float:
        """How many epochs are done; 0: not known, in a first epoch of unknown length."""
        before = float(max(0, self.epoch_reached - self._first_epoch))
        if self.epochs_done and self.epochs_done[-1].number >= self.epoch_reached:
            return before + 1
        if self.config.batches_per_epoch:
            return before + min(1.0, (self.batch + 1) / self.config.batches_per_epoch)
        return before

    @property
    def counts_steps(self) -> bool:
        """Whether the run has no epochs: all its batches are in epoch 0, and have the numbers of its steps."""
        if self.step is None or self.epochs or self.epoch:
            return False
        if not (self.batch or self.loss_bins):
            return True
        return self.config.total_epochs <= 1 and self.step == self.batch

    @property
    def total_steps(self) -> int:
        """How many steps a run without epochs takes; 0: not reported."""
        return self.config.batches_per_epoch if self.config.total_epochs == 1 else 0

    def place_text(self, epoch: int, batch: int) -> str:
        """Return where a batch is in the run, in words."""
        return f"step {batch}" if self.counts_steps else f"epoch {epoch}, batch {batch}"

    @property
    def _steps_text(self) -> str:
        step, total = self.step or 0, self.total_steps
        if self.status.is_end:
            return f"{step + 1:,} of {total:,} steps" if total else f"{step + 1:,} steps"
        return f"step {step:,} of {total:,}" if total else f"step {step:,}"

    @property
    def progress_text(self) -> str:
        """Where the run is, in words."""
        if self.reports_lightly and self.step is None and self.batches:
            return f"{self.batches:,} steps"
        return self._steps_text if self.counts_steps else self._epochs_text

    @property
    def _epochs_text(self) -> str:
        total = self.config.total_epochs
        if self.status is Status.COMPLETED and (self.batches or self.epochs):
            done = self._epochs_entered
            if self._epochs_of_completed == done:
                return f"{done} of {total or done} epochs"
        if not self.has_begun and (self.status.is_end or not self.is_live):
            return "nothing was logged"
        if not self.has_begun:
            steps = self.total_steps
            planned = f"{steps:,} steps" if steps else f"{total} epochs" if total else ""
            return f"0 of {planned}" if planned else "not started"
        if not self.has_place:
            return "scalars only"
        if total:
            return f"epoch {self.epoch_reached} of {total}"
        return f"epoch {self.epoch_reached}"

    @property
    def epoch_reached(self) -> int:
        """The epoch of the last batch; without batches, the highest that scalars or averages were reported for."""
        if self.batches or not self.epochs_done:
            return self.epoch
        return max(self.epoch, self.epochs_done[-1].number)

    @property
    def elapsed_seconds(self) -> float:
        """How long the run has taken so far, or took in all: up to its last batch, not to when its end was noticed."""
        until = self.now
        if not self.is_live or self.state == DISCONNECTED:
            until = self.stepped_at or min(self.updated_at, self.ended_at or self.updated_at)
        return max(0.0, until - self.registered_at)

    @property
    def remaining_seconds(self) -> float | None:
        """How long the run will still take: the client's own estimate, or one from its progress so far.

        None also for a run that stands still or is not heard of: nobody knows.
        """
        if not self.is_live or not self.connected or self.status is Status.PAUSED:
            return None
        if self.standstill:
            return None
        newest = self.performance or NO_PERFORMANCE
        estimate = newest.estimated_time_remaining_seconds
        if estimate is not None and math.isfinite(estimate) and estimate > 0:
            return estimate
        done = self.progress_ratio
        return self.elapsed_seconds * (1 - done) / done if done and done < 1 else None

    @property
    def standstill(self) -> Standstill | None:
        """How long a loop that is connected and says that it trains has made no step; None where steps come."""
        if not self.connected or self.state != Status.RUNNING:
            return None
        return standstill(
            phase=self.phase,
            phase_seconds=self.phase_seconds,
            stepped_at=self.stepped_at,
            batches=self.batches,
            now=self.now,
        )

    @property
    def goodput_ratio(self) -> float | None:
        """The share of its time, all attempts together, that the run has trained, 0..1; None before its first step has taken time."""
        total = math.fsum(self.run_phase_seconds.values())
        trained = self.run_phase_seconds.get("training", 0.0)
        return trained / total if self.batches and trained > 0 else None

    @property
    def frames_per_second(self) -> float | None:
        """The newest throughput reported, if it is finite."""
        newest = (self.performance or NO_PERFORMANCE).frames_per_second
        return newest if newest is not None and math.isfinite(newest) else None

    @property
    def has_measurements(self) -> bool:
        """Whether the newest performance message reports anything."""
        return self.performance not in (None, *NOTHING_MEASURED)

    @property
    def gpu_utilization_ratio(self) -> float | None:
        """The mean over all GPUs that report theirs, 0..1."""
        resources = self.performance.resources if self.performance else None
        return None if resources is None else resources.gpu_utilization_ratio

    @property
    def accuracy(self) -> float | None:
        """The newest accuracy reported, as it was sent; on validation samples where there is one."""
        for epoch in reversed(self.epochs_done):
            if epoch.validation_accuracy is not None:
                return epoch.validation_accuracy
            if epoch.accuracy is not None:
                return epoch.accuracy
        return None

    @property
    def accuracy_ratio(self) -> float | None:
        """The accuracy where it is between 0 and 1, or NaN; anything else is not a ratio."""
        newest = self.accuracy
        if newest is None or not (is_ratio(newest) or math.isnan(newest)):
            return None
        return newest

    @property
    def _first_epoch(self) -> int:
        """The number that the loop gives its first epoch: 0 or 1."""
        first_ones = [epoch.number for epoch in self.epochs_done[:1]]
        first_ones += [bin_.epoch for bin_ in self.loss_bins[:1]]
        return 1 if first_ones and min(first_ones) == 1 else 0


def session_view(session: Session, now: float) -> SessionView:
    """Return a copy of a session; runs on the event loop, where sessions change."""
    return SessionView(
        id=session.id,
        client=session.client,
        config=session.config,
        attempt=session.attempt,
        stage=session.stage,
        state=state_of(session),
        is_live=may_send(session),
        is_partial=bool(session.skipped),
        status=session.status,
        status_message=session.status_message,
        connected=session.connected,
        registered_at=session.registered_at,
        updated_at=session.updated_at,
        ended_at=session.ended_at,
        epoch=session.epoch,
        batch=session.batch,
        batches=session.batches,
        step=session.step,
        tokens=session.tokens,
        stepped_at=session.stepped_at,
        loss=session.loss,
        loss_bins=session.losses.frozen(),
        epochs=tuple(session.epochs),
        epoch_ends=tuple(session.epoch_ends),
        performance=session.performance,
        scalars=session.scalars.without_split(),
        scalars_by_split=session.scalars.by_split(),
        scalar_curves=session.scalars.frozen(),
        occurrences=tuple(session.occurrences),
        occurrences_total=session.occurrences.total,
        notices=tuple(session.notices),
        alerts=tuple(session.alerts),
        phase=session.phase,
        phase_seconds=session.phase_seconds(now),
        run_phase_seconds=session.run_phase_seconds(now),
        trace_id=session.trace_id,
        now=now,
    )

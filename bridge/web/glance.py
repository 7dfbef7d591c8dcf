"""What a page shows of a session, copied at one moment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from bridge.history import Bin
from bridge.model import Client, Config, Epoch, Performance, Phase, Status
from bridge.sessions import Notice, Session

EPOCHS_SHOWN = 12


@dataclass(frozen=True)
class Glance:
    """A session that changes no more, so that a page may be drawn of it in any thread."""

    id: str
    client: Client
    config: Config
    attempt: int
    phase: Phase
    status: Status
    status_message: str
    connected: bool
    registered_at: float
    updated_at: float
    ended_at: float
    epoch: int
    batch: int
    batches: int
    loss: float
    bins: tuple[Bin, ...]
    epochs: tuple[Epoch, ...]
    performance: Performance | None
    scalars: Mapping[str, float]
    notices: tuple[Notice, ...]
    trace_id: str
    now: float

    @property
    def state(self) -> str:
        """One word for the status pill, which is also its style."""
        if self.phase is Phase.LOST:
            return "lost"
        if self.phase is Phase.LIVE and not self.connected and self.batches:
            return "silent"
        if self.status is Status.UNKNOWN and self.phase is Phase.LIVE:
            return "running" if self.has_loss else "registered"
        return str(self.status)

    @property
    def is_live(self) -> bool:
        """Tell whether the session may still send."""
        return self.phase is Phase.LIVE

    @property
    def has_loss(self) -> bool:
        """Tell whether a batch has come at all; without one there is no loss, rather than a bad one."""
        return self.batches > 0

    @cached_property
    def epochs_done(self) -> tuple[Epoch, ...]:
        """The epochs that are over, by number, each once."""
        return tuple(
            epoch for _, epoch in sorted({epoch.number: epoch for epoch in self.epochs}.items())
        )

    @property
    def progress(self) -> float | None:
        """How much of the run is done, 0..1; None where nothing tells."""
        total = self.config.total_epochs
        if self.status is Status.COMPLETED:
            return 1.0
        if not total:
            return None
        done = float(max(0, self.epoch - self._first_epoch))
        if self.epochs_done and self.epochs_done[-1].number >= self.epoch:
            done += 1
        elif self.config.batches_per_epoch:
            done += min(1.0, (self.batch + 1) / self.config.batches_per_epoch)
        return min(1.0, done / total) if self.has_loss or self.epochs else 0.0

    @property
    def progress_text(self) -> str:
        """Where the run is, in words."""
        total = self.config.total_epochs
        if self.status is Status.COMPLETED and self.epochs_done:
            return f"{len(self.epochs_done)} of {total or len(self.epochs_done)} epochs"
        if not self.has_loss and not self.epochs:
            return f"0 of {total} epochs" if total else "not started"
        return f"epoch {self.epoch} of {total}" if total else f"epoch {self.epoch}"

    @property
    def elapsed(self) -> float:
        """How long the run has been going, in seconds."""
        return max(0.0, (self.ended_at or self.now) - self.registered_at)

    @property
    def remaining(self) -> float | None:
        """How long it will still take: told by the client, or reckoned from what is done."""
        if not self.is_live:
            return None
        told = self.performance.estimated_time_remaining_seconds if self.performance else 0.0
        if math.isfinite(told) and told > 0:
            return told
        done = self.progress
        return self.elapsed * (1 - done) / done if done and done < 1 else None

    @property
    def frames_per_second(self) -> float | None:
        """The newest throughput told, if it is a number."""
        told = self.performance.frames_per_second if self.performance else math.nan
        return told if math.isfinite(told) else None

    @property
    def gpu_utilization(self) -> float | None:
        """The mean over all GPUs that told theirs, 0..1."""
        resources = self.performance.resources if self.performance else None
        known = [
            gpu.utilization_ratio
            for gpu in (resources.gpus if resources else ())
            if gpu.utilization_ratio is not None and math.isfinite(gpu.utilization_ratio)
        ]
        return sum(known) / len(known) if known else None

    @property
    def accuracy(self) -> float | None:
        """The newest accuracy told, on validation samples where there is one."""
        for epoch in reversed(self.epochs_done):
            told = (
                epoch.accuracy if epoch.validation_accuracy is None else epoch.validation_accuracy
            )
            return told if math.isfinite(told) else None
        return None

    @property
    def _first_epoch(self) -> int:
        """Whether the loop counts epochs from 0 or from 1."""
        seen = [epoch.number for epoch in self.epochs_done[:1]] + [
            part.epoch for part in self.bins[:1]
        ]
        return 1 if seen and min(seen) == 1 else 0


def glance(session: Session, now: float) -> Glance:
    """Copy what pages show; runs on the event loop, where sessions change."""
    return Glance(
        id=session.id,
        client=session.client,
        config=session.config,
        attempt=session.attempt,
        phase=session.phase,
        status=session.status,
        status_message=session.status_message,
        connected=session.connected,
        registered_at=session.registered_at,
        updated_at=session.updated_at,
        ended_at=session.ended_at,
        epoch=session.epoch,
        batch=session.batch,
        batches=session.batches,
        loss=session.loss,
        bins=_frozen(session.losses.bins),
        epochs=tuple(session.epochs),
        performance=session.performance,
        scalars=dict(session.scalars),
        notices=tuple(session.notices),
        trace_id=session.trace_id,
        now=now,
    )


def _frozen(bins: list[Bin]) -> tuple[Bin, ...]:
    """Copy the bins; only the last one still changes."""
    return (*bins[:-1], replace(bins[-1])) if bins else ()

"""What one rank of a run reports, as it was at one moment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.model import Performance, Stage
from bridge.session import Session
from bridge.web.runs.gpus import NO_GPUS, GpuSummary, summary_of
from bridge.web.session_state import state_of

LOCAL_PHASES = ("data", "compute")
"""Phases in which a rank waits for no other."""


@dataclass(frozen=True, slots=True)
class RankReading:
    """A copy of what a session reports as a rank, which no longer changes; None: not reported."""

    session_id: str
    rank: int
    state: str
    """The word on its status pill."""
    is_live: bool
    """Whether it may still send."""
    is_connected: bool
    updated_at: float
    stepped_at: float
    """When its last step was heard of; 0: none was."""
    steps: int
    """Since its attempt began."""
    step: int | None = None
    """The training step it is at, over the whole run."""
    step_seconds: float | None = None
    """What a step has taken lately."""
    phase: str = ""
    """What it is busy with; "": not reported."""
    phase_shares: Mapping[str, float] = field(default_factory=dict)
    """Of the last minutes, by phase; empty where phases are not reported."""
    local_seconds: float | None = None
    """Of a step, in phases in which it waits for no other rank."""
    gpus: GpuSummary = NO_GPUS


def reading_of(session: Session) -> RankReading:
    """Return a copy of what a session reports as a rank; runs on the event loop, where sessions change."""
    newest = session.performance or Performance()
    seconds, steps = _recent(session)
    return RankReading(
        session.id,
        session.client.rank or 0,
        state_of(session),
        session.stage is Stage.LIVE,
        session.connected,
        session.updated_at,
        session.stepped_at,
        session.batches,
        session.step,
        newest.batch_duration_seconds,
        session.phases.name,
        _shares(seconds),
        _local_seconds(seconds, steps),
        summary_of(newest.resources.gpus) if newest.resources else NO_GPUS,
    )


def _recent(session: Session) -> tuple[Mapping[str, float], int]:
    """Return the seconds of each phase and the steps of the last minutes, or else of the whole attempt."""
    change = session.recent_progress.change
    if change is None or not any(change.phase_seconds.values()):
        return session.phases.seconds, session.batches
    return change.phase_seconds, change.steps


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    total = sum(seconds.values())
    if not total or not math.isfinite(total):
        return {}
    shares = {phase: passed / total for phase, passed in seconds.items() if passed}
    return dict(sorted(shares.items(), key=lambda share: (-share[1], share[0])))


def _local_seconds(seconds: Mapping[str, float], steps: int) -> float | None:
    """Return what a step takes by itself; None where no such phase is reported, or no step was taken."""
    if not steps or not any(phase in seconds for phase in LOCAL_PHASES):
        return None
    return sum(seconds.get(phase, 0.0) for phase in LOCAL_PHASES) / steps

"""The curves that sessions can be compared by, as points by step, by time, or by epoch."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from operator import attrgetter

from bridge.model import Epoch
from bridge.scalar_curve import ScalarCurve
from bridge.web.session_view import SessionView

LOSS = "loss"
"""The loss of every batch."""

EPOCH_PREFIX = "epoch."

SCALAR_PREFIX = "scalar."
"""Of a number by name that has the name of another curve."""

EPOCH_CURVES: dict[str, Callable[[Epoch], float | None]] = {
    f"{EPOCH_PREFIX}{name}": attrgetter(name)
    for name in ("loss", "validation_loss", "accuracy", "validation_accuracy", "learning_rate")
}
"""The averages that are reported at the end of an epoch."""


class By(StrEnum):
    """What a curve is drawn over."""

    STEP = "step"
    TIME = "time"
    """Since the session was registered."""
    EPOCH = "epoch"
    """What the averages of epochs are always drawn over: when they came is not kept."""


CHOICES = (By.STEP, By.TIME)
"""What may be asked for."""


@dataclass(frozen=True, slots=True)
class Point:
    """One or more consecutive values; the three numbers are NaN where none of them was finite."""

    x: float
    """A step, seconds since the start, or an epoch."""
    mean: float
    low: float
    high: float


def axis_of(curve: str, by: By) -> By:
    """Return what a curve is drawn over when `by` is asked for."""
    return By.EPOCH if curve in EPOCH_CURVES else by


def curves_of(sessions: Iterable[SessionView]) -> tuple[str, ...]:
    """Return the curves that any of the sessions has: of its loss, of its epochs, and of what it logs by name."""
    sessions = tuple(sessions)
    names = (LOSS,) if any(session.loss_bins for session in sessions) else ()
    averages = tuple(
        name
        for name, value_of in EPOCH_CURVES.items()
        if any(value_of(epoch) is not None for session in sessions for epoch in session.epochs_done)
    )
    return names + averages + tuple(sorted({name for one in sessions for name in _scalars(one)}))


def points_of(session: SessionView, curve: str, by: By) -> tuple[Point, ...]:
    """Return the points of a session's curve, in order; empty where it has none of that name."""
    if curve in EPOCH_CURVES:
        return _epoch_points(session, EPOCH_CURVES[curve])
    if curve == LOSS:
        return _loss_points(session, by)
    scalars = _scalars(session).get(curve)
    return () if scalars is None else _scalar_points(session, scalars, by)


def scalar_key(name: str, split: str) -> str:
    """Return what a curve of numbers logged by name is called: by its split and name, as in train/loss."""
    if split:
        return f"{split}/{name}"
    return f"{SCALAR_PREFIX}{name}" if name == LOSS or name in EPOCH_CURVES else name


def _scalars(session: SessionView) -> dict[str, ScalarCurve]:
    """Return the curves of numbers logged by name; should two have one key, the first."""
    curves: dict[str, ScalarCurve] = {}
    for (name, split), curve in session.scalar_curves.items():
        curves.setdefault(scalar_key(name, split), curve)
    return curves


def _scalar_points(session: SessionView, curve: ScalarCurve, by: By) -> tuple[Point, ...]:
    began = session.registered_at
    return tuple(
        _point(max(0.0, one.at - began) if by is By.TIME else one.step, one.mean, one.low, one.high)
        for one in curve.points
    )


def _epoch_points(
    session: SessionView, value_of: Callable[[Epoch], float | None]
) -> tuple[Point, ...]:
    values = ((epoch.number, value_of(epoch)) for epoch in session.epochs_done)
    return tuple(
        _point(float(number), value, value, value) for number, value in values if value is not None
    )


def _loss_points(session: SessionView, by: By) -> tuple[Point, ...]:
    bins = session.loss_bins
    edges = _edges_in_time(session) if by is By.TIME else _edges_in_steps(session)
    return tuple(
        _point((start + end) / 2, bin_.mean, bin_.low, bin_.high)
        for bin_, (start, end) in zip(bins, pairwise(edges), strict=False)
    )


def _edges_in_steps(session: SessionView) -> list[float]:
    """Return at which step each bin begins, and the last one ends.

    Where steps have no numbers, batches are counted; those without a loss are not.
    """
    bins = session.loss_bins
    if session.counts_steps and bins:
        last = bins[-1].first_batch + bins[-1].count + bins[-1].nonfinite
        return [*(float(bin_.first_batch) for bin_ in bins), float(last)]
    return [0.0, *accumulate(float(bin_.count + bin_.nonfinite) for bin_ in bins)]


def _edges_in_time(session: SessionView) -> list[float]:
    starts = [bin_.start - session.registered_at for bin_ in session.loss_bins]
    end = session.stepped_at - session.registered_at
    return [*starts, max(end, starts[-1])] if starts else []


def _point(x: float, mean: float, low: float, high: float) -> Point:
    if not math.isfinite(mean):
        return Point(x, math.nan, math.nan, math.nan)
    return Point(x, mean, low, high)

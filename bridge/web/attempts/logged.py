"""Joins what the attempts of a run have logged by name by its steps: what a later attempt has logged again counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.occurrences import Happened, Occurrences
from bridge.scalar_curve import Point, ScalarCurve
from bridge.scalar_history import NAMES_LIMIT, OWN_FAMILIES, POINTS_LIMIT, SPLITS_LIMIT
from bridge.web.session_view import SessionView

Key = tuple[str, str]
"""A name and a split."""

CURVES_LIMIT = (NAMES_LIMIT + len(OWN_FAMILIES)) * SPLITS_LIMIT
"""Of all attempts together: as many as one attempt may have."""


@dataclass(frozen=True, slots=True)
class Logged:
    """The numbers and the events that attempts have logged together."""

    curves: Mapping[Key, ScalarCurve] = field(default_factory=dict)
    newest: Mapping[Key, float] = field(default_factory=dict)
    occurrences: tuple[Happened, ...] = ()
    occurrences_total: int = 0
    reached: float = 0.0
    """The highest step; where loops report none, how many batches came, else how many numbers of one curve."""


def logged_of(view: SessionView) -> Logged:
    """Return what one attempt has logged."""
    last = max((points[-1].step for points in _points(view.scalar_curves).values()), default=0.0)
    return Logged(
        view.scalar_curves,
        _newest(view),
        view.occurrences,
        view.occurrences_total,
        max(last, float(view.batches if view.step is None else view.step)),
    )


def with_attempt(before: Logged, view: SessionView) -> Logged:
    """Return what a run has logged with one more attempt."""
    after = logged_of(view)
    curves, reached = _joined(before, after, view)
    return Logged(
        curves,
        {**before.newest, **after.newest},
        _kept([*before.occurrences, *after.occurrences]),
        before.occurrences_total + after.occurrences_total,
        reached,
    )


def showing(view: SessionView, logged: Logged) -> SessionView:
    """Return a view with what all attempts have logged in place of its own."""
    by_split: dict[str, dict[str, float]] = {}
    for (name, split), value in logged.newest.items():
        by_split.setdefault(split, {})[name] = value
    return replace(
        view,
        scalars=by_split.pop("", {}),
        scalars_by_split=by_split,
        scalar_curves=logged.curves,
        occurrences=logged.occurrences,
        occurrences_total=logged.occurrences_total,
    )


def _joined(
    before: Logged, after: Logged, view: SessionView
) -> tuple[dict[Key, ScalarCurve], float]:
    """Return the curves, and how far they reach; loops without steps are counted on behind what was there."""
    old, new = _points(before.curves), _points(after.curves)
    if view.step is None:
        shift = before.reached
        moved = {key: [_moved(one, shift) for one in points] for key, points in new.items()}
        return _thinned(old, moved), after.reached + shift
    begun = _step_begun(view, new.values())
    kept = {key: _before(points, begun) for key, points in old.items()}
    return _thinned(kept, new), after.reached


def _step_begun(view: SessionView, curves: Iterable[Sequence[Point]]) -> float:
    """Return the first step that an attempt has reported."""
    firsts = [points[0].step for points in curves]
    if view.counts_steps:
        firsts += [float(bin_.first_batch) for bin_ in view.loss_bins[:1]]
    return min(firsts, default=float("inf"))


def _before(points: Sequence[Point], begun: float) -> Sequence[Point]:
    """Return points up to the last one before a step; an attempt may have gone back by itself, and all of that counts."""
    last = (index for index in reversed(range(len(points))) if points[index].step < begun)
    return points[: next(last, -1) + 1]


def _thinned(
    before: Mapping[Key, Sequence[Point]], after: Mapping[Key, Sequence[Point]]
) -> dict[Key, ScalarCurve]:
    """Return one curve of each name and split, all of them in as many points as one attempt may have."""
    earlier = [key for key, points in before.items() if points and key not in after]
    own = set(earlier[: max(0, CURVES_LIMIT - len(after))]) | after.keys()
    curves = {
        key: ScalarCurve.of([*before.get(key, ()), *after.get(key, ())])
        for key in dict.fromkeys([*before, *after])
        if key in own
    }
    total = sum(map(len, curves.values()))
    while total > POINTS_LIMIT:
        longest = max(curves.values(), key=len)
        total -= len(longest) // 2
        longest.halve()
    return curves


def _kept(happened: Iterable[Happened]) -> tuple[Happened, ...]:
    """Return the newest events, as many as are kept of one attempt."""
    kept = Occurrences()
    for one in happened:
        kept.add(one.occurrence, one.at)
    return tuple(kept)


def _points(curves: Mapping[Key, ScalarCurve]) -> dict[Key, tuple[Point, ...]]:
    return {key: points for key, curve in curves.items() if (points := curve.points)}


def _moved(point: Point, shift: float) -> Point:
    return point._replace(step=point.step + shift)


def _newest(view: SessionView) -> dict[Key, float]:
    without = {(name, ""): value for name, value in view.scalars.items()}
    by_split = {
        (name, split): value
        for split, values in view.scalars_by_split.items()
        for name, value in values.items()
    }
    return without | by_split

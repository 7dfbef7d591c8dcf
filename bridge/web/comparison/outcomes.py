"""How the compared sessions turned out: what each has done, and its best and last values."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bridge.web.attempts.catalog import AllAttempts
from bridge.web.comparison.contestants import Contestant
from bridge.web.formatting import accuracy, count, duration, number, percent
from bridge.web.session_view import SessionView

MAX_SCALARS = 50
"""Names of scalars; those that are known to be better where they are lower or higher, then the first by name."""

LOWER_IS_BETTER = ("loss", "perplexity")

HIGHER_IS_BETTER = ("accuracy",)
"""Names of scalars, or how they end, as in val_loss and eval/loss."""


Better = Callable[[Iterable[float]], float]
"""What picks the best of several values: `min` or `max`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table; None: not reported."""

    name: str
    texts: tuple[str | None, ...]
    best: frozenset[int] = frozenset()
    """Which of the sessions have the best value, where they differ and it is known which is better."""


@dataclass(frozen=True, slots=True)
class BestValues:
    """The best that a session has reported; None: not reported."""

    loss: float | None
    """The lowest of any batch."""
    validation_loss: float | None
    """The lowest average of an epoch, as are the others the highest."""
    accuracy: float | None
    validation_accuracy: float | None


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    value_of: Callable[[SessionView], float | None]
    text_of: Callable[[float], str]
    better: Better | None = None


def best_values(session: SessionView) -> BestValues:
    """Return the best values of a session."""
    epochs = session.epochs_done
    return BestValues(
        min(_finite(bin_.low for bin_ in session.loss_bins if bin_.count), default=None),
        min(_finite(epoch.validation_loss for epoch in epochs), default=None),
        max(_finite(epoch.accuracy for epoch in epochs), default=None),
        max(_finite(epoch.validation_accuracy for epoch in epochs), default=None),
    )


def outcomes(compared: Sequence[Contestant]) -> tuple[Outcome, ...]:
    """Return the rows that say anything of at least one of the sessions."""
    sessions = [one.view for one in compared]
    texts = tuple(session.progress_text for session in sessions)
    rows = [Outcome("Progress", texts), *_of_attempts([one.attempts for one in compared])]
    rows += [_outcome(measure, sessions) for measure in MEASURES]
    rows += [_outcome(measure, sessions) for measure in _scalars(sessions)]
    return tuple(row for row in rows if any(text is not None for text in row.texts))


def _of_attempts(all_attempts: Sequence[AllAttempts]) -> list[Outcome]:
    """Return what only runs of several attempts have."""
    if not any(attempts.has_several for attempts in all_attempts):
        return []
    numbers = tuple(str(attempts.listed[-1].number) for attempts in all_attempts)
    lost = tuple(duration(attempts.lost_seconds) for attempts in all_attempts)
    return [Outcome("Attempts", numbers), Outcome("Lost between attempts", lost)]


def nonfinite_losses(session: SessionView) -> int | None:
    """Return how many batches had a loss that is not finite; None: none has reported a loss."""
    return sum(bin_.nonfinite for bin_ in session.loss_bins) if session.loss_bins else None


def _one_decimal(ratio: float) -> str:
    return percent(ratio, 1)


MEASURES = (
    _Measure("Duration", lambda session: session.elapsed_seconds, duration),
    _Measure("Goodput", lambda session: session.goodput_ratio, _one_decimal, max),
    _Measure("Batches", lambda session: session.batches or None, count),
    _Measure("Loss, last", lambda session: session.loss, number, min),
    _Measure("Loss, lowest", lambda session: best_values(session).loss, number, min),
    _Measure("Losses not finite", nonfinite_losses, count),
    _Measure(
        "Validation loss, lowest", lambda session: best_values(session).validation_loss, number, min
    ),
    _Measure("Accuracy, highest", lambda session: best_values(session).accuracy, accuracy, max),
    _Measure(
        "Validation accuracy, highest",
        lambda session: best_values(session).validation_accuracy,
        accuracy,
        max,
    ),
    _Measure("Frames/s, last", lambda session: session.frames_per_second, count, max),
    _Measure("GPU, last", lambda session: session.gpu_utilization_ratio, accuracy, max),
)


def _scalars(sessions: Sequence[SessionView]) -> list[_Measure]:
    keys = {key for session in sessions for key in _newest_scalars(session)}
    ordered = sorted(keys, key=lambda key: (_better(key[0]) is None, key))
    return [measure for key in ordered[:MAX_SCALARS] for measure in _rows_of(*key)]


def _rows_of(name: str, split: str) -> list[_Measure]:
    """Return the row of a name's newest value, and where it is known which is better that of its best."""
    text, better = f"{name} ({split})" if split else name, _better(name)
    last = _Measure(f"{text}, last", _newest_of(name, split), number, better)
    if better is None:
        return [last]
    word = "lowest" if better is min else "highest"
    return [last, _Measure(f"{text}, {word}", _best_of(name, split, better), number, better)]


def _better(name: str) -> Better | None:
    """Return which of two values of a name is better; None: not known."""
    if name.lower().endswith(LOWER_IS_BETTER):
        return min
    return max if name.lower().endswith(HIGHER_IS_BETTER) else None


def _newest_of(name: str, split: str) -> Callable[[SessionView], float | None]:
    return lambda session: _newest_scalars(session).get((name, split))


def _best_of(name: str, split: str, better: Better) -> Callable[[SessionView], float | None]:
    """Return what finds the best finite value of a curve; None: it has none."""

    def best(session: SessionView) -> float | None:
        curve = session.scalar_curves.get((name, split))
        points = [point for point in curve.points if point.finite] if curve else []
        extremes = [point.low if better is min else point.high for point in points]
        return better(extremes) if extremes else None

    return best


def _newest_scalars(session: SessionView) -> dict[tuple[str, str], float]:
    """Return the newest values by name and split."""
    by_split = {
        (name, split): value
        for split, values in session.scalars_by_split.items()
        for name, value in values.items()
    }
    return {(name, ""): value for name, value in session.scalars.items()} | by_split


def _outcome(measure: _Measure, sessions: Sequence[SessionView]) -> Outcome:
    values = [measure.value_of(session) for session in sessions]
    texts = tuple(None if value is None else measure.text_of(value) for value in values)
    return Outcome(measure.name, texts, _best(values, measure.better))


def _best(values: Sequence[float | None], better: Better | None) -> frozenset[int]:
    finite = _finite(values)
    if better is None or len(finite) < 2 or min(finite) == max(finite):
        return frozenset()
    best = better(finite)
    return frozenset(index for index, value in enumerate(values) if value == best)


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]

"""Changes the learning rate of optimizers such as torch's, so that their schedulers do not undo it."""

import copy
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from bridge.client.command import RefusedCommandError

GROUP_RATES = ("initial_lr", "max_lr", "min_lr", "swa_lr")
"""What schedulers keep in a parameter group and compute its rate from."""

SCHEDULER_RATES = ("base_lrs", "max_lrs")
"""What they keep of their own, a list with one for each group."""

KEPT_SHARE = 0.5
"""A scheduler keeps a change of which at least so much is left at its next step."""

OWN_WAY = "give session.controls an lr, a function that changes it in your own way"


class LearningRates:
    """The parameter groups of optimizers and their schedulers, changed together."""

    def __init__(self, optimizers: Sequence[Any], schedulers: Sequence[Any]) -> None:
        """Raises ValueError for what is neither an optimizer nor a scheduler."""
        self._schedulers = [each for given in schedulers for each in _unfolded(given)]
        owners = [*optimizers, *(s.optimizer for s in self._schedulers if hasattr(s, "optimizer"))]
        self._optimizers = list({id(owner): owner for owner in owners}.values())
        if not self._groups():
            raise ValueError("optimizer: there is none with param_groups, as those of torch have")
        self._undo: list[Callable[[], None]] = []

    def current(self) -> Any:
        """Return the rate of the first group, which may be a tensor; None where there is none."""
        groups = self._groups()
        return groups[0].get("lr") if groups else None

    def change(self, rate: float) -> str:
        """Multiply all rates so that the first becomes `rate`; return what was done.

        Raises RefusedCommandError, with nothing changed, where a scheduler would undo it.
        """
        self._undo = []
        groups = self._groups()
        before = [float(group["lr"]) for group in groups]
        was = next((each for each in before if each > 0), 0.0)
        try:
            self._change(groups, rate, was)
        except BaseException:
            self.undo()
            raise
        return _remark(was, [float(group["lr"]) for group in groups])

    def keep(self) -> None:
        """Make the last change one that cannot be taken back."""
        self._undo = []

    def undo(self) -> None:
        """Take the last change back."""
        while self._undo:
            self._undo.pop()()

    def _change(self, groups: Sequence[Any], rate: float, was: float) -> None:
        if self._schedulers or was:
            self._check_schedulers(groups, was)
            next_before = [_next_rate(scheduler) for scheduler in self._schedulers]
            self._scale(groups, rate / was)
            self._check_kept(next_before, rate / was)
        else:
            for group in groups:
                self._set(group, "lr", rate)
        for scheduler in self._schedulers:
            self._refresh(scheduler)

    def _groups(self) -> list[Any]:
        return [group for owner in self._optimizers for group in getattr(owner, "param_groups", ())]

    def _check_schedulers(self, groups: Sequence[Any], was: float) -> None:
        if not self._schedulers and any("initial_lr" in group for group in groups):
            raise RefusedCommandError(
                "the optimizer has a scheduler, which could undo the change at its next step: give it to"
                " session.controls, as scheduler"
            )
        if not was:
            raise RefusedCommandError(
                "the learning rate is 0 at this step of its schedule; send the command again when it is not"
            )

    def _scale(self, groups: Sequence[Any], factor: float) -> None:
        for group in groups:
            for name in ("lr", *GROUP_RATES):
                if group.get(name) is not None:
                    self._set(group, name, group[name] * factor)
        for scheduler in self._schedulers:
            for name in SCHEDULER_RATES:
                rates = getattr(scheduler, name, None)
                if isinstance(rates, list):
                    self._set_attribute(scheduler, name, [each * factor for each in rates])

    def _check_kept(self, before: Sequence[float | None], factor: float) -> None:
        """Look at what the next step of each scheduler will make of it."""
        if math.isclose(factor, 1.0):
            return
        for scheduler, was in zip(self._schedulers, before, strict=True):
            if was is None:
                continue
            now = _next_rate(scheduler)
            if now is None or abs(now - was) < KEPT_SHARE * abs(was * (factor - 1)):
                raise RefusedCommandError(
                    f"the scheduler {type(scheduler).__name__} would undo it at its next step; {OWN_WAY}"
                )

    def _refresh(self, scheduler: Any) -> None:
        """Have `get_last_lr` return the new rates."""
        last = getattr(scheduler, "_last_lr", None)
        groups = getattr(getattr(scheduler, "optimizer", None), "param_groups", ())
        if isinstance(last, list) and len(last) == len(groups):
            self._set_attribute(scheduler, "_last_lr", [group["lr"] for group in groups])

    def _set(self, group: Any, name: str, value: Any) -> None:
        """Set a rate; a tensor stays the same tensor, which a captured graph reads."""
        old = group[name]
        if hasattr(old, "fill_"):
            kept = float(old)
            old.fill_(value)
            self._undo.append(lambda: old.fill_(kept))
        else:
            group[name] = value
            self._undo.append(lambda: group.update({name: old}))

    def _set_attribute(self, scheduler: Any, name: str, value: Any) -> None:
        old = getattr(scheduler, name)
        setattr(scheduler, name, value)
        self._undo.append(lambda: setattr(scheduler, name, old))


def real_number(given: object) -> float | None:
    """Return a finite number, also one in a text; None for what is none."""
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _unfolded(scheduler: Any) -> list[Any]:
    """Return a scheduler and those that it consists of. Raises ValueError for what is none."""
    inner = getattr(scheduler, "scheduler", None)
    if not hasattr(scheduler, "base_lrs") and inner is not None:  # a wrapper, such as Accelerate's
        return _unfolded(inner)
    parts = [each for part in getattr(scheduler, "_schedulers", ()) for each in _unfolded(part)]
    is_one = any(hasattr(scheduler, name) for name in ("base_lrs", "get_lr", "min_lrs", "_last_lr"))
    if not parts and not is_one:
        raise ValueError(
            f"scheduler: a {type(scheduler).__name__} has no base_lrs, as a scheduler of torch has"
        )
    return [scheduler, *parts]


def _next_rate(scheduler: Any) -> float | None:
    """Return what a scheduler of the program's own would make of the first rate; None: it is torch's, or not known.

    It is asked on a copy, whose optimizer is one too, so that nothing is changed by that.
    """
    compute = getattr(type(scheduler), "get_lr", None)
    optimizer = getattr(scheduler, "optimizer", None)
    if compute is None or optimizer is None or compute.__module__.startswith("torch."):
        return None
    probe = copy.copy(scheduler)
    for name, value in vars(scheduler).items():
        if isinstance(value, (list, dict)):
            setattr(probe, name, copy.copy(value))
    groups = [dict(group) for group in optimizer.param_groups]
    probe.optimizer = SimpleNamespace(param_groups=groups)
    probe.last_epoch = scheduler.last_epoch + 1
    probe._get_lr_called_within_step = True
    return float(compute(probe)[0])


def _remark(was: float, now: Sequence[float]) -> str:
    if len(set(now)) == 1:
        return f"{now[0]:g}, was {was:g}"
    rates = ", ".join(f"{rate:g}" for rate in now[:8])
    return f"was {was:g}; the {len(now)} parameter groups keep their ratios to the first: {rates}"

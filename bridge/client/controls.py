"""The callbacks of the commands that most loops obey in the same way."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from bridge.client.capture.reading import UINT32_MAX
from bridge.client.command import Callback, RefusedCommandError, ReversibleCallback
from bridge.client.learning_rates import LearningRates, real_number
from bridge.protocol import CommandType

Verdict = bool | str | None
"""False: refused; a text: applied, with this remark; else applied."""


class Controls(NamedTuple):
    """What a loop has said about how it obeys."""

    callbacks: dict[CommandType, Callback]
    current_rate: Callable[[], Any] | None
    """Returns the learning rate of its optimizer, where it has given one."""


def control_callbacks(
    lr: object,
    batch_size: object,
    checkpoint: object,
    optimizer: object,
    scheduler: object,
    *,
    report: Callable[[float], None],
) -> Controls:
    """Return callbacks for what was given; raises ValueError for what cannot be used.

    `report` takes a new learning rate.
    """
    for name, given in (("lr", lr), ("batch_size", batch_size), ("checkpoint", checkpoint)):
        if given is not None and not callable(given):
            raise ValueError(f"{name}: a {type(given).__name__} cannot be called; give a function")
    callbacks: dict[CommandType, Callback] = {}
    rates = None
    if optimizer is not None or scheduler is not None:
        rates = LearningRates(listed(optimizer), listed(scheduler))
    if rates is not None or callable(lr):
        own = lr if callable(lr) else None
        callbacks[CommandType.CHANGE_LEARNING_RATE] = ChangeLearningRate(rates, own, report)
    if callable(batch_size):
        callbacks[CommandType.ADJUST_BATCH_SIZE] = _adjusts_batch_size(batch_size)
    if callable(checkpoint):
        callbacks[CommandType.SAVE_CHECKPOINT] = _saves_checkpoint(checkpoint)
    return Controls(callbacks, rates.current if rates is not None else None)


class ChangeLearningRate(ReversibleCallback):
    """Changes the learning rate of optimizers, or as the loop does it itself, or both."""

    def __init__(
        self,
        rates: LearningRates | None,
        own: Callable[[float], Verdict] | None,
        report: Callable[[float], None],
    ) -> None:
        self._rates = rates
        self._own = own
        self._report = report
        self._rate = 0.0

    def __call__(self, parameters: Mapping[str, str]) -> Verdict:
        """Change it; where the loop's own function refuses or raises, nothing has changed."""
        self._rate = rate = learning_rate_of(parameters)
        remark = self._rates.change(rate) if self._rates is not None else ""
        if self._own is None:
            return remark
        try:
            verdict = self._own(rate)
        except BaseException:
            self.undo()
            raise
        if verdict is False:
            self.undo()
            return False
        return verdict if isinstance(verdict, str) else remark

    def undo(self) -> bool:
        """Take back what was done to optimizers; return whether that is all there was to take back."""
        if self._rates is not None:
            self._rates.undo()
        return self._own is None

    def confirm(self) -> None:
        """Report the new rate, which is that of all ranks."""
        if self._rates is not None:
            self._rates.keep()
        self._report(self._rate)


def listed(value: Any) -> list[Any]:
    """Return what may be one thing, several or none, as a list."""
    if value is None:
        return []
    is_one = hasattr(value, "param_groups") or not isinstance(value, Iterable)
    return [value] if is_one else list(value)


def learning_rate_of(parameters: Mapping[str, str]) -> float:
    """Return the learning rate of a command; raises RefusedCommandError for what cannot be one."""
    given = parameters.get("learning_rate", "")
    rate = real_number(given)
    if rate is None or rate <= 0:
        raise RefusedCommandError(
            f"learning_rate is {_shown(given)}; give a finite number above 0, such as 0.0003"
        )
    return rate


def batch_size_of(parameters: Mapping[str, str]) -> int:
    """Return the batch size of a command; raises RefusedCommandError for what cannot be one."""
    given = parameters.get("batch_size", "")
    size = real_number(given)
    if size is None or size != int(size) or not 1 <= size <= UINT32_MAX:
        raise RefusedCommandError(
            f"batch_size is {_shown(given)}; give a whole number from 1, such as 64"
        )
    return int(size)


def _adjusts_batch_size(adjust: Callable[[int], Verdict]) -> Callback:
    return lambda parameters: adjust(batch_size_of(parameters))


def _saves_checkpoint(save: Callable[[], Verdict]) -> Callback:
    return lambda _parameters: save()


def _shown(given: object) -> str:
    return repr(str(given)[:64]) if given != "" else "missing"

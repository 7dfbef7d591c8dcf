"""A training loop over a loader, whose place and progress the session keeps by itself."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from bridge.client.arguments import read_argument
from bridge.client.calls import PlanCall
from bridge.client.capture.reading import UINT32_MAX, whole_number_of
from bridge.client.control_calls import ControlCalls
from bridge.client.encoding.epoch_losses import MEAN_LOSS
from bridge.client.encoding.isolation import let_through
from bridge.client.identity import ResumePoint
from bridge.client.left_out import Reason

T = TypeVar("T")

END = object()
"""What a loader without another batch gives."""


class Tracking(ControlCalls):
    """Iterates over the batches of a run."""

    _resume_from: ResumePoint | None

    def track(
        self,
        loader: Iterable[T],
        *,
        epochs: int = 1,
        epoch: int | None = None,
        resume: bool = True,
        agree_every: int = 10,
    ) -> Iterator[tuple[int, T]]:
        """Yield epoch and batch of a whole training run, in place of its loops.

        `log_batch` without epoch and batch is then where this loop is. Between two batches it waits while
        training is paused, and ends where it is commanded to stop. Waiting for a batch is the phase `data`.
        The end of each epoch is reported with the mean loss, if the loop has not reported it by then.

        Args:
            loader: Anything to iterate over once an epoch. A DataLoader's distributed sampler is shuffled
                anew for each; one that has a length says how many batches there will be.
            epochs: How many there are, counted from 0.
            epoch: Iterates over this one alone, within a loop of your own, which reports its end.
            resume: Goes on at the `resume_from` or `resume_step` of the session: earlier batches of that
                epoch are fetched and dropped. False: the loader begins where it has to by itself.
            agree_every: Several ranks that train together agree on commands after so many batches.
        """
        size = _length_of(loader)
        begin = self._begin(size, epoch) if resume else (0, 0)
        numbers = self._epochs(epochs, epoch, begin[0])
        every = read_argument(self._gate.account, "agree_every", agree_every, _count_of, 10) or 1
        self._plan(0 if epoch is not None else numbers.stop, size)
        around, place = self._place, None
        try:
            for number in numbers:
                self._shuffle(loader, number)
                skipped = begin[1] if number == begin[0] else 0
                for index, batch in self._batches(loader, skipped):
                    self._place = place = (number, index)
                    yield number, batch
                    if self._has_to_stop(index, every):
                        return
                if epoch is None and self._logged_epoch != number:
                    self.log_epoch(number, loss=MEAN_LOSS)
        finally:
            if self._place is place:  # else another loop is under way, and this one was left before
                self._place = around

    def _batches(self, loader: Iterable[T], skipped: int) -> Iterator[tuple[int, T]]:
        """Yield the batches of an epoch behind those that are skipped, with their indices."""
        with self.phase("data"):
            batches: Iterator[Any] = iter(loader)
        index = 0
        while True:
            with self.phase("data"):
                batch: Any = next(batches, END)
            if batch is END:
                return
            if index >= skipped:
                yield index, batch
            index += 1

    def _has_to_stop(self, index: int, agree_every: int) -> bool:
        if self._rank.is_together and (index + 1) % agree_every:
            return False
        return self.agree_to_stop()

    def _epochs(self, epochs: Any, epoch: Any, first: int) -> range:
        """Return the epochs to come; one where what was given is not a number."""
        account = self._gate.account
        if epoch is not None:
            number = read_argument(account, "epoch", epoch, _count_of, 0)
            return range(number, number + 1)
        return range(first, read_argument(account, "epochs", epochs, _count_of, 1))

    def _begin(self, size: int, epoch: int | None) -> tuple[int, int]:
        """Return the epoch where the run goes on, and how many of its batches are done."""
        point = self._resume_from or ResumePoint()
        if point.epoch is not None:
            return point.epoch, point.batch or 0
        if point.step is not None and size:
            return divmod(point.step, size)
        return epoch or 0, 0

    def _plan(self, epochs: int, batches_per_epoch: int) -> None:
        if self._gate.admits("plans"):
            call = PlanCall(time.monotonic(), epochs, batches_per_epoch)
            self._runtime.queue.put(call)

    def _shuffle(self, loader: Any, epoch: int) -> None:
        """Have a distributed sampler shuffle anew: else it gives every epoch the same sequence."""
        paths = ((), ("sampler",), ("batch_sampler",), ("batch_sampler", "sampler"))
        for path in paths:
            try:
                sampler = loader
                for name in path:
                    sampler = getattr(sampler, name, None)
                set_epoch = getattr(sampler, "set_epoch", None)
                if callable(set_epoch):
                    set_epoch(epoch)
            except Exception as error:  # noqa: BLE001 -- anything may be a sampler
                let_through(error)
                self._gate.account.add("set_epoch", Reason.UNREADABLE, error=error)


def _length_of(loader: Any) -> int:
    """Return how many batches an epoch has; 0 where that is not known."""
    try:
        return min(len(loader), UINT32_MAX)
    except Exception as error:  # noqa: BLE001 -- a loader without a length raises whatever it likes
        let_through(error)
        return 0


def _count_of(value: Any) -> int:
    """Return a number of epochs. Raises ValueError for what cannot be one."""
    number = int(whole_number_of(value))
    if not 0 <= number <= UINT32_MAX:
        raise ValueError(f"{number} is not a number of epochs; give a whole number from 0")
    return number

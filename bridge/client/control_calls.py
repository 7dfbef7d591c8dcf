"""The calls by which a training loop obeys commands."""

from collections.abc import Callable
from typing import Any

from bridge.client.agreement import Agreement
from bridge.client.arguments import read_argument
from bridge.client.collectives import AllGather
from bridge.client.command import Callback, Callbacks, checked_command
from bridge.client.controls import control_callbacks
from bridge.client.pause import Pause
from bridge.client.ranks import RankCheck
from bridge.client.reporting import Reporting
from bridge.protocol import CommandType


class ControlCalls(Reporting):
    """Stop, pause, and whatever else a loop can be commanded to do."""

    _rank: RankCheck
    _callbacks: Callbacks
    _pause: Pause
    _agreement: Agreement

    @property
    def should_stop(self) -> bool:
        """Whether training has been commanded to stop; a loop that asks should then break.

        Where several ranks train together, they stop only if all of them call `agree_to_stop`; this is then
        what they have agreed on.
        """
        self._refuse_copy()
        if not self._commands.has_agreed:
            self._rank.warn_unless_rank_zero("should_stop")
        return self._commands.acknowledge_stop()

    def agree_to_stop(self, *, all_gather: AllGather | None = None) -> bool:
        """Obey what rank 0 is commanded, on every rank at this step; return whether training stops.

        All ranks wait while rank 0 is paused, and run the callbacks of its commands. It is a collective over
        torch's default process group, or over `all_gather`, which takes bytes of the same length on every
        rank and returns the bytes of all: every rank has to call it at the same step, and waits as long as the
        group's timeout for one that does not. One process alone waits while it is paused, and returns
        `should_stop`.
        """
        self._refuse_copy()
        return self._agreement.reach(all_gather)

    def wait_while_paused(self) -> None:
        """Return at once, or, when a pause has been commanded, when training may go on.

        It goes on at a command to resume or to stop, when the session is closed, or when the bridge has
        been out of reach for ten minutes. Where several ranks train together, it never waits:
        `agree_to_stop` does.
        """
        self._refuse_copy()
        if not self._commands.has_agreed:
            self._rank.warn_unless_rank_zero("wait_while_paused")
        if self._commands.acknowledge_pause():
            self._pause.wait()
            self._pause.end()

    def on(self, type: CommandType, callback: Callback) -> None:
        """Call `callback(parameters)` when such a command comes, in this thread, at the end of a log_batch.

        The answer goes back by itself: refused where it returns False or raises, else applied, with the
        text it returns, if any. Where several ranks train together, give each of them the callback: all of
        them call it in the same `agree_to_stop`.
        """
        if not self._gate.admits("callbacks") and not self._gate.is_of_other_rank:
            return
        kind = read_argument(
            self._gate.account, "on", (type, callback), lambda pair: checked_command(*pair), None
        )
        if kind is not None:
            self._callbacks[kind] = callback

    def controls(
        self,
        *,
        lr: Callable[[float], bool | str | None] | None = None,
        batch_size: Callable[[int], bool | str | None] | None = None,
        checkpoint: Callable[[], bool | str | None] | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
    ) -> None:
        """Say how this loop changes its learning rate or batch size, and how it saves a checkpoint.

        Each is called in the loop's thread, and may refuse: by returning False, or by raising. A text that
        it returns goes back with the answer. A value that cannot be used never reaches it.

        Args:
            lr: Takes the new learning rate.
            batch_size: Takes the new number of samples a batch.
            checkpoint: Saves one now.
            optimizer: One of torch, or several: the rates of its parameter groups are changed, all by the
                same factor. The rate is reported as it changes, and with each epoch.
            scheduler: The learning rate scheduler of that optimizer, or several: it goes on from the new rate.
        """
        if not self._gate.admits("callbacks") and not self._gate.is_of_other_rank:
            return
        given = read_argument(
            self._gate.account,
            "controls",
            (lr, batch_size, checkpoint, optimizer, scheduler),
            lambda values: control_callbacks(
                *values, report=lambda rate: self.log_scalars({"learning_rate": rate})
            ),
            None,
        )
        if given is not None:
            self._callbacks.update(given.callbacks)
            self._current_rate = given.current_rate or self._current_rate

    def _refuse_copy(self) -> None:
        """Say once that commands never reach a copy."""
        if self._gate.is_copy:
            self._gate.admits("commands")

"""Commands from the bridge, and what the training loop makes of them."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from bridge.client.command import CUSTOM, Callback, Callbacks, Command, carried_out, confirm
from bridge.client.left_out import error_text
from bridge.protocol import CommandType

Answer = Callable[[Command, bool, str], None]
"""Takes a command, whether it was applied, and a remark."""

Position = tuple[Any, Any, Any]
"""Epoch, batch and step of the last batch; all None: there was none yet."""

PATIENCE_EPOCHS = 2
"""A command that the loop does not ask about for so many ends of epochs is refused."""

PATIENCE_STEPS, PATIENCE_SECONDS = 1_000, 300.0
"""A loop without epochs has so many steps to ask, and so long."""

ALONE_STEPS, ALONE_ASKS = 100, 10
"""Ranks that train together have so many steps to agree; or one of them may ask alone so often."""

REMEMBERED = 100
"""So many of the last commands are recognised when they are repeated."""

CALLBACK_SECONDS = 0.2
"""How often a paused loop runs the callbacks of other commands."""

NOT_SUPPORTED = "this training loop does not support this command"

NOT_AGREED = (
    "several ranks train together, and one of them must not obey alone: call session.agree_to_stop() on every"
    ' rank at the same step, or give the session ranks="all" where the processes train apart from each other'
)

NO_GROUP = (
    "several ranks train together, but have no process group of torch.distributed to agree by: give"
    ' session.agree_to_stop() an all_gather, or the session ranks="all" where the processes train apart'
)


class CommandInbox:
    """Takes commands from the connection's thread and hands them to the loop's, between two batches."""

    def __init__(
        self,
        answer: Answer,
        *,
        is_answer_pending: Callable[[str], bool] = lambda _command_id: False,
        is_together: Callable[[], bool] = lambda: False,
        position: Callable[[], Position] = lambda: (None, None, 0),
    ) -> None:
        """Start empty.

        `answer` is called once for each command, and again for one that is repeated, unless
        `is_answer_pending`: then the answer is still on its way to the bridge. While `is_together`, the
        loop obeys only what all ranks have agreed on.
        """
        self._answer = answer
        self._is_answer_pending = is_answer_pending
        self._is_together = is_together
        self._position = position
        self._own_callbacks = Callbacks()
        self._lent: weakref.ref[Callbacks] | None = None
        self._received: deque[Command] = deque(maxlen=REMEMBERED)
        self._change = threading.Condition()
        self._stop: Command | None = None
        self._pause: Command | None = None
        self._is_carrying_out = False
        self.waiting: list[Command] = []
        """Commands without an answer; the loop checks whether there are any at every batch."""
        self.is_stopping = False
        """A command to stop has been received."""
        self.has_agreed = False
        """The ranks have a way to agree, and use it."""
        self.has_agreed_to_stop = False
        self.lacks_group = False
        """The ranks would agree, and have no way to."""
        self.refusal = ""
        """Why this process obeys no command; "": it does."""

    def on(self, type: CommandType, callback: Callback) -> None:
        """Call `callback` with the parameters of every command of this type, in the loop's thread."""
        self._current_callbacks()[type] = callback

    def lend_callbacks(self) -> Callbacks:
        """Hand the callbacks to the session, to be kept there for as long as it lives.

        A callback may refer to the session: kept here, where the SDK's threads reach it, it would keep
        one alive that the program has dropped.
        """
        callbacks = self._own_callbacks
        self._lent = weakref.ref(callbacks)
        self._own_callbacks = Callbacks()
        return callbacks

    @property
    def received(self) -> tuple[Command, ...]:
        """The last commands, the oldest first; any thread may ask."""
        return tuple(self._received)

    def receive(self, command: Command) -> None:
        """Take a command; one that is repeated is not carried out again, but answered again."""
        known = next(
            (known for known in self._received if command.id and known.id == command.id), None
        )
        if known is not None:
            if known.answer is not None and not self._is_answer_pending(command.id):
                self._answer(known, *known.answer)
            return
        self._received.append(command)
        if self.refusal:
            self._give_answer(command, False, self.refusal)
            return
        with self._change:
            self._receive(command)
            self._change.notify_all()

    def at_step(self) -> None:
        """Carry out what has a callback, and refuse what nobody takes; in the loop's thread, and never raises."""
        if self._is_carrying_out:
            return
        self.run_callbacks()
        for command in tuple(self.waiting):
            if command.type in CUSTOM and command.type not in self._current_callbacks():
                self._resolve(command, applied=False, remark=_not_taken(command))
            elif self._has_waited_in_vain(command):
                self._refuse(command)

    def run_callbacks(self) -> None:
        """Carry out the commands that have callbacks, unless other ranks would have to do the same.

        One after the other: a callback that calls the session does not begin the next one.
        """
        if self._is_carrying_out:
            return
        self._is_carrying_out = True
        try:
            while self.waiting and not self._is_together():
                taken = self.take_with_callbacks(1)
                if not taken:
                    return
                self._carry_out(taken[0])
        finally:
            self._is_carrying_out = False

    def take_with_callbacks(self, limit: int) -> list[Command]:
        """Take commands that have callbacks out of those that wait; who takes them, answers them."""
        callbacks = self._current_callbacks()
        wanted = [command for command in self.waiting if command.type in callbacks][:limit]
        return [command for command in wanted if self._claims(command)]

    def answer(self, command: Command, *, applied: bool, remark: str) -> None:
        """Answer a command that was taken."""
        self._give_answer(command, applied, remark)

    def acknowledge_stop(self) -> bool:
        """Return whether the loop should stop; asking is what answers the command."""
        if self.has_agreed_to_stop or not self.is_stopping:
            return self.has_agreed_to_stop
        if self._is_together():
            self._note_asked_alone(self._stop)
            return False
        self._resolve(self._stop, applied=True)
        return True

    def agree_to_stop(self) -> None:
        """Note that all ranks stop at this step."""
        self.has_agreed_to_stop = self.is_stopping = True
        self._resolve(self._stop, applied=True)

    @property
    def has_stopped(self) -> bool:
        """Return whether the loop has acknowledged a command to stop, by asking or by its own callback."""
        answer = None if self._stop is None else self._stop.answer
        return self.has_agreed_to_stop or (answer is not None and answer[0])

    @property
    def is_paused(self) -> bool:
        """Return whether a pause has been commanded that is not over."""
        return self._pause is not None

    def acknowledge_pause(self) -> bool:
        """Return whether the loop should wait; asking is what answers the command."""
        pause = self._pause
        if pause is not None and self._is_together():
            self._note_asked_alone(pause)
            return False
        self._resolve(pause, applied=True)
        return pause is not None

    def agree_to_pause(self) -> None:
        """Note that all ranks wait at this step."""
        self._resolve(self._pause, applied=True)

    def wait_while_paused(
        self, is_abandoned: Callable[[], bool], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until training may go on, nobody is left who could resume it, or the wait is over."""
        while (
            self._pause is not None
            and not self.is_stopping
            and not is_abandoned()
            and not is_over()
        ):
            self.run_callbacks()
            with self._change:
                if self._pause is not None and not self.is_stopping:
                    self._change.wait(CALLBACK_SECONDS)
        if is_abandoned():
            self._pause = None

    def end_epoch(self) -> None:
        """Refuse what the loop has had the time to ask about and has not; within a callback it has none."""
        if self._is_carrying_out:
            return
        for command in tuple(self.waiting):
            command.epochs_waited += 1
            if command.epochs_waited >= PATIENCE_EPOCHS:
                self._refuse(command)

    def refuse_all(self, remark: str) -> None:
        """Refuse what waits."""
        for command in tuple(self.waiting):
            self._refuse(command, remark)

    def close(self) -> None:
        """Refuse what is left: the loop is over."""
        with self._change:
            self._pause = None
            self._change.notify_all()
        for command in tuple(self.waiting):
            self._give_answer_once(command, applied=False, remark="training ended first")

    def after_fork_in_child(self) -> None:
        """Become empty, with a lock that no thread of the parent holds, and free nothing."""
        self._inherited = dict(vars(self))
        CommandInbox.__init__(self, lambda *_: None)

    def _current_callbacks(self) -> Callbacks:
        lent = None if self._lent is None else self._lent()
        return self._own_callbacks if lent is None else lent

    def _receive(self, command: Command) -> None:
        callbacks = self._current_callbacks()
        has_begun = self._position() != (None, None, None)
        if command.type in CUSTOM and command.type not in callbacks and has_begun:
            self._give_answer(command, False, _not_taken(command))
            return
        self.waiting.append(command)
        if command.type is CommandType.STOP_TRAINING:
            self._stop = command
            self.is_stopping = True
        elif command.type is CommandType.PAUSE_TRAINING:
            self._replace_pause(command)
        elif command.type is CommandType.RESUME_TRAINING:
            is_paused = self._pause is not None
            self._replace_pause(None)
            self._resolve(
                command, applied=is_paused, remark="" if is_paused else "training was not paused"
            )

    def _carry_out(self, command: Command) -> None:
        callback = self._current_callbacks()[command.type]
        try:
            is_applied, remark = carried_out(callback, command)
        except BaseException as error:  # the program's own end, which is an answer too
            self._give_answer(command, False, error_text(error))
            raise
        self._give_answer(command, is_applied, remark)
        if is_applied:
            confirm(callback)

    def _replace_pause(self, command: Command | None) -> None:
        self._resolve(self._pause, applied=False, remark="another command came first")
        self._pause = command

    def _has_waited_in_vain(self, command: Command) -> bool:
        """Return whether the loop has taken so many steps that it will not ask any more."""
        command.steps_waited += 1
        if command.steps_waited == 1:
            command.waits_since = time.monotonic()
        if self._is_together() and not self.has_agreed:
            return command.steps_waited >= ALONE_STEPS
        return (
            command.steps_waited >= PATIENCE_STEPS
            and self._position()[0] is None
            and time.monotonic() - command.waits_since >= PATIENCE_SECONDS
        )

    def _note_asked_alone(self, command: Command | None) -> None:
        """Refuse a command that one rank asks about again and again without the others."""
        if command is not None and not self.has_agreed:
            command.asked_alone += 1
            if command.asked_alone >= ALONE_ASKS:
                self._refuse(command)

    def _refuse(self, command: Command, remark: str = "") -> None:
        """Refuse a command for good: the loop does not obey it later either."""
        if not remark:
            is_alone = self._is_together() and not self.has_agreed
            remark = (NO_GROUP if self.lacks_group else NOT_AGREED) if is_alone else NOT_SUPPORTED
        if not self._give_answer_once(command, applied=False, remark=remark):
            return
        if command is self._stop:
            self.is_stopping = False
        elif command is self._pause:
            self._pause = None

    def _resolve(self, command: Command | None, *, applied: bool, remark: str = "") -> None:
        """Answer a command that has not been answered, and that no callback will answer."""
        if command is not None and command.type not in self._current_callbacks():
            self._give_answer_once(command, applied=applied, remark=remark)

    def _give_answer_once(self, command: Command, *, applied: bool, remark: str) -> bool:
        is_mine = self._claims(command)
        if is_mine:
            self._give_answer(command, applied, remark)
        return is_mine

    def _claims(self, command: Command) -> bool:
        """Return whether a command was still to be answered; whoever asks first, answers it."""
        try:
            self.waiting.remove(command)
        except ValueError:
            return False
        return True

    def _give_answer(self, command: Command, applied: bool, remark: str) -> None:  # noqa: FBT001
        command.answer = (applied, remark)
        self._answer(command, applied, remark)


def _not_taken(command: Command) -> str:
    return f"this training loop does not take {command.type.name}"

"""Commands from the bridge, and what the training loop makes of them."""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import error_text
from bridge.protocol import CommandType

Callback = Callable[[Mapping[str, str]], bool | str | None]
"""Takes the parameters of a command; returns False to refuse it, a text to apply it with a remark, else applies it."""

Answer = Callable[["Command", bool, str], None]
"""Takes a command, whether it was applied, and a remark."""

PATIENCE_EPOCHS = 2
"""A command that the loop does not ask about for so many ends of epochs is refused."""

REMEMBERED = 100
"""So many of the last commands are recognised when they are repeated."""

CALLBACK_SECONDS = 0.2
"""How often a paused loop runs the callbacks of other commands."""

CUSTOM = {
    CommandType.ADJUST_BATCH_SIZE,
    CommandType.CHANGE_LEARNING_RATE,
    CommandType.SAVE_CHECKPOINT,
}
"""Commands that only a callback of the loop's own can carry out."""


@dataclass(slots=True, eq=False)
class Command:
    """One command, and its answer once there is one."""

    type: CommandType
    parameters: Mapping[str, str]
    id: str = ""
    epochs_waited: int = 0
    answer: tuple[bool, str] | None = None
    """Whether it was applied, and a remark."""
    answered_at: tuple[Any, Any] | None = None
    """Epoch and batch of that answer."""


def command_type_of(type: object) -> CommandType:
    """Return a type of command. Raises ValueError for anything else, with the one that may be meant."""
    if not isinstance(type, CommandType):
        names = [kind.name for kind in CommandType]
        wanted = str(type).upper().replace("-", "_") if isinstance(type, str) else ""
        near = next((name for name in names if wanted and name.startswith(wanted)), "")
        given = repr(type[:40]) if isinstance(type, str) else f"a {type.__class__.__name__}"
        instead = f"CommandType.{near}" if near else f"one of {', '.join(names)}"
        raise ValueError(f"{given} is not a CommandType; give {instead}")
    return type


def checked_command(type: object, callback: object) -> CommandType:
    """Return the type of command for a callback. Raises ValueError for what is neither."""
    kind = command_type_of(type)
    if not callable(callback):
        raise ValueError(
            f"the callback of {kind.name} is a {callback.__class__.__name__}, which cannot be called"
        )
    return kind


class Callbacks(dict[CommandType, Callback]):
    """The callbacks of a loop by type of command."""


class CommandInbox:
    """Takes commands from the connection's thread and hands them to the loop's, between two batches."""

    def __init__(
        self,
        answer: Answer,
        *,
        is_answer_pending: Callable[[str], bool] = lambda _command_id: False,
    ) -> None:
        """Start empty.

        `answer` is called once for each command, and again for one that is repeated, unless
        `is_answer_pending`: then the answer is still on its way to the bridge.
        """
        self._answer = answer
        self._is_answer_pending = is_answer_pending
        self._own_callbacks = Callbacks()
        self._lent: weakref.ref[Callbacks] | None = None
        self._received: deque[Command] = deque(maxlen=REMEMBERED)
        self._change = threading.Condition()
        self._stop: Command | None = None
        self._pause: Command | None = None
        self._unanswered: list[Command] = []
        self.pending: deque[Command] = deque()
        """Commands whose callback is to run; the loop checks whether there are any at every batch."""
        self.is_stopping = False
        """A command to stop has been received."""
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

    def run_pending(self) -> None:
        """Carry out the commands that have callbacks; runs in the loop's thread, and never raises."""
        while self.pending:
            command = self.pending.popleft()
            try:
                result = self._current_callbacks()[command.type](command.parameters)
            except BaseException as error:  # noqa: BLE001 -- a callback's fault is an answer, not an end
                self._give_answer(command, False, error_text(error))
                let_through(error)
                continue
            remark = result if isinstance(result, str) else ""
            self._give_answer(command, result is not False, remark)

    def acknowledge_stop(self) -> bool:
        """Return whether the loop should stop; asking is what answers the command."""
        if self.is_stopping:
            self._resolve(self._stop, applied=True)
        return self.is_stopping

    @property
    def has_stopped(self) -> bool:
        """Return whether the loop has acknowledged a command to stop, by asking or by its own callback."""
        answer = None if self._stop is None else self._stop.answer
        return answer is not None and answer[0]

    def acknowledge_pause(self) -> bool:
        """Return whether the loop should wait; asking is what answers the command."""
        pause = self._pause
        self._resolve(pause, applied=True)
        return pause is not None

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
            self.run_pending()
            with self._change:
                if self._pause is not None and not self.is_stopping:
                    self._change.wait(CALLBACK_SECONDS)
        if is_abandoned():
            self._pause = None

    def end_epoch(self) -> None:
        """Refuse what the loop has had the time to ask about and has not."""
        for command in tuple(self._unanswered):
            command.epochs_waited += 1
            if command.epochs_waited >= PATIENCE_EPOCHS:
                self._resolve(
                    command,
                    applied=False,
                    remark="this training loop does not support this command",
                )

    def close(self) -> None:
        """Refuse what is left: the loop is over."""
        with self._change:
            self._unanswered += self.pending
            self.pending.clear()
            self._pause = None
            self._change.notify_all()
        for command in tuple(self._unanswered):
            self._resolve(command, applied=False, remark="training ended first")

    def after_fork_in_child(self) -> None:
        """Become empty, with a lock that no thread of the parent holds, and free nothing."""
        self._inherited = dict(vars(self))
        CommandInbox.__init__(self, lambda *_: None)

    def _current_callbacks(self) -> Callbacks:
        lent = None if self._lent is None else self._lent()
        return self._own_callbacks if lent is None else lent

    def _receive(self, command: Command) -> None:
        if command.type in self._current_callbacks():
            self.pending.append(command)
        elif command.type in CUSTOM:
            self._give_answer(
                command, False, f"this training loop does not take {command.type.name}"
            )
        else:
            self._unanswered.append(command)
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

    def _replace_pause(self, command: Command | None) -> None:
        self._resolve(self._pause, applied=False, remark="another command came first")
        self._pause = command

    def _resolve(self, command: Command | None, *, applied: bool, remark: str = "") -> None:
        """Answer a command that has not been answered, and that no callback will answer."""
        if command is None:
            return
        try:
            self._unanswered.remove(command)
        except ValueError:
            return
        self._give_answer(command, applied, remark)

    def _give_answer(self, command: Command, applied: bool, remark: str) -> None:  # noqa: FBT001
        command.answer = (applied, remark)
        self._answer(command, applied, remark)

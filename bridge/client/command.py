"""One command, and the callback of a loop that carries it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import error_text
from bridge.protocol import CommandType

Callback = Callable[[Mapping[str, str]], bool | str | None]
"""Takes the parameters of a command; returns False to refuse it, a text to apply it with a remark, else applies it."""

CUSTOM = {
    CommandType.ADJUST_BATCH_SIZE,
    CommandType.CHANGE_LEARNING_RATE,
    CommandType.SAVE_CHECKPOINT,
}
"""Commands that only a callback of the loop's own can carry out."""


class RefusedCommandError(Exception):
    """A callback refuses a command; its text is the whole answer."""


@dataclass(slots=True, eq=False)
class Command:
    """One command, and its answer once there is one."""

    type: CommandType
    parameters: Mapping[str, str]
    id: str = ""
    epochs_waited: int = 0
    steps_waited: int = 0
    waits_since: float = 0.0
    """When the first of these steps was; monotonic."""
    asked_alone: int = 0
    """How often one of several ranks has asked about it without the others."""
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


class ReversibleCallback:
    """A callback of the SDK's own, which learns what has become of its command on all ranks.

    A program's own callback may be anything, with attributes of any name: it is only ever called.
    """

    def __call__(self, parameters: Mapping[str, str]) -> bool | str | None:
        """Carry it out."""
        raise NotImplementedError

    def confirm(self) -> None:
        """Take note that the command is applied for good, on all ranks."""
        raise NotImplementedError

    def undo(self) -> bool:
        """Take back what another rank has refused; return whether nothing of it is left."""
        raise NotImplementedError


def carried_out(callback: Callback, command: Command) -> tuple[bool, str]:
    """Run the callback of a command; return whether it has applied it, and a remark."""
    try:
        result = callback(command.parameters)
    except RefusedCommandError as refusal:
        return False, str(refusal)
    except BaseException as error:  # noqa: BLE001 -- a callback's fault is an answer, not an end
        let_through(error)
        return False, error_text(error)
    return result is not False, result if isinstance(result, str) else ""


def confirm(callback: Callback) -> None:
    """Tell a callback that its command is applied for good, on all ranks, if it wants to know."""
    if isinstance(callback, ReversibleCallback):
        callback.confirm()


def take_back(callback: Callback) -> bool:
    """Have a callback undo what another rank has refused; return whether nothing of it is left."""
    if not isinstance(callback, ReversibleCallback):
        return False
    try:
        return callback.undo()
    except BaseException as error:  # noqa: BLE001 -- an optimizer that takes its old rate no more
        let_through(error)
        return False

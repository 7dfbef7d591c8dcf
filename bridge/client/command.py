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


def carried_out(callbacks: Callbacks, command: Command) -> tuple[bool, str]:
    """Run the callback of a command; return whether it has applied it, and a remark."""
    try:
        result = callbacks[command.type](command.parameters)
    except RefusedCommandError as refusal:
        return False, str(refusal)
    except BaseException as error:  # noqa: BLE001 -- a callback's fault is an answer, not an end
        let_through(error)
        return False, error_text(error)
    return result is not False, result if isinstance(result, str) else ""


def confirm(callbacks: Callbacks, command: Command) -> None:
    """Tell a callback that its command is applied for good, on all ranks, if it wants to know."""
    confirmed = getattr(callbacks[command.type], "confirm", None)
    if confirmed is not None:
        confirmed()


def take_back(callbacks: Callbacks, command: Command) -> bool:
    """Have a callback undo what another rank has refused; return whether nothing of it is left."""
    undo = getattr(callbacks[command.type], "undo", None)
    return undo is not None and bool(undo())

"""What the parameters of commands must be, whoever sends them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.errors import InvalidDataError
from bridge.protocol import CommandType

BATCH_SIZE = re.compile(r"[0-9]{1,10}")
LEARNING_RATE = re.compile(r"[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
LARGEST_BATCH_SIZE = 2**31 - 1
"""What every loop can hold in an integer."""


@dataclass(frozen=True, slots=True)
class CommandBounds:
    """What commands may set, and how long they may wait for an answer."""

    min_learning_rate: float = 0.0
    """0: any above 0."""
    max_learning_rate: float = math.inf
    max_batch_size: int = LARGEST_BATCH_SIZE
    timeout_seconds: float = 0.0
    """After which a command that is not answered is not sent any more; 0: however long it takes."""

    def check(self, type: CommandType, parameters: Mapping[str, str]) -> None:
        """Check the parameters of a command: both batch sizes and learning rates are required.

        Raises InvalidDataError for what no loop can use, and for what is out of bounds.
        """
        if type is CommandType.ADJUST_BATCH_SIZE:
            self._check_batch_size(parameters.get("batch_size", ""), parameters)
        elif type is CommandType.CHANGE_LEARNING_RATE:
            self._check_learning_rate(parameters.get("learning_rate", ""), parameters)

    def expiry(self, now: float) -> float:
        """Return until when a command of now is sent; 0: however long it takes."""
        return now + self.timeout_seconds if self.timeout_seconds else 0.0

    def _check_batch_size(self, text: str, given: Mapping[str, str]) -> None:
        if not BATCH_SIZE.fullmatch(text) or not 1 <= int(text) <= LARGEST_BATCH_SIZE:
            raise InvalidDataError(
                f"batch_size must be a whole number from 1 to {LARGEST_BATCH_SIZE}"
                f"{_instead_of('batch_size', given)}"
            )
        if int(text) > self.max_batch_size:
            raise InvalidDataError(
                f"batch_size is above {self.max_batch_size}, the highest that this bridge passes on"
                " (command_max_batch_size)"
            )

    def _check_learning_rate(self, text: str, given: Mapping[str, str]) -> None:
        if not LEARNING_RATE.fullmatch(text) or not 0 < float(text) < math.inf:
            raise InvalidDataError(
                "learning_rate must be a finite number above 0, as in 0.0003"
                f"{_instead_of('learning_rate', given)}"
            )
        if float(text) < self.min_learning_rate:
            raise InvalidDataError(
                f"learning_rate is below {self.min_learning_rate:g}, the lowest that this bridge passes on"
                " (command_min_learning_rate)"
            )
        if float(text) > self.max_learning_rate:
            raise InvalidDataError(
                f"learning_rate is above {self.max_learning_rate:g}, the highest that this bridge passes on"
                " (command_max_learning_rate)"
            )


UNBOUNDED = CommandBounds()


def _instead_of(name: str, given: Mapping[str, str]) -> str:
    """Return what to say of a parameter that is missing, while there are others."""
    if name in given or not given:
        return ""
    return f"; it is missing, and {', '.join(sorted(given))} is given instead"

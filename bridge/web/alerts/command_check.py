"""Check the command of an alert against what alerts may do."""

import json
import math
from collections.abc import Mapping

from bridge.command_bounds import LEARNING_RATE
from bridge.errors import InvalidDataError
from bridge.protocol import ALERT_COMMANDS, CommandType, command_type_of
from bridge.session import Session
from bridge.web.alerts.bounds import AlertBounds
from bridge.web.command_request import checked_parameters
from bridge.web.errors import ForbiddenError

FACTOR, RATE = "factor", "learning_rate"


def checked_type(bounds: AlertBounds, text: str) -> CommandType:
    """Return the type that an alert asks for; raises InvalidDataError, or ForbiddenError for one it may not send."""
    found = command_type_of(text)
    if found is None or found not in ALERT_COMMANDS:
        raise InvalidDataError(
            f"trainbridge_command must be one of {', '.join(ALERT_COMMANDS.values())}, not {text[:40]!r}"
        )
    if found not in bounds.types:
        allowed = " ".join(
            [*map(ALERT_COMMANDS.__getitem__, sorted(bounds.types)), ALERT_COMMANDS[found]]
        )
        raise ForbiddenError(
            f"alerts may not send {ALERT_COMMANDS[found]} here; who runs this bridge may allow it with --alert-commands"
            f' "{allowed}"'
        )
    return found


def checked_values(
    bounds: AlertBounds, kind: CommandType, text: str, session: Session
) -> Mapping[str, str]:
    """Return the parameters of a command, given as JSON; raises InvalidDataError, or ForbiddenError for a rate out of bounds.

    A learning rate may be given as a factor of the one that the session has reported last.
    """
    parameters = dict(checked_parameters(_parsed(text)))
    if kind is not CommandType.CHANGE_LEARNING_RATE:
        return parameters
    if FACTOR in parameters and RATE not in parameters:
        rate = _number(parameters, FACTOR) * _reported_rate(session)
        del parameters[FACTOR]
        parameters[RATE] = f"{rate:.12g}"
    if beside := sorted(parameters.keys() - {RATE}):
        raise InvalidDataError(
            f"trainbridge_parameters of change-learning-rate has {beside[0]}, which no bound holds for: leave only a"
            ' learning_rate or a factor, such as {"factor": 0.5}'
        )
    _check_rate(bounds, _number(parameters, RATE))
    return parameters


def _check_rate(bounds: AlertBounds, rate: float) -> None:
    low, high = bounds.learning_rates or (0.0, math.inf)
    if not low <= rate <= high:
        raise ForbiddenError(
            f"a learning rate of {rate:g} is not between {low:g} and {high:g}, which alerts may set here"
            " (--alert-min-learning-rate, --alert-max-learning-rate)"
        )


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        raise InvalidDataError(
            'trainbridge_parameters must be JSON, such as {"factor": 0.5}'
        ) from None


def _number(parameters: Mapping[str, str], name: str) -> float:
    text = parameters.get(name, "")
    if not LEARNING_RATE.fullmatch(text) or not 0 < float(text) < math.inf:
        raise InvalidDataError(
            "change-learning-rate needs trainbridge_parameters with a learning_rate or a factor above 0, such as"
            ' {"factor": 0.5}'
        )
    return float(text)


def _reported_rate(session: Session) -> float:
    """Return the learning rate that a session has reported last; raises InvalidDataError."""
    rate = session.scalars.newest_of(RATE)
    of_epochs = (one.learning_rate for one in reversed(session.epochs))
    rate = next((one for one in of_epochs if one is not None), None) if rate is None else rate
    if rate is None or not 0 < rate < math.inf:
        raise InvalidDataError(
            'a factor needs a learning rate that the session has reported (session.log_scalars({"learning_rate": ...})):'
            " it has reported none, so give trainbridge_parameters a learning_rate instead"
        )
    return rate

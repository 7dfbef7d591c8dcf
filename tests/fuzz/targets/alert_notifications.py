"""Notifications of Alertmanager, and the commands that alerts send."""

from bridge.errors import BridgeError, InvalidDataError
from bridge.model import Client, Config
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.alerts.bounds import AlertBounds
from bridge.web.alerts.command_check import checked_type, checked_values
from bridge.web.alerts.notification import ALERTS_LIMIT, parse_notification

BOUNDS = AlertBounds(frozenset(CommandType), learning_rates=(1e-6, 1.0))
SESSION = Session("run", Client(), Config(), now=0.0)


def run(data: bytes) -> None:
    """Read a notification, and check what its alerts ask for."""
    try:
        notification = parse_notification(data)
    except InvalidDataError:
        return
    assert len(notification.alerts) + len(notification.invalid) <= ALERTS_LIMIT
    for one in notification.alerts:
        assert one.alert.name.isprintable()
        one.alert.summary.encode()
        try:
            kind = checked_type(BOUNDS, one.command)
            values = checked_values(BOUNDS, kind, one.parameters, SESSION)
        except BridgeError as error:
            str(error).encode()
        else:
            assert all(text.isprintable() for text in values.values())

"""Read what Alertmanager, or Grafana in its place, posts: alerts that fire or no longer do."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.errors import InvalidDataError
from bridge.lifecycle import AlertReceived

ALERTS_LIMIT = 200
"""Alerts that are read of one notification; the others are left out, and said to be."""

MAX_COUNT = 2**63
"""No count of Alertmanager reaches it."""

FINGERPRINT = re.compile(r"[A-Za-z0-9._-]{1,64}")

COMMAND, PARAMETERS, SESSION = "trainbridge_command", "trainbridge_parameters", "session_id"
"""The labels by which an alert sends a command to a session; parameters may be an annotation, too."""

SHOWN = {"alertname": 100, "severity": 32, "summary": 300}
"""Characters that are kept of each text."""

EXPECTED = (
    "the body must be a notification of Alertmanager's webhook, an object with a list of alerts: let a receiver's"
    " webhook_configs, or a webhook contact point of Grafana, post it"
)


@dataclass(frozen=True, slots=True)
class NotifiedAlert:
    """One alert of a notification."""

    alert: AlertReceived
    session_id: str
    """ "": it is not about a session."""
    command: str
    """What `trainbridge_command` says; "": it sends none."""
    parameters: str
    """Of the command, as JSON; "": none."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What one request holds."""

    alerts: tuple[NotifiedAlert, ...]
    invalid: tuple[str, ...]
    """Why alerts could not be read, one text for each."""
    left_out: int
    """Alerts that were not sent, or not read, since there are too many."""


def parse_notification(body: bytes) -> Notification:
    """Return the alerts of a notification; raises InvalidDataError for what is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    found = content.get("alerts") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise InvalidDataError(EXPECTED)
    alerts, invalid = [], []
    for one in found[:ALERTS_LIMIT]:
        try:
            alerts.append(_alert(one))
        except InvalidDataError as error:
            invalid.append(str(error))
    left_out = _truncated(content) + max(0, len(found) - ALERTS_LIMIT)
    return Notification(tuple(alerts), tuple(invalid), left_out)


def _truncated(content: Mapping[str, Any]) -> int:
    """Return how many alerts Alertmanager has cut off; 0 for anything that is not a count."""
    count = content.get("truncatedAlerts")
    return count if type(count) is int and 0 <= count < MAX_COUNT else 0


def _alert(value: Any) -> NotifiedAlert:
    if not isinstance(value, dict):
        raise InvalidDataError("an alert must be an object")
    labels, annotations = _texts(value, "labels"), _texts(value, "annotations")
    fingerprint, status = value.get("fingerprint"), value.get("status")
    if not isinstance(fingerprint, str) or not FINGERPRINT.fullmatch(fingerprint):
        raise InvalidDataError(f"fingerprint must match {FINGERPRINT.pattern}")
    if status not in ("firing", "resolved"):
        raise InvalidDataError("status must be firing or resolved")
    alert = AlertReceived(
        fingerprint,
        _shown(labels, "alertname") or "unnamed",
        _time(value, "startsAt"),
        _time(value, "endsAt") if status == "resolved" else 0.0,
        _shown(labels, "severity"),
        _shown(annotations, "summary"),
    )
    parameters = labels.get(PARAMETERS) or annotations.get(PARAMETERS, "")
    return NotifiedAlert(alert, labels.get(SESSION, ""), labels.get(COMMAND, ""), parameters)


def _texts(value: Mapping[str, Any], name: str) -> dict[str, str]:
    found = value.get(name) or {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise InvalidDataError(f"{name} must be an object of texts")
    return found


def _shown(texts: Mapping[str, str], name: str) -> str:
    """Return a text as pages and logs may show it: in one line, and not too long."""
    words = " ".join(texts.get(name, "").split())
    return "".join(filter(str.isprintable, words))[: SHOWN[name]]


def _time(value: Mapping[str, Any], name: str) -> float:
    try:
        seconds = datetime.fromisoformat(value[name]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        seconds = 0.0
    if seconds <= 0:
        raise InvalidDataError(f"{name} must be a time such as 2030-01-02T03:04:05Z")
    return seconds

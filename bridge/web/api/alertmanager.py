"""Take alerts as Alertmanager's webhook sends them, and answer what became of each."""

import asyncio
from typing import Any

from aiohttp import web

from bridge.web.alerts.intake import Outcome, Result, report
from bridge.web.alerts.notification import NotifiedAlert, parse_notification
from bridge.web.alerts.passing_on import receive_anywhere
from bridge.web.client_address import client_address
from bridge.web.dependencies import deps_of
from bridge.web.json_body import read_json_body
from bridge.web.json_response import json_response
from bridge.web.links import commands_link, public_root

Answered = tuple[NotifiedAlert, Outcome]


async def post_alerts(request: web.Request) -> web.Response:
    """Keep alerts with their sessions, and send the commands that they may send.

    Alertmanager sends a notification again after a status of 5xx, and after no other: so it gets 503 only while a
    command may be sent in a moment. What was sent by then counts as a duplicate the next time.
    """
    deps = deps_of(request)
    notification = parse_notification(await read_json_body(request, "alerts"))
    outcomes = await asyncio.gather(*(receive_anywhere(deps, one) for one in notification.alerts))
    answered = list(zip(notification.alerts, outcomes, strict=True))
    for one in answered:
        report(deps.telemetry, *one, client_address(request))
    for reason in notification.invalid:
        deps.telemetry.alerts_received(
            Result.INVALID, reason=reason, remote=client_address(request)
        )
    if notification.left_out:
        deps.telemetry.alerts_received(
            Result.LEFT_OUT, notification.left_out, remote=client_address(request)
        )
    root = public_root(request)
    content = {
        "alerts": [_answer_json(*one, root) for one in answered],
        "invalid": notification.invalid,
        "left_out": notification.left_out,
    }
    return json_response(content, status=_status(answered))


def _status(answered: list[Answered]) -> int:
    results = {outcome.result for _, outcome in answered}
    if Result.RETRY in results:
        return 503
    return 202 if results & {Result.QUEUED, Result.PASSED_ON} else 200


def _answer_json(notified: NotifiedAlert, outcome: Outcome, root: str) -> dict[str, Any]:
    alert, command = notified.alert, outcome.command
    return {
        "fingerprint": alert.fingerprint,
        "alert": alert.name,
        "status": "resolved" if alert.ends_at else "firing",
        "session_id": notified.session_id or None,
        "result": str(outcome.result),
        "reason": outcome.reason or None,
        "command": command
        and {
            "command_id": command.id,
            "type": command.type.name,
            "state": str(command.state),
            "watch": f"{root}/{commands_link(command.session_id)}",
        },
    }

"""What happened, as lines in the charts of a board: each kind can be shown or hidden by its switch above them."""

from typing import Any

from grafana.panels import PROMETHEUS
from grafana.promql import chosen, newest, with_bridge

Json = dict[str, Any]

MIN_STEP = "15s"
"""As often as bridges are scraped; a longer time is asked for in longer steps."""

BEFORE = "[1h] offset $__interval"
"""What had happened before, which is not news: also over a gap, as that of a bridge that starts anew."""


def annotation(
    name: str,
    query: str,
    *,
    title: str,
    text: str,
    color: str,
    tags: str = "",
    is_on: bool = True,
) -> Json:
    """Return lines at the times for which a query has values; `title` and `text` fill in its labels, `{{so}}`."""
    return {
        "name": name,
        "datasource": PROMETHEUS,
        "enable": is_on,
        "hide": False,
        "iconColor": color,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
        "useValueForTime": False,
        "target": {"refId": "Anno", "expr": chosen(query), "interval": MIN_STEP},
    }


def begins(gauge: str, label: str) -> str:
    """Return a query of each new value of a gauge, as a label, when it is first seen."""
    known = f'count_values by (session_id) ("{label}", last_over_time({gauge}{BEFORE}))'
    return (
        f'count_values by (session_id, public_url) ("{label}", {with_bridge(newest(gauge))})'
        f" unless on (session_id, {label}) {known}"
    )


def rises(counter: str, *labels: str) -> str:
    """Return a query of the rises of a counter, its first value included, which `increase` alone does not see."""
    kept = ", ".join(("session_id", *labels))
    first = f"last_over_time({counter}[$__interval]) unless on ({kept}) last_over_time({counter}{BEFORE})"
    return with_bridge(f"increase({counter}[$__interval]) > 0 or {first}", *labels)


def epochs(*, is_on: bool = True) -> Json:
    """Return the beginnings of epochs, each with a link to its images."""
    return annotation(
        "Epochs",
        begins("training_epoch", "epoch"),
        title="Epoch {{epoch}}",
        text='{{session_id}}: <a href="{{public_url}}/go/images?session={{session_id}}&amp;epoch={{epoch}}" target="_blank">images of this epoch</a>',
        color="purple",
        is_on=is_on,
    )


def attempts() -> Json:
    """Return where the attempts of a session began."""
    return annotation(
        "Attempts",
        begins("training_attempt", "attempt"),
        title="Attempt {{attempt}}",
        text='{{session_id}}: <a href="{{public_url}}/sessions/{{session_id}}/attempts/{{attempt}}" target="_blank">page of this attempt</a>',
        color="blue",
    )


def commands() -> Json:
    """Return commands to the loop and what became of them."""
    return annotation(
        "Commands",
        rises("training_commands_total", "type", "result"),
        title="{{type}}: {{result}}",
        text='{{session_id}}: <a href="{{public_url}}/sessions/{{session_id}}" target="_blank">its commands</a>',
        color="yellow",
        tags="type,result",
    )


def events() -> Json:
    """Return what the loop reported as events."""
    return annotation(
        "Events",
        rises("training_events_total", "name"),
        title="{{name}}",
        text='{{session_id}}: <a href="{{public_url}}/sessions/{{session_id}}" target="_blank">its events</a>',
        color="green",
        tags="name",
    )


def alerts(*, is_on: bool = True) -> Json:
    """Return for how long alerts fired, where Prometheus has the rules; those of the sessions chosen."""
    return annotation(
        "Alerts",
        'ALERTS{alertstate="firing", session_id=~"$session"}',
        title="{{alertname}}",
        text="{{session_id}} {{severity}}",
        color="red",
        tags="severity",
        is_on=is_on,
    )

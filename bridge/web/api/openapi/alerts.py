"""The webhook of Alertmanager and annotations of charts, for the OpenAPI document."""

from bridge.commands import State
from bridge.web.alerts.intake import Result
from bridge.web.alerts.notification import ALERTS_LIMIT, FINGERPRINT
from bridge.web.annotations.annotation import Kind
from bridge.web.annotations.asked import (
    DEFAULT_LIMIT,
    LATEST_MS,
    MAX_LIMIT,
    MAX_SKIP,
    SESSIONS_LIMIT,
)
from bridge.web.api.alertmanager import post_alerts
from bridge.web.api.annotations import list_annotations
from bridge.web.api.openapi.commands import TYPES
from bridge.web.api.openapi.shapes import (
    NEXT,
    SESSION_NAME,
    Operation,
    Parameter,
    Schema,
    by_name,
    choice,
    limit,
    many,
    maybe,
    record,
    ref,
    text,
    url,
    whole,
)

TEXTS = maybe(by_name(text()))

ALERT: Schema = {
    "description": "An alert as Alertmanager sends it; what is not listed here is ignored.",
    "type": "object",
    "properties": {
        "status": choice(("firing", "resolved")),
        "fingerprint": text(pattern=f"^{FINGERPRINT.pattern}$"),
        "startsAt": text(format="date-time"),
        "endsAt": text("Only read of an alert that is resolved.", format="date-time"),
        "labels": {
            **TEXTS,
            "description": "session_id says which session it is about, trainbridge_command what it sends.",
        },
        "annotations": TEXTS,
    },
}

NOTIFICATION: Schema = {
    "description": "A notification of Alertmanager's webhook; an alert that cannot be read costs itself alone.",
    "type": "object",
    "properties": {
        "alerts": {
            "type": "array",
            "description": f"Of which the first {ALERTS_LIMIT} are read.",
            "items": {"anyOf": [ref("Alert"), {}]},
        },
        "truncatedAlerts": {"description": "How many alerts Alertmanager has cut off."},
    },
    "required": ["alerts"],
}

ALERT_OUTCOME = record(
    "What became of an alert.",
    fingerprint=text(),
    alert=text("Its name."),
    status=choice(("firing", "resolved")),
    session_id=maybe(text()),
    result=choice(Result),
    reason=maybe(text()),
    command=maybe(
        record(
            command_id=text(),
            type=choice(TYPES),
            state=choice(State),
            watch=url("Where to follow it."),
        )
    ),
)

ALERT_OUTCOMES = record(
    alerts=many(ref("AlertOutcome")),
    invalid=many(text(), "Why alerts could not be read."),
    left_out=whole("Alerts beyond those that are read, or that Alertmanager has cut off."),
)

ANNOTATION = record(
    "Something that has happened to a session.",
    time=whole("Milliseconds since 1970."),
    timeEnd=maybe(whole(), "Milliseconds since 1970; null: it is a moment, or goes on."),
    kind=choice(Kind),
    title=text(),
    text=text(),
    tags=many(text()),
    session_id=SESSION_NAME,
    attempt=whole(minimum=1),
    link=url("The page of it."),
)

SCHEMAS = {
    "Alert": ALERT,
    "Notification": NOTIFICATION,
    "AlertOutcome": ALERT_OUTCOME,
    "AlertOutcomes": ALERT_OUTCOMES,
    "Annotation": ANNOTATION,
}

OPERATIONS = {
    post_alerts: Operation(
        "Alerts",
        "Take a notification of Alertmanager; alerts may send commands where that is allowed",
        {
            200: "The alerts were read, and none sends a command.",
            202: "At least one command is queued.",
            503: "A command cannot be sent at the moment: send the notification again.",
        },
        ref("AlertOutcomes"),
        body=ref("Notification"),
        errors=(400, 408, 413, 415),
    ),
    list_annotations: Operation(
        "Annotations",
        "List what has happened to sessions, the newest first",
        {200: "A page of annotations."},
        record(
            annotations=many(ref("Annotation")),
            next=NEXT,
            unknown_sessions=many(text(), "Those that this bridge does not have."),
        ),
        parameters=(
            Parameter(
                "session",
                "Of these sessions; without it, or where a dashboard left a variable in it, of those in memory that were"
                " registered last.",
                many(SESSION_NAME, maxItems=SESSIONS_LIMIT),
                is_list=True,
            ),
            Parameter("kind", "Of these kinds.", many(choice(Kind)), is_list=True),
            Parameter(
                "from",
                "Not over before this, in milliseconds since 1970.",
                whole(maximum=LATEST_MS),
            ),
            Parameter(
                "to", "Began no later, in milliseconds since 1970.", whole(maximum=LATEST_MS)
            ),
            Parameter(
                "skip",
                "From `next`: how many of those at `to` are left out.",
                whole(maximum=MAX_SKIP, default=0),
            ),
            limit(DEFAULT_LIMIT, MAX_LIMIT, "annotations"),
        ),
        errors=(400,),
    ),
}

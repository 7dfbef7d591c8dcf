"""Sessions, their curves and events, and how one is deleted, for the OpenAPI document."""

from bridge.model import Level, Stage, Status
from bridge.web.api.curves import list_curves
from bridge.web.api.delete_session import LAST_ATTEMPT, delete_session
from bridge.web.api.events import list_events
from bridge.web.api.openapi.shapes import (
    ATTEMPT,
    NEXT,
    SESSION_IN_PATH,
    SESSION_NAME,
    Operation,
    Parameter,
    by_name,
    choice,
    flag,
    limit,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    url,
    whole,
)
from bridge.web.api.sessions import DEFAULT_LIMIT, MAX_LIMIT, get_session, list_sessions
from bridge.web.charts.scalar_chart import CHOICES
from bridge.web.session_catalog import MAX_SESSIONS
from bridge.web.session_query import MAX_TEXT, STATUSES, Sort
from bridge.web.session_state import STATES

SESSION_FIELDS = {
    "session_id": SESSION_NAME,
    "state": choice(STATES, "What pages show: the status, or what became of the connection."),
    "status": choice(Status, "As the loop reported it; unknown: it has reported none."),
    "status_message": maybe(text()),
    "stage": choice(Stage),
    "connected": flag(),
    "attempt": whole("The newest attempt, or the one asked for.", minimum=1),
    "run_id": maybe(text(), "What the ranks of a run have in common."),
    "rank": maybe(whole()),
    "world_size": maybe(whole(minimum=1)),
    "client_name": maybe(text()),
    "model_name": maybe(text()),
    "dataset_name": maybe(text()),
    "registered_at": real("Seconds since 1970."),
    "updated_at": real("When the bridge last heard of it, in seconds since 1970."),
    "ended_at": maybe(real(), "Seconds since 1970; null: it goes on."),
    "epoch": maybe(whole(), "Of the last batch; null for a run that counts by steps."),
    "batch": maybe(whole(), "In its epoch; null for a run that counts by steps."),
    "batches": whole("How many have come."),
    "step": maybe(whole()),
    "tokens": maybe(whole()),
    "total_steps": maybe(whole(minimum=1)),
    "total_epochs": maybe(whole(minimum=1)),
    "batches_per_epoch": maybe(whole(minimum=1)),
    "progress_ratio": maybe(real(minimum=0, maximum=1)),
    "loss": maybe(ref("Number"), "The last one that a batch reported."),
    "accuracy_ratio": maybe(real(minimum=0, maximum=1)),
    "frames_per_second": maybe(real()),
    "gpu_utilization_ratio": maybe(real()),
    "estimated_time_remaining_seconds": maybe(real()),
    "trace_id": text(),
    "url": url("Its page."),
    "api_url": url("Everything that is known of it."),
    "images_url": url("Its batches with images."),
}

LOSS_BIN_FIELDS = {
    "start": real("When its first batch came, in seconds since 1970."),
    "count": whole("Batches with a finite loss."),
    "mean": maybe(ref("Number")),
    "low": maybe(ref("Number")),
    "high": maybe(ref("Number")),
    "nonfinite": whole("Batches with a loss that is not finite."),
    "epoch": whole("Of the batch with the highest loss."),
    "batch": whole("With the highest loss."),
}

ATTEMPT_ENTRY = record(
    "How an attempt of a session went.",
    attempt=whole(minimum=1),
    state=choice(STATES),
    status_message=maybe(text()),
    registered_at=real("Seconds since 1970."),
    ended_at=maybe(real(), "Seconds since 1970; null: it goes on."),
    lost_seconds_before=maybe(real(), "Between the attempt before and this one."),
    goodput_ratio=maybe(real()),
    batches=whole(),
    first=maybe(text(), "Its first batch, as epoch-batch."),
    last=maybe(text(), "Its last batch, as epoch-batch."),
    url=url(),
    api_url=url(),
)

EPOCH = record(
    "The averages of a finished epoch.",
    number=whole(),
    loss=maybe(ref("Number")),
    accuracy=maybe(ref("Number"), "As it was sent, whether or not it is between 0 and 1."),
    validation_loss=maybe(ref("Number")),
    validation_accuracy=maybe(ref("Number")),
    learning_rate=maybe(ref("Number")),
)

GPU = record(
    "A GPU, when it was last measured.",
    index=whole(),
    uuid=maybe(text()),
    utilization_ratio=maybe(ref("Number")),
    memory_used_bytes=maybe(ref("Number")),
    memory_total_bytes=maybe(ref("Number")),
    temperature_celsius=maybe(ref("Number")),
    power_watts=maybe(ref("Number")),
    throttle_reasons=maybe(many(text()), "Why it is slower than it could be; empty: it is not."),
    ecc_errors=maybe(whole()),
    xid_errors=maybe(whole()),
    sm_clock_hertz=maybe(ref("Number")),
)

PERFORMANCE = record(
    "The newest measurement, as it was sent.",
    batch_duration_seconds=maybe(ref("Number")),
    epoch_duration_seconds=maybe(ref("Number")),
    estimated_time_remaining_seconds=maybe(ref("Number")),
    frames_per_second=maybe(ref("Number")),
    frames_per_second_average=maybe(ref("Number")),
    resources=maybe(
        record(
            cpu_utilization_ratio=maybe(ref("Number")),
            memory_used_bytes=maybe(ref("Number")),
            gpus=many(ref("Gpu")),
        )
    ),
)

SCALARS = by_name(ref("Number"), "The newest number of each name, of those without a split.")

SCALARS_BY_SPLIT = by_name(by_name(ref("Number")), "The newest number of each name, by split.")

DETAIL_FIELDS = {
    "client": record(name=maybe(text()), version=maybe(text()), labels=by_name(text())),
    "batch_size": maybe(whole()),
    "class_names": maybe(many(text())),
    "config": by_name({}, "What the loop was configured with, by key."),
    "stale_seconds": maybe(
        real(minimum=0), "How old this is, where the bridge that has the session does not answer."
    ),
    "epochs": many(ref("Epoch"), "Of all attempts, unless one is asked for."),
    "performance": maybe(ref("Performance")),
    "is_partial": flag("Whether something that its client sent never came to this bridge."),
    "phase": maybe(text(), "What the loop is busy with."),
    "phase_seconds": by_name(real(), "How long it has been so in each phase."),
    "scalars": SCALARS,
    "scalars_by_split": SCALARS_BY_SPLIT,
    "notices": many(record(at=real("Seconds since 1970."), text=text())),
    "losses": many(ref("LossOfAttempt"), "The loss curve."),
    "attempts": many(ref("Attempt"), "Those that are kept, the oldest first."),
    "goodput_ratio": maybe(real(), "The share of training in the time of all phases."),
}

CURVE_POINT = record(
    "Neighbouring values of a curve.",
    x=real("Where it is drawn: what `by` says."),
    at=real("When the first of them came, in seconds since 1970."),
    step=whole("Of the first of them."),
    count=whole("How many are finite."),
    mean=maybe(ref("Number")),
    low=maybe(ref("Number")),
    high=maybe(ref("Number")),
    nonfinite=whole("How many are not finite."),
)

CURVES = record(
    by=choice(CHOICES),
    names=many(text(), "All names, whatever was selected."),
    splits=many(maybe(text()), "All splits; null: without one."),
    curves=many(
        record(name=text(), split=maybe(text()), points=many(ref("CurvePoint"))),
    ),
)

EVENTS = record(
    events=many(ref("Event"), "The oldest first."),
    total=whole("How many there were, of which the newest are kept."),
)

EVENT = record(
    "What a training loop has reported as an event.",
    at=real("Seconds since 1970."),
    name=text(),
    message=maybe(text()),
    level=choice(Level),
    details=by_name(text()),
    epoch=whole(),
    batch=whole(),
    step=maybe(whole()),
)

SCHEMAS = {
    "Session": record("A session as a list shows it.", **SESSION_FIELDS),
    "SessionDetails": record(
        "Everything that is known of a session.", **SESSION_FIELDS, **DETAIL_FIELDS
    ),
    "Attempt": ATTEMPT_ENTRY,
    "Epoch": EPOCH,
    "Gpu": GPU,
    "Performance": PERFORMANCE,
    "LossBin": record("Batches that came one after another.", **LOSS_BIN_FIELDS),
    "LossOfAttempt": record(
        "Batches of an attempt that came one after another.",
        **LOSS_BIN_FIELDS,
        attempt=whole(minimum=1),
    ),
    "Curves": CURVES,
    "CurvePoint": CURVE_POINT,
    "Events": EVENTS,
    "Event": EVENT,
}

_QUERY = text(maxLength=MAX_TEXT)

OPERATIONS = {
    list_sessions: Operation(
        "Sessions",
        "List sessions, page by page: those that may still send first, then the newest",
        {200: "A page of sessions."},
        record(sessions=many(ref("Session")), total=whole("How many sessions match."), next=NEXT),
        parameters=(
            Parameter(
                "query",
                "Words that must all occur in the name, model, dataset, client or labels (as name=value).",
                _QUERY,
            ),
            Parameter("status", "Of these states.", many(choice(STATUSES)), is_list=True),
            Parameter("model", "The whole name of a model.", _QUERY),
            Parameter("sort", "In which order.", choice(Sort)),
            limit(DEFAULT_LIMIT, MAX_LIMIT, "sessions"),
            Parameter("cursor", "Where to go on, from `next`.", text()),
            Parameter("offset", "Skips so many.", whole(maximum=MAX_SESSIONS, default=0)),
        ),
        errors=(400,),
    ),
    get_session: Operation(
        "Sessions",
        "Get a session with all its attempts, or one of them",
        {200: "The session."},
        ref("SessionDetails"),
        parameters=(SESSION_IN_PATH, ATTEMPT),
        errors=(400, 404),
    ),
    delete_session: Operation(
        "Sessions",
        "Delete a session that has ended, or one attempt of it, for good",
        {202: "It is gone; what is left of it in stores is deleted in the background."},
        record(session_id=SESSION_NAME, attempt=maybe(whole(minimum=1)), images=flag()),
        parameters=(
            SESSION_IN_PATH,
            Parameter(
                "attempt",
                "Only this attempt; without it, all.",
                whole(minimum=1, maximum=LAST_ATTEMPT),
            ),
            Parameter("images", "Whether its images in the store go, too.", flag()),
            Parameter("force", "Whether it goes while its process may still come back.", flag()),
        ),
        errors=(400, 404, 408, 409, 413),
    ),
    list_curves: Operation(
        "Sessions",
        "Get the curves of the numbers that the loop logs by name",
        {200: "The curves."},
        ref("Curves"),
        parameters=(
            SESSION_IN_PATH,
            Parameter("name", "Only numbers of this name.", text()),
            Parameter("split", "Only numbers of this split; empty: those without one.", text()),
            Parameter("by", "What x is.", choice(CHOICES)),
            ATTEMPT,
        ),
        errors=(400, 404),
    ),
    list_events: Operation(
        "Sessions",
        "Get what the loop has reported as events",
        {200: "The events."},
        ref("Events"),
        parameters=(SESSION_IN_PATH, ATTEMPT),
        errors=(400, 404),
    ),
}

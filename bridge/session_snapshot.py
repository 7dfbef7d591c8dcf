"""The plain values that a session is kept as, and those that older versions kept."""

from dataclasses import asdict
from operator import attrgetter
from typing import Any

from bridge.hardware import Gpu, Resources
from bridge.history import Curve
from bridge.model import (
    Client,
    Config,
    Epoch,
    Performance,
    ResumePoint,
    Stage,
    Status,
    reported,
)
from bridge.notices import Notice
from bridge.occurrences import Occurrences
from bridge.phases import PhaseClock
from bridge.received_alerts import ReceivedAlerts
from bridge.scalar_history import ScalarHistory
from bridge.session import Session
from bridge.stream_proof import StreamProof
from bridge.trace_context import TraceContext

FORMAT = 3
"""Of snapshots; those before 2 do not name theirs."""

PLAIN = (
    *("id", "attempt", "stage", "status", "status_message", "connected", "is_resumed"),
    *("registered_at", "updated_at", "ended_at"),
    *("accepted", "epoch", "batch", "batches", "loss"),
)
"""What a snapshot takes as it is."""

_EPOCH_FIELDS = attrgetter(*Epoch.__slots__)


def snapshot_of(session: Session) -> dict[str, Any]:
    """Return what `session_from` takes: plain values, none of which changes any more."""
    return {
        "format": FORMAT,
        **{name: getattr(session, name) for name in PLAIN},
        "is_unused": session.is_unused,
        "former": session.former,
        "skipped": session.skipped,
        "client": client_state(session.client),
        "config": asdict(session.config),
        "losses": session.losses.snapshot(),
        "epochs": [_EPOCH_FIELDS(epoch) for epoch in session.epochs],
        "performance": asdict(session.performance) if session.performance else None,
        "scalars": session.scalars.without_split(),
        **reported_values(
            curves=session.scalars.snapshot(),
            step=session.step,
            tokens=session.tokens or None,
            events=session.occurrences.snapshot(),
            alerts=session.alerts.snapshot(),
            epoch_ends=list(session.epoch_ends),
            is_absent=session.is_absent or None,
            is_sent_elsewhere=session.is_sent_elsewhere or None,
        ),
        "notices": [(notice.at, notice.text) for notice in session.notices],
        "token_hashes": session.proof.token_hashes,
        "stepped_at": session.stepped_at,
        "hosts": session.proof.hosts,
        "phases": session.phases.snapshot(),
    }


def session_from(state: dict[str, Any]) -> Session:
    """Return the session a snapshot was taken of."""
    if state.get("format", 1) < FORMAT:
        state = upgraded(state)
    config = Config(**{**state["config"], "class_names": tuple(state["config"]["class_names"])})
    session = Session(state["id"], client_of(state["client"]), config, now=state["registered_at"])
    for name in PLAIN:
        setattr(session, name, state[name])
    session.stage, session.status = Stage(session.stage), Status(session.status)
    session.committed = session.accepted
    session.losses = Curve.restored(state["losses"])
    session.epochs.extend(Epoch(*epoch) for epoch in state["epochs"])
    session.performance = performance_of(state["performance"])
    session.scalars = ScalarHistory.restored(state.get("curves", ()), state["scalars"])
    session.notices.extend(Notice(at, text) for at, text in state["notices"])
    # Older versions wrote none of these.
    session.is_unused = state.get("is_unused", False)
    session.is_absent = state.get("is_absent", False)
    session.is_sent_elsewhere = state.get("is_sent_elsewhere", False)
    session.former = tuple(state.get("former", ()))
    session.skipped = tuple((first, last) for first, last in state.get("skipped", ()))
    session.proof = StreamProof(tuple(state.get("token_hashes", ())), tuple(state.get("hosts", ())))
    session.stepped_at = state.get("stepped_at", 0.0)
    session.step, session.tokens = state.get("step"), state.get("tokens", 0)
    session.occurrences = Occurrences.restored(state.get("events", ()))
    session.alerts = ReceivedAlerts.restored(state.get("alerts", ()))
    session.epoch_ends.extend((number, at) for number, at in state.get("epoch_ends", ()))
    session.phases = _phases_of(state, session)
    return session


def _phases_of(state: dict[str, Any], session: Session) -> PhaseClock:
    """Return the phases of a session; where an older version counted none, they begin with what came last."""
    if "phases" in state:
        return PhaseClock.restored(state["phases"])
    clock = PhaseClock(session.updated_at)
    is_live = session.stage is Stage.LIVE
    clock.name = ("training" if session.batches else "startup") if is_live else ""
    return clock


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot of an older format as one of this."""
    if state.get("format", 1) < 2:
        state = _with_missing_values(state)
    return {**state, "stage": state["phase"]}


def _with_missing_values(state: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot of the first format, where 0 also means "not reported", with None for that."""
    epochs = [(number, loss, reported(a), *more) for number, loss, a, *more in state["epochs"]]
    performance = state["performance"]
    return {
        **state,
        "loss": state["loss"] if state["batches"] else None,
        "epochs": epochs,
        "performance": None if performance is None else without_zeros(performance),
    }


def without_zeros(performance: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a Performance with None for each 0, resources included."""
    return {name: _without_zeros(name, value) for name, value in performance.items()}


def _without_zeros(name: str, value: Any) -> Any:
    if name == "resources" and value is not None:
        return without_zeros(value)
    if name == "gpus":
        return [
            {key: one if key in ("index", "uuid") else reported(one) for key, one in gpu.items()}
            for gpu in value
        ]
    return reported(value)


def reported_values(**values: Any) -> dict[str, Any]:
    """Return the values that are neither None nor an empty list: a session without them takes no more room."""
    return {name: value for name, value in values.items() if value is not None and value != []}


def client_state(client: Client) -> dict[str, Any]:
    """Return the plain values of a Client, its trace context as the header that it came in."""
    state = asdict(client)
    del state["trace_context"]
    context = client.trace_context
    return {**state, "traceparent": context.traceparent if context is not None else ""}


def client_of(state: dict[str, Any]) -> Client:
    """Return the Client that plain values were taken of."""
    fields = dict(state)
    context = TraceContext.parse(fields.pop("traceparent", ""))
    point = fields.pop("resume_point", None)
    resume_point = None if point is None else ResumePoint(**point)
    return Client(**fields, trace_context=context, resume_point=resume_point)


def gpu_of(state: dict[str, Any]) -> Gpu:
    """Return the Gpu that plain values were taken of."""
    reasons = state.get("throttle_reasons")
    return Gpu(**{**state, "throttle_reasons": None if reasons is None else tuple(reasons)})


def performance_of(state: dict[str, Any] | None) -> Performance | None:
    """Return the Performance that plain values were taken of, or None for None."""
    if state is None:
        return None
    resources = state["resources"]
    if resources is not None:
        resources = Resources(**{**resources, "gpus": tuple(map(gpu_of, resources["gpus"]))})
    return Performance(**{**state, "resources": resources})

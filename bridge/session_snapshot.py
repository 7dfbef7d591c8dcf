"""The plain values that a session is kept as, and those that older versions kept."""

from dataclasses import asdict
from typing import Any

from bridge.hardware import Gpu, Resources
from bridge.model import Client, Performance, ResumePoint, reported
from bridge.trace_context import TraceContext

FORMAT = 3
"""Of snapshots; those before 2 do not name theirs."""


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

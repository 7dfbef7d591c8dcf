"""The plain values that a session is kept as, and those that older versions kept."""

from dataclasses import asdict
from typing import Any

from bridge.model import Client, Gpu, Performance, Resources, reported
from bridge.trace_context import TraceContext

FORMAT = 2
"""Of snapshots; in those before it, which do not name theirs, 0 may also mean "not reported"."""


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot of the format before with None for what may not have been reported."""
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
    return Client(**fields, trace_context=context)


def performance_of(state: dict[str, Any] | None) -> Performance | None:
    """Return the Performance that plain values were taken of, or None for None."""
    if state is None:
        return None
    resources = state["resources"]
    if resources is not None:
        resources = Resources(
            **{**resources, "gpus": tuple(Gpu(**gpu) for gpu in resources["gpus"])}
        )
    return Performance(**{**state, "resources": resources})

"""Calls from inside a function that torch.compile traces: made for real, where the trace stands."""

import sys
from collections.abc import Callable
from typing import Any


def is_traced() -> bool:
    """Return whether this line is being traced by torch.compile rather than run; True only in a trace."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_dynamo_compiling()


def untraced(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same call, which breaks the traced graph and is run by Python.

    A copy that became part of the graph would be made at another time, or by a compiler that knows
    nothing of who waits for it.
    """
    disabled: Callable[..., Any] = sys.modules["torch"]._dynamo.disable(call)
    return disabled

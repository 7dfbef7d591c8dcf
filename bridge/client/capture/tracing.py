"""Calls from a function that torch.compile traces: executed by Python at their place in the function."""

import sys
from collections.abc import Callable
from typing import Any


def is_traced() -> bool:
    """Return whether this line is being traced by torch.compile rather than executed."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_dynamo_compiling()


def untraced(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same function, which breaks the traced graph and is executed by Python.

    A copy that became part of the graph would be made at another time, or by a compiler that does not
    know that anything waits for it.
    """
    disabled: Callable[..., Any] = sys.modules["torch"]._dynamo.disable(call)
    return disabled
